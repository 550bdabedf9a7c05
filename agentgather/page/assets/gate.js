// The screens before and after the room: invitation, name, the end.

import { call, explain } from "./api.js";
import { byId, setText, show } from "./dom.js";
import { base, setToken, tokenIn } from "./session.js";
import { reveal } from "./text.js";

const SCREENS = ["opening", "invite", "naming", "ended", "room"];

export function showScreen(name) {
  for (const screen of SCREENS) show(byId(screen), screen === name);
  document.documentElement.dataset.screen = name === "naming" ? "name" : name;
}

// Asks for a link, and takes the token out of it. Resolves when there is one.
export function askForLink(why = "") {
  showScreen("invite");
  const field = byId("invite-link");
  setText(byId("invite-error"), reveal(why));
  field.focus();
  return new Promise((done) => {
    byId("invite-form").onsubmit = (event) => {
      event.preventDefault();
      const fault = take(field.value.trim());
      setText(byId("invite-error"), fault);
      field.value = "";
      if (!fault) done();
    };
  });
}

// Returns what is wrong with a link; "" when its token was taken.
function take(link) {
  if (/^(agp|tgl)_[\w-]+$/.test(link)) {
    setToken(link);
    return "";
  }
  let url;
  try {
    url = new URL(link, location.href);
  } catch {
    return "That is not a link. It looks like https://…/#token=agp_…";
  }
  const token = tokenIn(url.hash);
  if (!token) return "That link has no token in it. Copy it whole, with the part after the #.";
  if (url.origin !== location.origin || url.pathname.replace(/\/$/, "") !== base) {
    return "That link is for another room. Open it in the address bar.";
  }
  setToken(token);
  return "";
}

// Lets a person who has no name yet choose one. Resolves when they have.
export function askForName(status) {
  const me = status.participants.find((one) => one.alias === status.me);
  if (me?.kind !== "human" || me.display_name || status.room_status === "closed") return null;
  showScreen("naming");
  setText(byId("naming-alias"), me.alias);
  setText(byId("naming-mention"), `@${me.alias}`);
  setText(byId("naming-room"), reveal(status.room));
  const field = byId("naming-name");
  field.value ||= me.alias;
  field.focus();
  field.select();
  return new Promise((done) => {
    byId("naming-form").onsubmit = async (event) => {
      event.preventDefault();
      setText(byId("naming-error"), "");
      try {
        await call("/profile", { body: { display_name: field.value } });
        done();
      } catch (error) {
        setText(byId("naming-error"), reveal(explain(error)));
        field.focus();
      }
    };
  });
}

// The end of a visit. With `again` there is a way back.
export function showEnd(title, text, again) {
  const isNew = byId("ended").hidden;
  showScreen("ended");
  setText(byId("ended-title"), title);
  setText(byId("ended-text"), text);
  show(byId("ended-again"), Boolean(again));
  byId("ended-again").onclick = again ?? null;
  if (isNew) byId(again ? "ended-again" : "ended-title").focus();
}
