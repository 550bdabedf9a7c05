// What the first screen shows, asked for before the rest of the page has loaded.

import { call } from "./api.js";
import { token } from "./session.js";

const FIRST = 14; // messages: more than a window shows
const PAST_THE_END = 999_999_999_999_999;

export const newestPage = (limit) =>
  call(`/messages?before_id=${PAST_THE_END}&limit=${limit}&render=html`);

function look() {
  const found = Promise.all([newestPage(FIRST), call("/status"), call("/brief?render=html")]);
  // Whoever takes it hears of the failure.
  found.catch(() => {});
  return found;
}

let early = token() ? look() : null;

// Gives [page, status, brief]; the first time it is on its way already.
export function firstLook() {
  const found = early ?? look();
  early = null;
  return found;
}
