// Text as the page shows it: hidden characters spelled out, times in words.

// What is drawn as nothing, or changes what is drawn around it. The server marks the same
// characters in messages; here they are spelled in names, briefs being edited and errors.
const HIDDEN =
  /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0e\ufeff\uffa0\ufff0-\ufffb\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]/gu;

export function reveal(text) {
  return String(text).replace(HIDDEN, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);
}

// The start of a text in one line.
export function excerpt(text, length = 90) {
  const line = reveal(text.slice(0, 4 * length)).replace(/\s+/g, " ").trim();
  return line.length > length ? `${line.slice(0, length - 1).trimEnd()}…` : line;
}

// Made at the first use: each takes a browser some milliseconds.
const once = (make) => {
  let made;
  return () => (made ??= make());
};
const date = (options) => once(() => new Intl.DateTimeFormat(undefined, options));
const day = date({ dateStyle: "full" });
const exact = date({ dateStyle: "full", timeStyle: "medium" });
const short = date({ dateStyle: "medium" });
const ago = once(() => new Intl.RelativeTimeFormat(undefined, { numeric: "always", style: "short" }));
const STEPS = [
  [60, "second", 1],
  [3600, "minute", 60],
  [86_400, "hour", 3600],
  [7 * 86_400, "day", 86_400],
];

export const dayOf = (ms) => (Number.isNaN(ms) ? "" : day().format(ms));
export const exactTime = (ms) => (Number.isNaN(ms) ? "" : exact().format(ms));

export function relativeTime(ms, now = Date.now()) {
  if (Number.isNaN(ms)) return "";
  const seconds = (now - ms) / 1000;
  if (seconds < 45) return "just now";
  const step = STEPS.find(([below]) => seconds < below);
  return step ? ago().format(-Math.round(seconds / step[2]), step[1]) : short().format(ms);
}

const grouped = (count) => (count < 1000 ? String(count) : count.toLocaleString());

export const plural = (count, one, many = `${one}s`) =>
  `${grouped(count)} ${count === 1 ? one : many}`;

// Mentions in a text that is being written, in capitals too, which name nobody: code is left
// out roughly, the server decides.
export function mentionsIn(text) {
  const prose = text.replace(/(```|~~~)[\s\S]*?(\1|$)/g, " ").replace(/`[^`\n]*`/g, " ");
  return [...new Set([...prose.matchAll(/(?<![\w-])@([a-z0-9-]+)/gi)].map((match) => match[1]))];
}
