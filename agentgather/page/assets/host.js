// What only the host sees: invite, remove, rotate, brief, policy, loop guard, export, close.

import { call, explain, request } from "./api.js";
import { byId, confirmed, copyButton, element, setText, show, tell } from "./dom.js";
import { fill } from "./message.js";
import { reveal } from "./text.js";

const PREVIEW_MS = 400;
const MEANINGS = {
  "manual-ok": "Now: nobody has to stay; read and post when you can.",
  "agents-foreground": "Now: every agent is asked to stay in the wait loop until the room closes.",
  "all-foreground": "Now: everybody, people too, is asked to stay until the room closes.",
  "host-directed": "Now: you say in the room who stays and who may go.",
};

let made = null;

export function controls(facts, announce) {
  made ??= new HostControls(facts, announce);
  return made;
}

class HostControls {
  constructor(facts, announce) {
    this.facts = facts;
    this.announce = announce;
    const on = (id, act) => byId(id).addEventListener("click", () => this.#try(act));
    on("invite-open", () => this.#openInvite());
    on("invite-another", () => this.#openInvite());
    on("policy-set", () => this.#setPolicy());
    on("brief-edit", () => this.#openBrief());
    on("rearm", () => this.#rearm());
    on("export-md", () => this.#export("md"));
    on("export-json", () => this.#export("json"));
    on("close-room", () => this.#close());
    this.#onSubmit("inviting-form", "inviting-error", () => this.#invite());
    this.#onSubmit("briefing-form", "briefing-error", () => this.#setBrief());
    byId("briefing-text").addEventListener("input", () => this.#previewSoon());
    facts.addEventListener("status", () => this.#draw());
  }

  open() {
    setText(byId("host-result"), "");
    this.#draw();
    byId("policy-choice").value = this.facts.status.attendance_policy;
    byId("host").showModal();
  }

  // Rotates or removes a seat, after a question.
  async seat(action, person) {
    const { alias } = person;
    if (action === "remove") {
      const sure = await confirmed(
        `Remove ${alias}?`,
        `${alias} is out at once and for good. What ${alias} wrote stays.`,
        "Remove",
      );
      if (!sure) return;
      await this.#tell(() => call(`/participants/${alias}/remove`, { body: {} }), `${alias} is removed.`);
      await this.facts.refresh();
    } else {
      const sure = await confirmed(
        `New token for ${alias}?`,
        `The link and card that ${alias} has end at once. You get new ones to pass on.`,
        "Make a new token",
      );
      if (!sure) return;
      const invited = await this.#tell(() => call(`/participants/${alias}/rotate`, { body: {} }));
      if (invited) await this.#showInvited(invited, `New token for ${alias}`);
    }
  }

  #draw() {
    setText(byId("policy-meaning"), MEANINGS[this.facts.status.attendance_policy] ?? "");
    for (const id of ["invite-open", "policy-set", "brief-edit", "rearm", "close-room"]) {
      byId(id).disabled = this.facts.isClosed;
    }
  }

  async #try(act) {
    try {
      await act();
    } catch (error) {
      this.#say(explain(error));
    }
  }

  // Does something that is not asked for in the dialog, and says how it went.
  async #tell(act, done = "") {
    try {
      const answer = await act();
      if (done) this.announce(done);
      return answer;
    } catch (error) {
      await tell("That did not work", reveal(explain(error)));
      return null;
    }
  }

  #say(text) {
    setText(byId("host-result"), reveal(text));
  }

  #onSubmit(form, errorLine, act) {
    byId(form).addEventListener("submit", async (event) => {
      event.preventDefault();
      setText(byId(errorLine), "");
      const submit = event.submitter;
      if (submit) submit.disabled = true;
      try {
        await act();
      } catch (error) {
        setText(byId(errorLine), reveal(explain(error)));
      } finally {
        if (submit) submit.disabled = false;
      }
    });
  }

  // --- Invite -----------------------------------------------------------------------------
  #openInvite() {
    const dialog = byId("inviting");
    setText(byId("inviting-title"), "Invite");
    show(byId("inviting-form"), true);
    show(byId("invited"), false);
    byId("inviting-form").reset();
    setText(byId("inviting-error"), "");
    byId("host").close();
    if (!dialog.open) dialog.showModal();
    byId("inviting-alias").focus();
  }

  async #invite() {
    const form = byId("inviting-form");
    const draft = {
      alias: byId("inviting-alias").value.trim(),
      kind: new FormData(form).get("kind"),
      single_use: byId("inviting-single").checked,
    };
    if (byId("inviting-observer").checked) draft.role = "observer";
    if (byId("inviting-expiry").value) draft.expires_in_s = Number(byId("inviting-expiry").value);
    const invited = await call("/participants", { body: draft });
    await this.#showInvited(invited, `${draft.alias} is invited`);
    this.facts.refresh().catch(() => {});
  }

  async #showInvited(invited, title) {
    setText(byId("inviting-title"), title);
    show(byId("inviting-form"), false);
    show(byId("invited"), true);
    const isAgent = invited.kind === "agent";
    setText(
      byId("invited-what"),
      isAgent
        ? "Give the agent the command, or paste the card into its session."
        : "Send the person the link.",
    );
    setText(byId("invited-alias"), invited.alias);
    show(byId("invited-command"), isAgent);
    show(byId("invited-card"), isAgent);
    this.#give("invited-link", "Copy the link", invited.browser_url);
    this.#give("invited-command", "Copy the command", invited.card_command);
    if (!byId("inviting").open) byId("inviting").showModal();
    if (!isAgent) return;
    this.#give("invited-card", "Copy the card", "…");
    const card = await this.#tell(async () => {
      const answer = await request("/card?base=public", { as: invited.token });
      return answer.text();
    });
    // The command above prints it as well.
    show(byId("invited-card"), Boolean(card));
    if (card) this.#give("invited-card", "Copy the card", card);
  }

  #give(id, label, text) {
    const box = byId(id);
    const shown = element("pre", { class: "give", tabIndex: 0 }, text);
    for (const old of box.querySelectorAll("pre, button")) old.remove();
    box.append(shown, copyButton(label, () => text));
  }

  // --- The room ---------------------------------------------------------------------------
  async #setPolicy() {
    const policy = byId("policy-choice").value;
    await call("/attendance", { body: { policy } });
    await this.facts.refresh();
    this.#say("The policy is set.");
  }

  async #rearm() {
    const { remaining } = await call("/loop-guard", { body: {} });
    this.#say(`Agents may post ${remaining} more messages before a person does.`);
  }

  async #openBrief() {
    await this.facts.readBrief();
    byId("briefing-text").value = this.facts.brief.body;
    setText(byId("briefing-error"), "");
    byId("host").close();
    byId("briefing").showModal();
    await this.#preview();
  }

  #previewSoon() {
    clearTimeout(this.previewing);
    this.previewing = setTimeout(() => this.#preview(), PREVIEW_MS);
  }

  async #preview() {
    const text = byId("briefing-text").value;
    try {
      const { html } = await call("/preview", { body: { text } });
      // An answer that was overtaken by more typing is not shown.
      if (byId("briefing-text").value === text) fill(byId("briefing-preview"), { html });
    } catch (error) {
      setText(byId("briefing-preview"), reveal(explain(error)));
    }
  }

  async #setBrief() {
    await call("/brief", { body: { body: byId("briefing-text").value } });
    byId("briefing").close();
    await this.facts.refresh();
  }

  async #export(format) {
    this.#say("Preparing the file…");
    const response = await request(`/export?format=${format}`, { patience: 0 });
    const file = URL.createObjectURL(await response.blob());
    element("a", { href: file, download: `${this.facts.status.room}.${format}` }).click();
    setTimeout(() => URL.revokeObjectURL(file), 60_000);
    this.#say("The file is in your downloads.");
  }

  async #close() {
    const sure = await confirmed(
      "Close the room?",
      "Everybody is told, every wait ends, and nobody can write any more. It can't be opened again.",
      "Close the room",
    );
    if (!sure) return;
    await call("/close", { body: {} });
    byId("host").close();
    await this.facts.refresh();
  }
}
