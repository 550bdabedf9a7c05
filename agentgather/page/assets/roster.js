// Who is here, whether they attend, and what the attendance policy asks of them.

import { button, byId, element, setText, show } from "./dom.js";
import { KINDS, kindOf } from "./message.js";
import { plural, relativeTime, reveal } from "./text.js";

const STATES = {
  __proto__: null,
  attending: "attending",
  managed: "attending",
  stale: "stale: silent for a while",
  not_attending: "not attending",
  away: "away",
  manual: "comes and goes",
};
const POLICIES = {
  __proto__: null,
  "manual-ok": "Nobody has to stay.",
  "agents-foreground": "Agents are asked to stay.",
  "all-foreground": "Everybody is asked to stay.",
  "host-directed": "The host says who stays.",
};
const FIRST = 60; // shown before somebody asks for all
const NEVER_MS = 2 ** 53 - 1;
const ORDER = ["attending", "managed", "stale", "not_attending", "manual", "away"];

export class Roster {
  // `onSeat(action, person)`: the host asks to rotate or remove.
  constructor({ facts, onSeat }) {
    this.facts = facts;
    this.onSeat = onSeat;
    this.list = byId("roster");
    this.all = false;
    this.opened = new Set();
    byId("roster-more").addEventListener("click", () => {
      this.all = true;
      this.draw();
    });
  }

  draw() {
    const { facts } = this;
    const people = facts.present.sort((a, b) => rank(a) - rank(b) || (a.alias < b.alias ? -1 : 1));
    const here = people.filter((one) => ["attending", "managed"].includes(one.attendance_state));
    setText(byId("people-count"), `(${here.length} of ${people.length} attending)`);
    setText(byId("policy"), POLICIES[facts.status.attendance_policy] ?? "");
    setText(byId("side-toggle"), `People (${here.length})`);
    const shown = this.all ? people : people.slice(0, FIRST);
    const focused = this.list.contains(document.activeElement) ? keyOf(document.activeElement) : "";
    this.list.replaceChildren(...shown.map((person) => this.#item(person)));
    const more = people.length - shown.length;
    show(byId("roster-more"), more > 0);
    setText(byId("roster-more"), `Show ${plural(more, "more person", "more people")}`);
    if (focused) {
      [...this.list.querySelectorAll("button, summary")].find((one) => keyOf(one) === focused)?.focus();
    }
  }

  #item(person) {
    const kind = kindOf(person);
    const isMe = person.alias === this.facts.me;
    const state = element(
      "span",
      { class: "attendance", data: { state: person.attendance_state } },
      STATES[person.attendance_state] ?? reveal(person.attendance_state ?? ""),
    );
    const facts = element("span", { class: "facts" }, state, ` · ${lastSeen(person)}`);
    if (person.attendance_required) facts.append(" · asked to stay");
    if (person.role) facts.append(` · ${reveal(person.role)}`);
    const name = element("strong", {}, reveal(person.display_name ?? person.alias));
    const item = element(
      "li",
      { data: { alias: person.alias, kind, state: person.attendance_state } },
      element("span", { class: "who" }, name),
      element("span", { class: "alias" }, `@${reveal(person.alias)}`),
      element("span", { class: "kind" }, KINDS[kind] ?? "", isMe ? ", you" : ""),
      facts,
    );
    if (this.facts.isHost && !isMe) {
      item.append(this.#seat(person));
    }
    return item;
  }

  // What the host can do with a seat. It stays open when the list is drawn anew.
  #seat(person) {
    const act = (action, label) =>
      button(label, () => this.onSeat(action, person), {
        "aria-label": `${label}: ${person.alias}`,
        data: { key: `${action} ${person.alias}` },
      });
    const summary = element(
      "summary",
      { "aria-label": `Seat of ${person.alias}`, data: { key: `seat ${person.alias}` } },
      "Seat",
    );
    const seat = element(
      "details",
      { class: "seat", open: this.opened.has(person.alias) },
      summary,
      act("rotate", "New token…"),
      act("remove", "Remove…"),
    );
    seat.addEventListener("toggle", () =>
      seat.open ? this.opened.add(person.alias) : this.opened.delete(person.alias),
    );
    return seat;
  }
}

const keyOf = (target) => target.dataset.key ?? "";

function rank(person) {
  const at = ORDER.indexOf(person.attendance_state);
  return at < 0 ? ORDER.length : at;
}

function lastSeen(person) {
  if (!(person.last_seen_age_ms < NEVER_MS)) return "never seen";
  const age = person.last_seen_age_ms;
  return age < 45_000 ? "here now" : `seen ${relativeTime(0, age)}`;
}
