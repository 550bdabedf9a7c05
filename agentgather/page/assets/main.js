// The page of a room, put together: the gate, then the room, then what keeps it going.

import { call, explain, OVER, Refused, request } from "./api.js";
import { BriefPanel } from "./brief.js";
import { Composer } from "./composer.js";
import { byId, confirmed, setText, show, tell, wireDialogs } from "./dom.js";
import { Facts } from "./facts.js";
import { firstLook } from "./first-look.js";
import { askForLink, askForName, showEnd, showScreen } from "./gate.js";
import { Live } from "./live.js";
import { messagesIn } from "./message.js";
import { Notifier } from "./notify.js";
import { Outbox } from "./outbox.js";
import { Patience } from "./patience.js";
import { Roster } from "./roster.js";
import { forgetToken, setSeat, takeToken, token } from "./session.js";
import { showState } from "./state.js";
import { reveal } from "./text.js";
import { Timeline } from "./timeline.js";

const facts = new Facts();
const notifier = new Notifier(facts);
const announce = (text) => notifier.announce(text);
const brief = new BriefPanel({ facts, announce });
const composer = new Composer({
  facts,
  send: (draft) => {
    timeline.reader.clearDivider();
    outbox.add(draft);
    timeline.toEnd();
  },
  onResize: () => timeline.settle(),
});
const timeline = new Timeline({
  facts,
  answer: (message) => composer.answer(message),
  mayWrite,
  onCount: (unseen) => notifier.title(unseen),
  onKnown: (items) => outbox.settle(new Set(items.map((item) => item.message.client_msg_id))),
  onArrival: (items) => {
    notifier.arrived(items);
    // The room's own lines tell of changes that the status has too.
    if (items.some((item) => item.isSystem)) facts.refreshSoon();
  },
});
const outbox = new Outbox({
  edit: (draft) => composer.edit(draft),
  isKnown: (id) => id <= timeline.head,
  onChange: () => timeline.settle(),
});
const roster = new Roster({
  facts,
  onSeat: (action, person) => withHost((host) => host.seat(action, person)),
});
let live = null;

// What stands beside the messages is drawn once those can be read, and with each change.
function keepDrawn() {
  const drawStatus = () => {
    roster.draw();
    brief.drawAuthor();
    timeline.refresh();
    composer.refresh();
    notifier.title(timeline.reader.unseen);
    showRights();
  };
  const drawBrief = () => brief.draw();
  facts.addEventListener("status", drawStatus);
  facts.addEventListener("brief", drawBrief);
  drawStatus();
  drawBrief();
}

function showRights() {
  if (facts.ended) return;
  show(byId("host-open"), facts.isHost);
  if (facts.isClosed) composer.allow("The room is closed.");
  else if (facts.isObserver) composer.allow("You are an observer: you read, and write nothing.");
  else composer.allow("");
}

function mayWrite() {
  return !facts.isClosed && !facts.isObserver && !facts.ended;
}

function onState(state, detail) {
  const notice = showState(state, detail);
  facts.isHeard = state === "live" || state === "polling";
  if (state === "closed") facts.refresh().catch(() => {});
  if (state === "removed") {
    facts.end();
    forgetToken();
    composer.allow(notice);
    show(byId("leave"), false);
    show(byId("host-open"), false);
  }
}

// Reads what the first screen shows. Refused only if the token is of no use.
async function read() {
  const [page, status, brief] = await firstLook();
  page.messages = messagesIn(page.messages);
  facts.takeStatus(status);
  facts.takeBrief(brief);
  return page;
}

async function enter() {
  const patience = new Patience();
  for (let why = ""; ; ) {
    if (!token()) await askForLink(why);
    try {
      const page = await read();
      setSeat(facts.status.room, facts.me);
      const named = askForName(facts.status);
      if (named) {
        await named;
        await facts.refresh();
      }
      return page;
    } catch (error) {
      if (error instanceof Refused && OVER.has(error.code)) {
        forgetToken();
        why = explain(error);
        continue;
      }
      await retryLater(error, patience.after(error));
    }
  }
}

// Resolves when the browser has painted; a page in the background does not wait for it.
const painted = () =>
  new Promise((done) => {
    requestAnimationFrame(() => setTimeout(done, 0));
    setTimeout(done, 100);
  });

// The host's server may be starting: the link is good, so it is tried again.
function retryLater(error, pause) {
  if (pause === null) {
    showEnd("The room is not public here", "Ask the host where it is.", () => location.reload());
    return new Promise(() => {});
  }
  showEnd("The room does not answer", `${reveal(explain(error))} It is tried again by itself.`);
  return new Promise((done) => setTimeout(done, pause));
}

async function visit() {
  const page = await enter();
  setText(byId("room-name"), reveal(facts.status.room));
  showScreen("room");
  showRights();
  timeline.start(page);
  composer.resume();
  outbox.resume(new Set(page.messages.map((message) => message.client_msg_id)));
  if (mayWrite()) byId("text").focus({ preventScroll: true });
  performance.mark("agentgather:usable");
  notifier.resume();
  if (!facts.isClosed) join();
  await painted();
  keepDrawn();
  facts.keepFresh();
  await follow();
}

// Takes the seat up, and sees itself attend.
async function join() {
  try {
    await call("/join", { body: {} });
    await facts.refresh();
  } catch {
    // The state of the connection is shown; waiting and writing are signs of life too.
  }
}

async function follow() {
  live = new Live({
    cursor: () => timeline.head,
    deliver: (messages) => timeline.deliver(messages),
    onState,
    onStatus: (event) => facts.heed(event),
    onRewind: () => timeline.restart(),
  });
  await live.run();
}

async function leave() {
  const sure = await confirmed(
    "Leave the room?",
    "The others see that you left. Your seat stays yours: you can come back with the same link.",
    "Leave",
  );
  if (!sure) return;
  try {
    await request("/leave", { body: {} });
  } catch (error) {
    await tell("That did not work", reveal(explain(error)));
    return;
  }
  live?.stop();
  facts.end();
  showEnd("You left the room", "Your seat stays yours.", () => location.reload());
}

// Loads a part of the page that most who visit a room never open.
async function open(load, use) {
  let part;
  try {
    part = await load();
  } catch {
    await tell("That did not open", "The rest of the page could not be loaded. Try again in a while.");
    return;
  }
  await use(part);
}

const withHost = (use) =>
  open(() => import("./host.js"), (part) => use(part.controls(facts, announce)));
const openOverview = () =>
  open(() => import("./overview.js"), (part) => part.openOverview(facts));

byId("host-open").addEventListener("click", () => withHost((host) => host.open()));
byId("overview-open").addEventListener("click", openOverview);
byId("leave").addEventListener("click", leave);
byId("side-toggle").addEventListener("click", (event) => {
  const open = document.documentElement.classList.toggle("side-open");
  event.currentTarget.setAttribute("aria-expanded", String(open));
});
// A link pasted into the address bar of this tab is another visit.
addEventListener("hashchange", () => takeToken() && location.reload());
wireDialogs();
visit();
