// Where one writes: mentions, replies, a preview, a draft that outlives a reload.

import { call, explain } from "./api.js";
import { Completion } from "./completion.js";
import { byId, setText, show } from "./dom.js";
import { fill } from "./message.js";
import { keep, kept } from "./session.js";
import { excerpt, mentionsIn, reveal } from "./text.js";

const MOST_UNITS = 24_000;
const TELL_LEFT_FROM = 20_000;
const DRAFT_MS = 250;

export class Composer {
  // `send(draft)` takes a message; `onResize()` is called when the field has another height.
  constructor({ facts, send, onResize }) {
    Object.assign(this, { facts, send, onResize });
    this.form = byId("composer");
    this.field = byId("text");
    this.type = byId("type");
    this.hint = byId("composer-hint");
    this.answering = null;
    this.completion = new Completion(this.field, facts);
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.field.addEventListener("keydown", (event) => this.#key(event));
    this.field.addEventListener("input", () => this.#changed());
    this.type.addEventListener("change", () => this.#save());
    byId("answering-end").addEventListener("click", () => this.answer(null));
    byId("newline").addEventListener("click", () => this.#newLine());
    byId("preview-toggle").addEventListener("click", () => this.#togglePreview());
    addEventListener("pagehide", () => this.#save());
  }

  resume() {
    const draft = kept("draft");
    if (!draft) return;
    this.edit(draft, { focus: false });
  }

  // Puts a draft into the field, and what stood there after it.
  edit({ text, type, reply_to }, { focus = true } = {}) {
    this.field.value = [text, this.field.value].filter(Boolean).join("\n");
    this.type.value = type === "reply" ? "message" : type || "message";
    this.answering = reply_to ? { id: reply_to } : null;
    this.#showAnswering();
    this.#changed();
    if (focus) this.field.focus();
  }

  // Begins a reply; null ends it.
  answer(message) {
    this.answering = message && { id: message.id, from: message.from, text: message.text };
    this.#showAnswering();
    this.#save();
    this.field.focus();
  }

  // Says why nothing can be written, or that it can.
  allow(why) {
    show(this.form, !why);
    show(byId("no-composer"), Boolean(why));
    setText(byId("no-composer"), why);
  }

  #key(event) {
    if (this.completion.key(event)) return;
    // Safari says 229 where Enter only ends a word of an input method.
    const composes = event.isComposing || event.keyCode === 229;
    if (event.key === "Enter" && !event.shiftKey && !composes) {
      event.preventDefault();
      this.#submit();
    } else if (event.key === "Escape" && this.answering) {
      this.answer(null);
    }
  }

  // For keyboards on a screen, which have no Shift+Enter.
  #newLine() {
    this.field.focus();
    const { selectionStart, selectionEnd } = this.field;
    this.field.setRangeText("\n", selectionStart, selectionEnd, "end");
    this.#changed();
  }

  #submit() {
    const text = this.field.value;
    if (!text.trim() || text.length > MOST_UNITS) {
      this.#changed();
      this.field.focus();
      return;
    }
    const draft = { text, type: this.type.value };
    if (this.answering) {
      draft.reply_to = this.answering.id;
      if (draft.type === "message") draft.type = "reply";
    }
    this.field.value = "";
    this.type.value = "message";
    this.answering = null;
    this.#showAnswering();
    this.#showPreview(false);
    this.#changed();
    this.#save();
    this.field.focus();
    this.send(draft);
  }

  #changed() {
    const { value } = this.field;
    this.#grow();
    setText(this.hint, this.#advice(value));
    this.hint.classList.toggle("warning", Boolean(this.hint.textContent));
    byId("send").disabled = value.length > MOST_UNITS;
    clearTimeout(this.saving);
    this.saving = setTimeout(() => this.#save(), DRAFT_MS);
  }

  #advice(text) {
    if (text.length > MOST_UNITS) {
      const over = (text.length - MOST_UNITS).toLocaleString();
      return `${over} characters too many; put the rest into another message.`;
    }
    // What is being completed is not a name yet.
    const { selectionStart } = this.field;
    const rest = this.completion.isOpen
      ? text.slice(0, this.completion.start) + text.slice(selectionStart)
      : text;
    const nobody = mentionsIn(rest).filter((alias) => !this.#isHere(alias));
    if (nobody.length) {
      const names = nobody.slice(0, 3).map((alias) => `@${alias}`).join(", ");
      const meant = nobody.map((alias) => alias.toLowerCase()).find((alias) => this.#isHere(alias));
      const hint = meant ? ` Do you mean @${meant}?` : "";
      return `Nobody here is called ${names}${nobody.length > 3 ? " …" : ""}.${hint}`;
    }
    if (text.length > TELL_LEFT_FROM) {
      return `${(MOST_UNITS - text.length).toLocaleString()} characters left.`;
    }
    return "";
  }

  #isHere(alias) {
    const person = this.facts.people.get(alias);
    return Boolean(person && !person.removed_at);
  }

  // The roster has changed: a name that nobody had may be somebody's by now.
  refresh() {
    if (this.completion.isOpen) this.completion.update();
    setText(this.hint, this.#advice(this.field.value));
    this.#showAnswering();
  }

  #grow() {
    this.field.style.height = "auto";
    this.field.style.height = `${this.field.scrollHeight + 2}px`;
    this.onResize();
  }

  #save() {
    clearTimeout(this.saving);
    const { value } = this.field;
    const empty = !value && !this.answering;
    keep("draft", empty ? null : { text: value, type: this.type.value, reply_to: this.answering?.id });
  }

  #showAnswering() {
    const { answering } = this;
    show(byId("answering"), Boolean(answering));
    if (!answering) return;
    const what = answering.text
      ? ` ${reveal(this.facts.nameOf(answering.from))}: ${excerpt(answering.text)}`
      : "";
    setText(byId("answering-text"), `Replying to #${answering.id}${what}`);
  }

  async #togglePreview() {
    const on = byId("preview").hidden;
    this.#showPreview(on);
    if (!on) return this.field.focus();
    const preview = byId("preview");
    setText(preview, "…");
    try {
      const text = this.field.value;
      const { html } = await call("/preview", { body: { text } });
      // An answer that was overtaken by more typing is not shown.
      if (this.field.value !== text) return;
      fill(preview, { html: html || "<p>Nothing to preview.</p>" }, this.facts.me);
    } catch (error) {
      setText(preview, reveal(explain(error)));
    }
    this.onResize();
  }

  #showPreview(on) {
    show(byId("preview"), on);
    show(this.field, !on);
    byId("preview-toggle").setAttribute("aria-pressed", String(on));
    setText(byId("preview-toggle"), on ? "Write" : "Preview");
    this.onResize();
  }
}
