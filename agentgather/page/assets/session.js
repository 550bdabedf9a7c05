// Who this tab is: the room's base URL, its token, and what the browser keeps of the room.
// It has no imports, so it runs first: the token leaves the address bar at once, and with
// it the history and every copied link.

export const base = location.pathname.replace(/\/$/, "");
const here = `agentgather:${base || "/"}`;

// A browser can be told to keep nothing; then the tab keeps it until it is reloaded.
function storage(name) {
  try {
    window[name].getItem(here);
    return window[name];
  } catch {
    const kept = new Map();
    return {
      getItem: (key) => kept.get(key) ?? null,
      setItem: (key, value) => kept.set(key, value),
      removeItem: (key) => kept.delete(key),
    };
  }
}

const tab = storage("sessionStorage");
let browser = null; // asked for when it is needed: the first question takes a while
let seat = "";

export function tokenIn(link) {
  const hash = link.includes("#") ? link.slice(link.indexOf("#") + 1) : "";
  return new URLSearchParams(hash).get("token") ?? "";
}

// Takes the token out of the address. Returns whether there was one.
export function takeToken() {
  const found = tokenIn(location.hash);
  if (location.hash) history.replaceState(null, "", location.pathname);
  if (found) tab.setItem(`${here}:token`, found);
  return Boolean(found);
}

export const token = () => tab.getItem(`${here}:token`) ?? "";
export const setToken = (text) => tab.setItem(`${here}:token`, text);
export const forgetToken = () => tab.removeItem(`${here}:token`);

// What is kept belongs to a seat of a room: another one at the same URL, in the same tab, must
// not find it. Rooms of one host follow each other on the same port.
export const setSeat = (roomName, alias) => {
  seat = `${roomName}/${alias}`;
};

const keyOf = (name) => `${here}:${seat}:${name}`;

// For this tab: drafts and what is not sent yet.
export const keep = (name, value) => tab.setItem(keyOf(name), JSON.stringify(value));
export const kept = (name) => parse(tab.getItem(keyOf(name)));

// For this browser: how far the room was read, and whether to notify.
export const remember = (name, value) => lasting().setItem(keyOf(name), JSON.stringify(value));
export const remembered = (name) => parse(lasting().getItem(keyOf(name)));
const lasting = () => (browser ??= storage("localStorage"));

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

takeToken();
