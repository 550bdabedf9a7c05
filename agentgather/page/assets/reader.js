// How far the reader has read: the count in the title, the divider, the way back to where
// they stopped the last time.

import { byId, setText, show } from "./dom.js";
import { remember, remembered } from "./session.js";
import { plural } from "./text.js";

export class Reader {
  // `watches()` says whether the reader looks at the end of the log; `onCount(unseen)` is
  // told when the number of unseen messages has changed; `goTo(id)` leads to a message.
  constructor({ facts, watches, onCount, goTo }) {
    Object.assign(this, { facts, watches, onCount, goTo });
    this.head = 0;
    this.readTo = 0;
    this.stoppedAt = 0;
    this.unseen = 0;
    this.divider = null;
    byId("catch-up").addEventListener("click", () => this.#catchUp());
    addEventListener("focus", () => this.look());
    addEventListener("blur", () => this.#leave());
    document.addEventListener("visibilitychange", () =>
      document.hidden ? this.#leave() : this.look(),
    );
  }

  // Begins with the newest items. Returns the first that was not read yet, if it is there.
  begin(items, head, hasBefore) {
    this.head = head;
    // Who was never here has missed nothing.
    this.readTo = remembered("read") ?? 0;
    this.stoppedAt = Math.min(this.readTo || head, head);
    this.unseen = 0;
    const first = this.mark(items, this.stoppedAt);
    const isFurtherBack = hasBefore && this.stoppedAt < items[0].message.id - 1;
    show(byId("catch-up"), isFurtherBack);
    const missed = plural(head - this.stoppedAt, "message");
    setText(byId("catch-up"), `${missed} since you were here: go there`);
    return first;
  }

  // Puts the divider before the first item past an id that somebody else wrote.
  mark(items, after) {
    const first = items.find((item) => item.message.id > after && this.#isOthers(item));
    if (first) this.#setDivider(first);
    return first;
  }

  // Takes note of items that came. The divider is only set among those that are shown.
  arrived(items, head, { areShown }) {
    this.head = head;
    if (this.watches()) return;
    const others = items.filter((item) => this.#isOthers(item));
    if (!others.length) return;
    // One that was cut away with its message marks nothing any more.
    if (areShown && !this.divider?.element.isConnected) this.#setDivider(others[0]);
    this.unseen += others.length;
    this.onCount(this.unseen);
  }

  // The reader may be looking by now.
  look() {
    if (!this.watches()) return;
    if (this.unseen) {
      this.unseen = 0;
      this.onCount(0);
    }
    if (this.readTo !== this.head) remember("read", this.head);
    this.readTo = this.head;
  }

  // Who writes has read what is above.
  clearDivider() {
    this.#setDivider(null);
  }

  // Who leaves with everything read finds a new divider when coming back.
  #leave() {
    if (!this.unseen) this.#setDivider(null);
  }

  // The way back is of no use to who got there by hand.
  reach(first) {
    if (first <= this.stoppedAt + 1) show(byId("catch-up"), false);
  }

  async #catchUp() {
    const items = await this.goTo(this.stoppedAt + 1);
    if (!items.length) return;
    show(byId("catch-up"), false);
    this.mark(items, this.stoppedAt);
  }

  #setDivider(item) {
    this.divider?.setUnread(false);
    this.divider = item;
    item?.setUnread(true);
  }

  #isOthers(item) {
    return item.message.from !== this.facts.me && !item.isSystem;
  }
}
