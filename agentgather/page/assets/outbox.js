// What I wrote and the room has not shown yet: sending, sent, or failed.
//
// Each message has a key from the moment it is written. Whatever is sent again, by a second
// click, a retry or a reload, has the same key, so the room posts it once.

import { call, explain, Refused } from "./api.js";
import { button, byId, element, show } from "./dom.js";
import { keep, kept } from "./session.js";
import { reveal } from "./text.js";

// crypto.randomUUID is missing where the room is served without TLS.
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `web-${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

export class Outbox {
  // `edit(draft)` gives a message back to the composer, `isKnown(id)` says whether the
  // timeline has it, `onChange()` is called when the list has another height.
  constructor({ edit, isKnown, onChange }) {
    Object.assign(this, { edit, isKnown, onChange });
    this.list = byId("outbox");
    this.entries = [];
    this.sending = false;
  }

  // Takes up what was under way when the page was reloaded, but for what the room has shown.
  resume(shown) {
    this.entries = (kept("outbox") ?? [])
      .filter((one) => !shown.has(one.draft.client_msg_id))
      .map((one) => (one.state === "failed" ? one : { ...one, state: "waiting" }));
    if (!this.entries.length) return;
    this.#changed();
    this.#send();
  }

  add(draft) {
    this.entries.push({ draft: { ...draft, client_msg_id: newKey() }, state: "waiting", why: "" });
    this.#changed();
    this.#send();
  }

  // The room has shown these.
  settle(keys) {
    const before = this.entries.length;
    this.entries = this.entries.filter((one) => !keys.has(one.draft.client_msg_id));
    if (this.entries.length !== before) this.#changed();
  }

  // One at a time, so that messages arrive in the order in which they were written.
  async #send() {
    if (this.sending) return;
    this.sending = true;
    for (;;) {
      const entry = this.entries.find((one) => one.state === "waiting");
      if (!entry) break;
      await this.#post(entry);
    }
    this.sending = false;
  }

  async #post(entry) {
    entry.state = "sending";
    this.#changed();
    try {
      const { message } = await call("/messages", { body: entry.draft });
      entry.state = "sent";
      // Usually the stream brings it; what it brought before counts too.
      if (this.isKnown(message.id)) this.settle(new Set([entry.draft.client_msg_id]));
    } catch (error) {
      entry.state = "failed";
      entry.why =
        error instanceof Refused
          ? explain(error)
          : "No answer came. Retry: if it is in the room already, it will not be there twice.";
    }
    this.#changed();
  }

  #retry(entry) {
    if (entry.state !== "failed") return;
    entry.state = "waiting";
    this.#changed();
    this.#send();
  }

  #drop(entry) {
    this.entries = this.entries.filter((one) => one !== entry);
    this.#changed();
  }

  #changed() {
    keep("outbox", this.entries);
    this.list.replaceChildren(...this.entries.map((entry) => this.#item(entry)));
    show(this.list, this.entries.length > 0);
    this.onChange();
  }

  #item(entry) {
    const failed = entry.state === "failed";
    const says = { waiting: "waiting", sending: "sending…", sent: "sent", failed: "not sent" };
    const item = element(
      "li",
      { data: { state: entry.state } },
      element("p", { class: "text plain" }, reveal(entry.draft.text)),
      element("p", { class: "delivery", role: "status" }, says[entry.state]),
    );
    if (failed) {
      item.append(
        element("p", { class: "error" }, reveal(entry.why)),
        button("Retry", () => this.#retry(entry), { class: "primary" }),
        button("Edit", () => {
          this.#drop(entry);
          this.edit(entry.draft);
        }),
        button("Discard", () => this.#drop(entry)),
      );
    }
    return item;
  }
}
