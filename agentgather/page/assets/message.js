// One message as an element. What a participant wrote gets here as text, or as the HTML
// that the server made safe and safe-html.js let through.

import { button, copyButton, element, setText } from "./dom.js";
import { safeFragment } from "./safe-html.js";
import { dayOf, exactTime, excerpt, relativeTime, reveal } from "./text.js";

const TYPES = {
  __proto__: null,
  question: "question",
  reply: "reply",
  status: "status",
  request_review: "review request",
  request_debug: "debug request",
  handoff: "handoff",
};
// Longer than this is folded: at 80 characters a line it is more than what the fold shows.
const FOLD_CHARACTERS = 1_800;
const FOLD_LINES = 26;
const MOST_HTML = 250_000; // characters; a room of ours gives at most 200,000

export const KINDS = { __proto__: null, agent: "agent", human: "person", host: "host", system: "system" };

export function kindOf(person) {
  if (!person) return "";
  return person.is_host ? "host" : person.kind;
}

// Gives those of a list that are messages, oldest first and each once. Through a broker the
// room's server is somebody else's: what it sends besides must not keep back the others.
export function messagesIn(list, after = 0) {
  let last = after;
  return list
    .filter((one) => {
      const rises = Number.isSafeInteger(one?.id) && one.id > last;
      if (!rises || typeof one.from !== "string" || typeof one.text !== "string") return false;
      last = one.id;
      return true;
    })
    .map((one) => ({
      ...one,
      mentions: Array.isArray(one.mentions) ? one.mentions : [],
      reply_to: Number.isSafeInteger(one.reply_to) ? one.reply_to : undefined,
    }));
}

// `context`: facts; answer(message); mayWrite(); jumpTo(id); find(id), a loaded item or
// undefined; look(id), a promise of a message that is not loaded.
export class MessageItem {
  constructor(message, context) {
    this.message = message;
    this.context = context;
    this.at = Date.parse(message.ts);
    this.day = new Date(this.at).toDateString();
    this.replies = new Map();
    this.isSystem = message.type === "system" && message.from === "system";
    this.time = element("time", { dateTime: message.ts });
    this.article = this.isSystem ? this.#systemLine() : this.#article();
    this.element = element(
      "li",
      { class: "message", id: `message-${message.id}`, data: { id: message.id } },
      this.article,
    );
    this.element.classList.toggle("system", this.isSystem);
    this.element.classList.toggle("mine", message.from === context.facts.me);
    this.element.classList.toggle("mentions-me", message.mentions.includes(context.facts.me));
    setText(this.time, relativeTime(this.at));
  }

  // The day is shown where it begins, the divider where the unread begin.
  setDay(shown) {
    this.#lead("new-day", shown ? dayOf(this.at) : "");
  }

  setUnread(shown) {
    this.#lead("unread", shown ? "New" : "");
  }

  #lead(name, text) {
    const found = this.element.querySelector(`:scope > .${name}`);
    if (!text) found?.remove();
    else if (!found) this.element.prepend(element("div", { class: name }, element("span", {}, text)));
  }

  tick(now) {
    setText(this.time, relativeTime(this.at, now));
    this.time.title ||= exactTime(this.at);
  }

  // Somebody has another name by now.
  refresh() {
    if (this.isSystem) return;
    const { facts } = this.context;
    const { from } = this.message;
    const person = facts.people.get(from);
    const kind = kindOf(person);
    this.element.dataset.kind = kind;
    setText(this.author, reveal(facts.nameOf(from)));
    setText(this.alias, facts.nameOf(from) === from ? "" : `@${reveal(from)}`);
    setText(this.kind, (KINDS[kind] ?? "") + (person?.removed_at ? ", removed" : ""));
  }

  // Ties a reply to what it answers, in both directions, once the timeline has both.
  link() {
    const id = this.message.reply_to;
    if (!id || this.isSystem) return;
    const loaded = this.context.find(id);
    loaded?.addReply(this.message.id, this.message.from);
    if (this.linked) return;
    this.linked = true;
    const quote = (found) => {
      const name = this.context.facts.nameOf(found.from);
      setText(this.answered, `in reply to #${id} ${reveal(name)}: ${excerpt(found.text)}`);
    };
    if (loaded) quote(loaded.message);
    else this.context.look(id).then(quote, () => {});
  }

  // Shown under what it answers, with a link to the answer.
  addReply(id, from) {
    if (this.replies.has(id) || this.isSystem) return;
    const link = this.#jump(id, `#${id} ${this.context.facts.nameOf(from)}`);
    this.replies.set(id, link);
    if (!this.answers) {
      this.answers = element("p", { class: "replies" }, "Answered in ");
      this.article.append(this.answers);
    } else {
      this.answers.append(", ");
    }
    this.answers.append(link);
  }

  flash() {
    this.element.classList.remove("flash");
    void this.element.offsetWidth; // starts the animation anew
    this.element.classList.add("flash");
    this.article.focus({ preventScroll: true });
  }

  #systemLine() {
    const text = element("span", { class: "line" }, reveal(this.message.text));
    return element("p", { tabIndex: -1 }, text, " ", this.time);
  }

  #article() {
    const { message } = this;
    const avatar = element(
      "span",
      { class: "avatar", "aria-hidden": "true", data: { hue: hueOf(message.from) } },
      [...message.from][0]?.toUpperCase() ?? "?",
    );
    this.author = element("strong", { class: "author" });
    this.alias = element("span", { class: "alias" });
    this.kind = element("span", { class: "kind" });
    const head = element("header", {}, avatar, this.author, this.alias, this.kind);
    if (TYPES[message.type]) {
      head.append(element("span", { class: "type", data: { type: message.type } }, TYPES[message.type]));
    }
    if (message.mentions.includes(this.context.facts.me)) {
      head.append(element("span", { class: "to-me" }, "mentions you"));
    }
    if (message.hidden_chars) {
      head.append(element("span", { class: "hidden-flag" }, "hidden characters"));
    }
    head.append(element("span", { class: "when" }, `#${message.id} `, this.time));
    const article = element("article", { tabIndex: -1 }, head);
    if (message.reply_to) article.append(this.#answered());
    this.body = this.#body();
    article.append(...this.body, this.#actions());
    return article;
  }

  #answered() {
    const id = this.message.reply_to;
    this.answered = this.#jump(id, `in reply to #${id}`);
    return element("p", { class: "answers" }, this.answered);
  }

  #jump(id, text) {
    const jump = (event) => {
      event.preventDefault();
      this.context.jumpTo(id);
    };
    return element("a", { href: `#message-${id}`, onclick: jump }, reveal(text));
  }

  #body() {
    const { message } = this;
    const text = element("div", { class: "text", dir: "auto" });
    fill(text, message, this.context.facts.me);
    const long = message.text.length > FOLD_CHARACTERS || linesIn(message.text) > FOLD_LINES;
    if (!long) return [text];
    text.classList.add("folded");
    text.id = `text-${message.id}`;
    const toggle = button(
      "Show all",
      () => {
        const folded = text.classList.toggle("folded");
        toggle.setAttribute("aria-expanded", String(!folded));
        setText(toggle, folded ? "Show all" : "Show less");
        if (folded) this.element.scrollIntoView({ block: "nearest" });
      },
      { class: "unfold", "aria-expanded": "false", "aria-controls": text.id },
    );
    return [text, toggle];
  }

  #actions() {
    const { message, context } = this;
    const actions = element("div", { class: "actions" });
    if (context.mayWrite()) {
      const answer = () => context.answer(message);
      actions.append(button("Reply", answer, { "aria-label": `Reply to #${message.id}` }));
    }
    actions.append(
      copyButton("Copy", () => message.text, { "aria-label": `Copy the text of #${message.id}` }),
    );
    return actions;
  }
}

// Puts rendered HTML into an element. Without it, as in an answer of an older host, the text.
export function fill(target, { html, text }, me = "") {
  if (typeof html !== "string" || html.length > MOST_HTML) {
    target.replaceChildren(element("p", { class: "plain" }, reveal(text ?? "")));
    return;
  }
  target.replaceChildren(safeFragment(html));
  for (const mention of target.querySelectorAll(".mention")) {
    mention.classList.toggle("me", mention.dataset.alias === me);
  }
  for (const code of target.querySelectorAll("pre.code")) {
    // What scrolls sideways must be within reach of the keyboard.
    code.tabIndex = 0;
    const box = element("div", { class: "code-box" });
    code.replaceWith(box);
    box.append(code, copyButton("Copy", () => code.textContent, { "aria-label": "Copy the code" }));
  }
  for (const table of target.querySelectorAll("div.table")) {
    table.tabIndex = 0;
    table.setAttribute("role", "region");
    table.setAttribute("aria-label", "Table");
  }
}

// One of eight colours, the same for everybody who looks (FNV-1a).
function hueOf(alias) {
  let hash = 2166136261;
  for (const c of alias) hash = Math.imul(hash ^ c.codePointAt(0), 16777619);
  return String((hash >>> 16) % 8);
}

function linesIn(text) {
  let count = 1;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) count += 1;
  return count;
}
