// The second wall around rendered messages. The room's server has made its HTML safe
// already; through a broker that server is somebody else's. So nothing is put into the
// document but these elements, with these attributes and values; spec/rendered.md lists them.

import { reveal } from "./text.js";

const PLAIN = new Set(
  "blockquote br code del div em h3 h4 h5 h6 hr li ol p pre span strong table tbody td th thead tr ul"
    .toUpperCase()
    .split(" "),
);
// None of the page's own names is among them. The short ones are the highlighter's.
const CLASS =
  /^(image|table|task-item|plain|code|mention|hidden-char|task|left|center|right|[a-z][a-z0-9]{0,2})$/;
const VALUES = {
  "data-alias": /^[a-z0-9][a-z0-9-]{0,63}$/,
  "data-language": /^[a-z0-9+#-]{1,20}$/i,
  "aria-label": /^(to do|done)$/,
  role: /^img$/,
  start: /^[0-9]{1,9}$/,
};
const LINK = /^(https?:\/\/|mailto:)/i;

// Gives a fragment of the document with what is allowed of `html`.
export function safeFragment(html) {
  // What is in a template belongs to a document of its own: nothing loads, no script runs.
  const parsed = document.createElement("template");
  parsed.innerHTML = html;
  const fragment = document.createDocumentFragment();
  copyInto(fragment, parsed.content);
  return fragment;
}

// A field in a form takes the place of the form's own property of that name, so these are asked
// for in a way that no name stands for.
const childrenOf = Object.getOwnPropertyDescriptor(Node.prototype, "childNodes").get;

function copyInto(target, source) {
  for (const node of childrenOf.call(source)) {
    if (node instanceof Text) {
      target.append(reveal(node.data));
    } else if (node instanceof Element) {
      const copy = copyOf(node);
      // What is not known loses its tag and keeps its text.
      if (copy) target.append(copy);
      copyInto(copy ?? target, node);
    }
  }
}

function copyOf(node) {
  const isLink = node.tagName === "A";
  if (!isLink && !PLAIN.has(node.tagName)) return null;
  const copy = document.createElement(node.tagName);
  if (CLASS.test(node.className)) copy.className = node.className;
  for (const [name, allowed] of Object.entries(VALUES)) {
    const value = node.getAttribute(name);
    if (value !== null && allowed.test(value)) copy.setAttribute(name, value);
  }
  if (isLink && LINK.test(node.getAttribute("href") ?? "")) {
    copy.setAttribute("href", node.getAttribute("href"));
    copy.target = "_blank";
    copy.rel = "noopener noreferrer";
  }
  return copy;
}
