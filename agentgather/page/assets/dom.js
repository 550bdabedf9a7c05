// Elements, and the few things that every part does with them.

export const byId = (id) => document.getElementById(id);

// Makes an element. Text goes in as text, never as markup.
export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (key === "class") made.className = value;
    else if (key === "data") Object.assign(made.dataset, value);
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key in made && !key.includes("-")) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function button(label, act, properties = {}) {
  return element("button", { type: "button", onclick: act, ...properties }, label);
}

// Sets text only where it changes, so that a screen reader is told once.
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

export function show(target, visible) {
  target.hidden = !visible;
}

// Copies text. Where the room is served without TLS, browsers hide the clipboard.
export async function copyText(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const holder = element("textarea", { class: "unseen", value: text });
  // Inside an open dialog nothing outside of it can be selected.
  (document.querySelector("dialog[open]") ?? document.body).append(holder);
  holder.select();
  const done = document.execCommand("copy");
  holder.remove();
  if (!done) throw new Error("the browser does not let this page copy");
}

export function copyButton(label, text, properties = {}) {
  const made = button(label, copy, { class: "copy", ...properties });
  async function copy() {
    try {
      await copyText(text());
      made.textContent = "Copied";
    } catch {
      made.textContent = "Select and copy by hand";
    }
    setTimeout(() => (made.textContent = label), 2000);
  }
  return made;
}

// Asks a question in the page's own dialog. Resolves to whether the answer was yes.
export function confirmed(title, text, yes) {
  const dialog = byId("confirm");
  setText(byId("confirm-title"), title);
  setText(byId("confirm-text"), text);
  setText(byId("confirm-yes"), yes);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((done) => {
    dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), { once: true });
  });
}

// Tells something in the same dialog, with nothing to decide.
export async function tell(title, text) {
  show(byId("confirm-no"), false);
  await confirmed(title, text, "OK");
  show(byId("confirm-no"), true);
}

// Dialogs close by their own button, by Escape, and by a click beside them.
export function wireDialogs() {
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.querySelector(".close")?.addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close();
    });
  }
}
