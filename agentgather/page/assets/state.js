// Says plainly how the connection is: a word in the bar, and a line where more is to be said.

import { byId, setText, show } from "./dom.js";

const STATES = {
  __proto__: null,
  connecting: "connecting…",
  live: "live",
  polling: "live, by polling",
  reconnecting: "reconnecting…",
  away: "host away",
  gone: "not public",
  closed: "closed",
  removed: "removed",
};
const NOTICES = {
  __proto__: null,
  away: "The host's server does not answer. It is tried again every few seconds; what you write is kept.",
  gone: "The room is not public here any more. Ask the host; this page looks again when you come back to it.",
  route_closed: "The room was taken from this address. Ask the host where it is; nothing that you see is lost.",
  closed: "The room is closed. You can read it; nobody can write any more.",
  polling: "Messages come a little later: something between you and the room holds back the stream.",
  tabs: "Messages come a little later: your seat is open in too many windows.",
  participant_removed: "The host has removed you from this room. What you see is what was there until then.",
  removed: "Your seat in this room has ended. Ask the host for a new link, and open it here.",
  forbidden: "Your link is no longer valid. Ask the host for a new one, and open it here.",
};

// Shows a state of live.js, and `detail` if there is a line for it. Returns that line.
export function showState(state, detail = "") {
  const chip = byId("state");
  chip.dataset.state = state;
  setText(chip, STATES[state]);
  const notice = NOTICES[detail] ?? NOTICES[state] ?? "";
  setText(byId("notice"), notice);
  show(byId("notice"), Boolean(notice));
  return notice;
}
