// Tells who is not looking: the title's count, a spoken line, a desktop notification.

import { byId, element, setText, show } from "./dom.js";
import { remember, remembered } from "./session.js";
import { excerpt, plural, reveal } from "./text.js";

const QUIET_MS = 1_000; // several messages at once are one announcement

export class Notifier {
  constructor(facts) {
    this.facts = facts;
    this.lines = [];
    this.button = byId("notify-toggle");
    this.button.addEventListener("click", () => this.#toggle());
  }

  resume() {
    // Browsers have notifications for pages with TLS and for this machine only, and those
    // of phones for installed pages only.
    const usable = window.isSecureContext && matchMedia("(hover: hover)").matches;
    show(this.button, "Notification" in window && usable);
    this.#showToggle();
  }

  title(unseen) {
    const room = reveal(this.facts.status.room);
    document.title = `${unseen ? `(${unseen}) ` : ""}${room} · agentgather`;
  }

  // Reads out what a person would see appear.
  announce(text) {
    this.lines.push(text);
    this.speaking ??= setTimeout(() => {
      this.speaking = null;
      const lines = this.lines.splice(0);
      const more = lines.length > 3 ? `${plural(lines.length - 3, "more message")}. ` : "";
      // A new element each time: the same words twice are two announcements.
      byId("announcer").replaceChildren(element("span", {}, more + lines.slice(-3).join(". ")));
    }, QUIET_MS);
  }

  arrived(items) {
    for (const { message, isSystem } of items) {
      if (message.from === this.facts.me) continue;
      const name = reveal(this.facts.nameOf(message.from));
      // A new brief is announced by the panel that shows it.
      if (isSystem && message.text.startsWith("Room brief updated")) continue;
      const line = isSystem ? reveal(message.text) : `${name}: ${excerpt(message.text, 160)}`;
      this.announce(line);
      const forMe = !isSystem && message.mentions.includes(this.facts.me);
      if (forMe && this.#isOn() && (document.hidden || !document.hasFocus())) {
        this.#notify(name, excerpt(message.text, 160));
      }
    }
  }

  #notify(name, text) {
    const title = `${name} in ${reveal(this.facts.status.room)}`;
    const shown = new Notification(title, { body: text, tag: `agentgather:${name}` });
    shown.onclick = () => {
      window.focus();
      shown.close();
    };
  }

  #isOn() {
    return remembered("notify") === true && window.Notification?.permission === "granted";
  }

  async #toggle() {
    if (this.#isOn()) {
      remember("notify", false);
    } else {
      const allowed = await Notification.requestPermission();
      remember("notify", allowed === "granted");
      if (allowed === "denied") this.announce("The browser does not let this page notify you.");
    }
    this.#showToggle();
  }

  #showToggle() {
    const on = this.#isOn();
    this.button.setAttribute("aria-pressed", String(on));
    setText(this.button, on ? "Notifying" : "Notify me");
    this.button.title = "A desktop notification when somebody mentions you";
  }
}
