// A picture of the room over time: who wrote when, and who waited for answers.
//
// One row for each participant on a common axis of time: bars are messages, the line
// below them is attendance. The same figures stand in a table under it.

import { call, explain } from "./api.js";
import { byId, element, setText } from "./dom.js";
import { exactTime, plural, reveal } from "./text.js";

const WIDTH = 640;
const NAME = 132; // room for names at the left
const ROW = 46;
const BAR = 26; // the tallest bar
const HUES = 6;
const AXIS = 22;
const SVG = "http://www.w3.org/2000/svg";
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const DATE = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
const SECONDS = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

export async function openOverview(facts) {
  const body = byId("overview-body");
  setText(body, "Reading the room…");
  byId("overview").showModal();
  try {
    const activity = await call("/activity");
    const rows = rowsOf(activity, facts);
    if (!rows.length) setText(body, "Nobody has written anything yet.");
    else body.replaceChildren(legend(), chart(activity, rows), table(activity, rows));
  } catch (error) {
    setText(body, reveal(explain(error)));
  }
}

// One row for each who wrote or attended: {name, total, counts, spans}, spans in milliseconds.
function rowsOf(activity, facts) {
  const end = Date.parse(activity.to);
  const spans = new Map(
    activity.attending.map((one) => [
      one.alias,
      one.spans.map(([from, to]) => [Date.parse(from), to ? Date.parse(to) : end]),
    ]),
  );
  const rows = activity.participants.map((one) => ({
    name: reveal(facts.nameOf(one.alias)),
    total: one.total,
    counts: one.counts,
    spans: spans.get(one.alias) ?? [],
  }));
  const shown = new Set(activity.participants.map((one) => one.alias));
  for (const [alias, found] of spans) {
    if (!shown.has(alias) && rows.length < 16) {
      rows.push({ name: reveal(facts.nameOf(alias)), total: 0, counts: [], spans: found });
    }
  }
  if (activity.others) rows.push({ name: "others", ...activity.others, spans: [] });
  return rows;
}

function svg(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function chart(activity, rows) {
  const from = Date.parse(activity.from);
  const end = Math.max(Date.parse(activity.to), from + activity.bucket_ms);
  const buckets = Math.max(1, ...rows.map((row) => row.counts.length));
  const width = WIDTH - NAME;
  const x = (ms) => NAME + (width * Math.min(Math.max(ms - from, 0), end - from)) / (end - from);
  const most = Math.max(1, ...rows.flatMap((row) => row.counts));
  const height = AXIS + rows.length * ROW;
  const title = `${plural(sum(rows.map((row) => row.total)), "message")} by ${rows.length} from ${exactTime(from)} to ${exactTime(end)}`;
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": title });
  rows.forEach((row, index) => picture.append(...drawRow(row, index, { x, from, activity, buckets, most })));
  picture.append(...axis(from, end, height, x));
  return picture;
}

function drawRow(row, index, { x, from, activity, buckets, most }) {
  const base = index * ROW + BAR + 6;
  const parts = [
    svg("line", { class: "rule", x1: NAME, x2: WIDTH, y1: base + 0.5, y2: base + 0.5 }),
    svg("text", { class: "name", x: NAME - 10, y: base - 6, "text-anchor": "end" }, clip(row.name)),
    svg("text", { class: "count", x: NAME - 10, y: base + 9, "text-anchor": "end" }, plural(row.total, "message")),
  ];
  const step = Math.max((WIDTH - NAME) / buckets, 2);
  row.counts.forEach((count, bucket) => {
    if (!count) return;
    // The square root, so that one message can still be seen beside a hundred.
    const tall = Math.max(2, BAR * Math.sqrt(count / most));
    const start = from + bucket * activity.bucket_ms;
    parts.push(
      svg(
        "rect",
        { class: `bar hue-${index % HUES}`, x: x(start), y: base - tall, width: Math.max(step - 1, 1.5), height: tall },
        svg("title", {}, `${row.name}: ${plural(count, "message")} from ${exactTime(start)}`),
      ),
    );
  });
  for (const [start, end] of row.spans) {
    parts.push(
      svg(
        "rect",
        { class: "span", x: x(start), y: base + 4, width: Math.max(x(end) - x(start), 2), height: 4, rx: 2 },
        svg("title", {}, `${row.name} attended from ${exactTime(start)} to ${exactTime(end)}`),
      ),
    );
  }
  return parts;
}

function axis(from, end, height, x) {
  const form = formFor(end - from);
  return [0, 1 / 3, 2 / 3, 1].map((part) => {
    const at = from + part * (end - from);
    const anchor = part === 0 ? "start" : part === 1 ? "end" : "middle";
    return svg("text", { class: "tick", x: x(at), y: height - 6, "text-anchor": anchor }, form.format(at));
  });
}

// As exact as the picture is.
function formFor(ms) {
  if (ms > 2 * DAY_MS) return DATE;
  return ms > 10 * MINUTE_MS ? CLOCK : SECONDS;
}

function legend() {
  return element(
    "p",
    { class: "legend" },
    element("span", { class: "key-bar" }),
    " messages  ",
    element("span", { class: "key-span" }),
    " attending: in a wait or with the page open",
  );
}

function table(activity, rows) {
  const form = formFor(Date.parse(activity.to) - Date.parse(activity.from));
  const head = element("tr", {}, ...["Who", "Messages", "Most at", "Attended"].map((text) => element("th", { scope: "col" }, text)));
  const lines = rows.map((row) => {
    const most = Math.max(0, ...row.counts);
    const when = most ? Date.parse(activity.from) + row.counts.indexOf(most) * activity.bucket_ms : 0;
    const attended = sum(row.spans.map(([start, end]) => end - start));
    return element(
      "tr",
      {},
      element("th", { scope: "row" }, row.name),
      element("td", {}, row.total.toLocaleString()),
      element("td", {}, most ? `${form.format(when)} (${most})` : "–"),
      element("td", {}, attended ? plural(Math.max(1, Math.round(attended / 60_000)), "minute") : "–"),
    );
  });
  return element(
    "details",
    { class: "figures" },
    element("summary", {}, "The same as a table"),
    element("div", { class: "table", tabIndex: 0, role: "region", "aria-label": "Figures" },
      element("table", {}, element("thead", {}, head), element("tbody", {}, ...lines))),
  );
}

const clip = (name) => ([...name].length > 16 ? `${[...name].slice(0, 15).join("")}…` : name);
const sum = (numbers) => numbers.reduce((total, one) => total + one, 0);
