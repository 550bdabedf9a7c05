// The room's brief, who wrote it, and that it has changed.

import { byId, setText, show } from "./dom.js";
import { fill } from "./message.js";
import { exactTime, relativeTime, reveal } from "./text.js";

export class BriefPanel {
  // `announce(text)` tells those who don't see it.
  constructor({ facts, announce }) {
    this.facts = facts;
    this.announce = announce;
    this.version = null;
    this.panel = byId("brief");
    this.panel.addEventListener("toggle", () => this.#read());
    this.panel.addEventListener("pointerdown", () => this.#read());
  }

  draw() {
    const { brief, me } = this.facts;
    const isNew = this.version !== null && brief.brief_version !== this.version;
    const changed = isNew && brief.brief_updated_by !== me;
    this.version = brief.brief_version;
    setText(byId("brief-version"), `v${brief.brief_version}`);
    this.drawAuthor();
    const text = brief.body ? brief : { html: "<p>There is no brief yet.</p>" };
    fill(byId("brief-text"), { html: text.html, text: text.body }, me);
    if (changed) {
      show(byId("brief-changed"), true);
      this.announce(`The brief has changed: version ${brief.brief_version}`);
    }
  }

  // Who wrote it, and how long ago: that changes although the brief does not.
  drawAuthor() {
    const { brief } = this.facts;
    const at = Date.parse(brief.brief_updated_at);
    const when = Number.isNaN(at) ? "" : `, ${relativeTime(at)}`;
    setText(byId("brief-by"), `by ${reveal(this.facts.nameOf(brief.brief_updated_by))}${when}`);
    byId("brief-by").title = Number.isNaN(at) ? "" : exactTime(at);
  }

  #read() {
    if (this.panel.open) show(byId("brief-changed"), false);
  }
}
