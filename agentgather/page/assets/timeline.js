// The part of the log that is in the document, and how the reader moves through the log.
//
// It grows at the end as messages come and at either end as the reader scrolls, and is cut
// at the other end, so the document stays small however long the log is. What the reader
// looks at never moves.

import { call } from "./api.js";
import { byId, setText, show } from "./dom.js";
import { newestPage } from "./first-look.js";
import { Reader } from "./reader.js";
import { Run } from "./run.js";
import { plural } from "./text.js";

const PAGE = 40;
const NEAR_PX = 900; // how close to an end the next page is asked for
const AT_END_PX = 48;
const KEPT_LOOKS = 200;

export class Timeline {
  // `onKnown(items)` is told of messages that the room has, `onArrival(items)` of those that
  // came live, `onCount(unseen)` how many of them the reader has not seen.
  // `mayWrite()` says whether there is somebody to reply.
  constructor({ facts, answer, mayWrite, onKnown, onArrival, onCount }) {
    this.onKnown = onKnown;
    this.onArrival = onArrival;
    this.scroller = byId("scroller");
    this.jump = byId("jump");
    this.run = new Run({
      facts,
      answer,
      mayWrite,
      jumpTo: (id) => this.jumpTo(id),
      look: (id) => this.#look(id),
    });
    this.reader = new Reader({
      facts,
      watches: () => this.#isWatched(),
      onCount,
      goTo: (id) => this.jumpTo(id),
    });
    this.head = 0; // the last message that is known
    this.hasBefore = false;
    this.hasAfter = false;
    this.stuck = true; // the reader is at the end, and stays there
    this.loading = null;
    this.looks = new Map();
    this.scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.jump.addEventListener("click", () => this.toEnd());
    new ResizeObserver(() => this.settle()).observe(this.scroller);
    setInterval(() => this.run.tick(), 20_000);
  }

  // Shows a newest page instead of what is there.
  start(page) {
    this.head = 0;
    this.#replace(page.messages, { before: page.has_more_before, after: false });
    const first = this.reader.begin(this.run.items, this.head, this.hasBefore);
    // To where the reader stopped, if that is in sight; else to the end.
    this.#scrollToEnd();
    if (first) {
      const top = first.element.offsetTop - this.scroller.clientHeight / 4;
      if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
    }
    this.#place();
    // The page may not fill the window yet.
    setTimeout(() => this.#scrolled(), 0);
  }

  // Takes messages that came live, oldest first.
  deliver(messages) {
    const items = this.run.make(messages, this.head);
    if (!items.length) return;
    this.head = items.at(-1).message.id;
    this.hasAfter ||= !this.stuck && this.run.isFull;
    const areShown = !this.hasAfter;
    // A reply adds a line to what it answers, which may be above what is looked at.
    if (areShown && this.stuck) this.#append(items);
    else if (areShown) this.#keepPlace(() => this.#append(items));
    else this.onKnown(items);
    this.reader.arrived(items, this.head, { areShown });
    if (this.stuck) {
      this.#trim("start");
      this.#scrollToEnd();
    }
    this.reader.look();
    this.#showJump();
    this.onArrival(items);
  }

  // The log is shorter than it was: the host went back to a backup.
  async restart() {
    this.start(await newestPage(PAGE));
  }

  async toEnd() {
    // Again, if more came while the page was on its way.
    for (let tries = 0; this.hasAfter && tries < 3; tries += 1) {
      const page = await this.#loadNext(() => newestPage(PAGE));
      if (!page) return;
      this.#replace(page.messages, { before: page.has_more_before, after: false });
    }
    this.#scrollToEnd();
    this.reader.look();
    this.#showJump();
  }

  // Leads to a message, wherever in the log it is. Gives the items around it.
  async jumpTo(id) {
    if (!this.run.byMessage.has(id)) {
      const half = PAGE / 2;
      const pages = await this.#loadNext(() =>
        Promise.all([
          call(`/messages?before_id=${id + 1}&limit=${half}&render=html`),
          call(`/messages?since_id=${id}&limit=${half}&render=html`),
        ]),
      );
      if (!pages) return [];
      const [before, after] = pages;
      this.#replace([...before.messages, ...after.messages], {
        before: before.has_more_before,
        after: after.has_more,
      });
    }
    const item = this.run.byMessage.get(id);
    if (item) {
      item.element.scrollIntoView({ block: "center" });
      item.flash();
      this.#place();
    }
    return this.run.items;
  }

  // Names or seats have changed.
  refresh() {
    this.run.refresh();
  }

  // Follows what grows under the list, if the reader is at the end.
  settle() {
    if (this.stuck) this.#scrollToEnd();
  }

  // --- The run ------------------------------------------------------------------------------
  #replace(messages, { before, after }) {
    this.run.clear();
    this.hasBefore = before;
    this.#append(this.run.make(messages));
    // What came live while these were on their way is not among them.
    this.hasAfter = after || (this.run.last ?? 0) < this.head;
  }

  #append(items) {
    this.run.append(items);
    // A page can be ahead of the stream, which is not to bring the same again.
    this.head = Math.max(this.head, this.run.last ?? 0);
    this.#showHistory();
    this.onKnown(items);
  }

  #trim(end) {
    if (!this.run.trim(end)) return;
    if (end === "start") this.hasBefore = true;
    else this.hasAfter = true;
    this.#showHistory();
  }

  // --- Pages ----------------------------------------------------------------------------------
  async #load(ask) {
    this.loading = ask();
    try {
      return await this.loading;
    } catch {
      return null; // the state of the connection is shown; the next scroll asks again
    } finally {
      this.loading = null;
    }
  }

  // What the reader asks for comes after what is under way.
  async #loadNext(ask) {
    while (this.loading) await this.loading.catch(() => {});
    return this.#load(ask);
  }

  async #loadBefore() {
    const { first } = this.run;
    if (first === undefined) return;
    this.#showHistory("Loading earlier messages…");
    const page = await this.#load(() =>
      call(`/messages?before_id=${first}&limit=${PAGE}&render=html`),
    );
    if (page && this.run.first === first) {
      const items = this.run.make(page.messages).filter((item) => item.message.id < first);
      this.#keepPlace(() => {
        this.hasBefore = page.has_more_before && items.length > 0;
        this.run.prepend(items);
        this.#trim("end");
      });
    }
    this.#showHistory();
    if (page) this.#scrolled();
  }

  async #loadAfter() {
    const { last } = this.run;
    if (last === undefined) return;
    const page = await this.#load(() =>
      call(`/messages?since_id=${last}&limit=${PAGE}&render=html`),
    );
    if (page && this.run.last === last) {
      const items = this.run.make(page.messages, last);
      this.#keepPlace(() => {
        this.#append(items);
        // Messages that came meanwhile are asked for before the end counts as reached.
        this.hasAfter = items.length > 0 && (page.has_more || this.run.last < this.head);
        this.#trim("start");
      });
    }
    this.#showJump();
    if (page) this.#scrolled();
  }

  // Changes the list, and puts what the reader looks at back to where it was.
  #keepPlace(change) {
    const { top, height } = this.scroller.getBoundingClientRect();
    const middle = top + height / 2;
    // Its own text, because a day's name above the first item goes when others come before it.
    const anchor = this.run.items.find(({ article }) => article.getBoundingClientRect().bottom > middle);
    const before = anchor?.article.getBoundingClientRect().top;
    change();
    if (!anchor?.article.isConnected) return;
    this.scroller.scrollTop += anchor.article.getBoundingClientRect().top - before;
  }

  // Finds one message that is not loaded; several that answer it ask once.
  #look(id) {
    if (!this.looks.has(id)) {
      const found = call(`/messages?before_id=${id + 1}&limit=1`).then(({ messages }) => {
        if (messages[0]?.id !== id) throw new Error("there is no such message");
        return messages[0];
      });
      this.looks.set(id, found);
      found.catch(() => this.looks.delete(id));
      if (this.looks.size > KEPT_LOOKS) this.looks.delete(this.looks.keys().next().value);
    }
    return this.looks.get(id);
  }

  // --- Where the reader is --------------------------------------------------------------------
  #scrolled() {
    this.#place();
    if (this.loading) return;
    if (this.hasBefore && this.scroller.scrollTop < NEAR_PX) this.#loadBefore();
    else if (this.hasAfter && this.#below() < NEAR_PX) this.#loadAfter();
  }

  #place() {
    this.stuck = this.#below() < AT_END_PX && !this.hasAfter;
    this.reader.look();
    this.reader.reach(this.run.first);
    this.#showJump();
  }

  #below() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    return scrollHeight - scrollTop - clientHeight;
  }

  #scrollToEnd() {
    this.stuck = !this.hasAfter;
    this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  #isWatched() {
    return this.stuck && document.visibilityState === "visible" && document.hasFocus();
  }

  #showJump() {
    const { unseen } = this.reader;
    show(this.jump, !this.stuck);
    setText(this.jump, `Jump to latest${unseen ? `, ${plural(unseen, "new message")}` : ""}`);
  }

  #showHistory(text) {
    const begins = this.run.items.length ? "The room begins here." : "Nobody has said anything yet.";
    setText(byId("history"), text ?? (this.hasBefore ? "" : begins));
  }
}
