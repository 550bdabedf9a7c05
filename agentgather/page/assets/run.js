// A run of messages without a gap, as items of the list in the document.
//
// It keeps what belongs to neighbours right: where a day begins, which reply belongs to
// which message, and which one item Tab reaches.

import { byId } from "./dom.js";
import { MessageItem, messagesIn } from "./message.js";

const MOST = 240; // items in the document
// Cut in handfuls, so that not each message costs a layout at both ends.
const HANDFUL = 40;

export class Run {
  // `context` is what MessageItem needs, but for find(), which is the run's.
  constructor(context) {
    this.context = { ...context, find: (id) => this.byMessage.get(id) };
    this.list = byId("timeline");
    this.items = [];
    this.byMessage = new Map();
    this.roving = null;
    this.list.addEventListener("keydown", (event) => this.#move(event));
  }

  get first() {
    return this.items[0]?.message.id;
  }

  get last() {
    return this.items.at(-1)?.message.id;
  }

  // More than is cut: new messages are no longer added while the reader is elsewhere.
  get isFull() {
    return this.items.length > 2 * MOST;
  }

  // Makes items of those messages of an answer that are some, past an id.
  make(messages, after) {
    return messagesIn(messages, after).map((message) => new MessageItem(message, this.context));
  }

  clear() {
    for (const item of this.items) item.element.remove();
    this.items = [];
    this.byMessage.clear();
  }

  append(items) {
    const before = this.items.at(-1);
    this.#add(items);
    this.items.push(...items);
    this.list.append(...items.map((item) => item.element));
    markDays(before, items);
    for (const item of items) item.link();
    if (!this.list.contains(document.activeElement)) this.#setRoving(this.items.at(-1));
  }

  prepend(items) {
    const after = this.items.slice(0, 1);
    this.#add(items);
    this.items.unshift(...items);
    this.list.prepend(...items.map((item) => item.element));
    markDays(undefined, [...items, ...after]);
    // Replies that are there already may answer what has come.
    for (const item of this.items) item.link();
  }

  // Cuts what is too much at one end, "start" or "end". Returns whether it did.
  trim(end) {
    const over = this.items.length - MOST;
    if (over < HANDFUL) return false;
    const gone = end === "start" ? this.items.splice(0, over) : this.items.splice(-over);
    for (const item of gone) {
      item.element.remove();
      this.byMessage.delete(item.message.id);
    }
    markDays(undefined, this.items.slice(0, 1));
    return true;
  }

  // Names or seats have changed.
  refresh() {
    for (const item of this.items) item.refresh();
  }

  // Tells the time again: relative ones grow, exact ones can wait until all is to be seen.
  tick() {
    if (document.hidden) return;
    const now = Date.now();
    for (const item of this.items) item.tick(now);
  }

  #add(items) {
    for (const item of items) {
      this.byMessage.set(item.message.id, item);
      item.refresh();
    }
    clearTimeout(this.ticking);
    this.ticking = setTimeout(() => this.tick(), 0);
  }

  // Up and down move from message to message; their buttons follow with Tab.
  #move(event) {
    const index = this.items.findIndex((item) => item.article === event.target);
    if (index < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const item = this.items[index];
    const next = step && this.items[index + step];
    if (next) {
      this.#setRoving(next);
      next.article.focus();
    } else if (event.key === "r" && !item.isSystem && this.context.mayWrite()) {
      this.context.answer(item.message);
    } else {
      return;
    }
    event.preventDefault();
  }

  #setRoving(item) {
    if (this.roving) this.roving.article.tabIndex = -1;
    this.roving = item;
    if (item) item.article.tabIndex = 0;
  }
}

function markDays(before, items) {
  for (const item of items) {
    item.setDay(item.day !== before?.day);
    before = item;
  }
}
