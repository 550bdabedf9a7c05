// Completes @aliases from the roster while somebody writes.

import { byId, element, show } from "./dom.js";
import { KINDS, kindOf } from "./message.js";
import { reveal } from "./text.js";

const MOST = 8;

export class Completion {
  constructor(field, facts) {
    this.field = field;
    this.facts = facts;
    this.list = byId("completion");
    this.found = [];
    this.start = 0;
    this.chosen = 0;
    field.addEventListener("input", () => this.update());
    field.addEventListener("click", () => this.update());
    field.addEventListener("blur", () => this.close());
    // The field keeps the focus, so that one goes on writing.
    this.list.addEventListener("mousedown", (event) => event.preventDefault());
    this.list.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) this.#take(this.found[Number(option.dataset.index)]);
    });
  }

  get isOpen() {
    return !this.list.hidden;
  }

  update() {
    const { value, selectionStart, selectionEnd } = this.field;
    const before = value.slice(0, selectionStart);
    const word = selectionStart === selectionEnd && before.match(/(?<![\w-])@([a-z0-9-]*)$/i);
    if (!word) return this.close();
    const wanted = word[1].toLowerCase();
    this.start = selectionStart - word[0].length;
    const chosen = this.isOpen ? this.found[this.chosen]?.alias : "";
    this.found = this.facts.present
      .filter((one) => one.alias !== this.facts.me && matches(one, wanted))
      .sort((a, b) => a.last_seen_age_ms - b.last_seen_age_ms)
      .slice(0, MOST);
    this.chosen = Math.max(0, this.found.findIndex((one) => one.alias === chosen));
    if (!this.found.length) return this.close();
    this.#draw();
  }

  // Returns whether the key was for the list.
  key(event) {
    if (!this.isOpen) return false;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      this.chosen = (this.chosen + step + this.found.length) % this.found.length;
      this.#draw();
    } else if (event.key === "Enter" || event.key === "Tab") {
      this.#take(this.found[this.chosen]);
    } else if (event.key === "Escape") {
      this.close();
    } else if (["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key)) {
      this.close();
      return false;
    } else {
      return false;
    }
    event.preventDefault();
    return true;
  }

  close() {
    show(this.list, false);
    this.field.removeAttribute("aria-activedescendant");
  }

  #take(person) {
    const { field } = this;
    const end = field.selectionStart;
    // Undo takes it back, as it does with what was typed.
    field.setSelectionRange(this.start, end);
    if (!document.execCommand("insertText", false, `@${person.alias} `)) {
      field.setRangeText(`@${person.alias} `, this.start, end, "end");
    }
    this.close();
    field.dispatchEvent(new Event("input"));
  }

  #draw() {
    this.list.replaceChildren(
      ...this.found.map((one, index) =>
        element(
          "li",
          {
            role: "option",
            id: `completion-${index}`,
            "aria-selected": String(index === this.chosen),
            data: { index },
          },
          element("strong", {}, `@${reveal(one.alias)}`),
          one.display_name ? ` ${reveal(one.display_name)}` : "",
          element("span", { class: "kind" }, KINDS[kindOf(one)] ?? ""),
        ),
      ),
    );
    show(this.list, true);
    this.field.setAttribute("aria-activedescendant", `completion-${this.chosen}`);
  }
}

function matches(person, wanted) {
  const name = (person.display_name ?? "").toLowerCase();
  return person.alias.startsWith(wanted) || name.split(" ").some((part) => part.startsWith(wanted));
}
