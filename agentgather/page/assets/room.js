// The page of a room: it shows the log as it grows, and posts.
// Whatever a participant wrote reaches the document as text, never as markup.

const base = location.pathname.replace(/\/$/, "");
const tokenKey = `agentgather:${base}`;
const byId = (id) => document.getElementById(id);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

let token = "";
let me = "";
let sinceId = 0;

function takeToken(hash) {
  const found = new URLSearchParams(hash.replace(/^#/, "")).get("token");
  if (found) sessionStorage.setItem(tokenKey, found);
  // The token leaves the address bar, and with it the history and every copied link.
  if (location.hash) history.replaceState(null, "", location.pathname);
  return sessionStorage.getItem(tokenKey) ?? "";
}

async function call(path, body) {
  const options = { headers: { Authorization: `Bearer ${token}` }, cache: "no-store" };
  if (body !== undefined) {
    options.method = "POST";
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const response = await fetch(`${base}${path}`, options);
  const answer = await response.json();
  if (!answer.ok) throw Object.assign(new Error(answer.message), { code: answer.error });
  return answer;
}

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}

function show(message) {
  if (message.id <= sinceId) return;
  sinceId = message.id;
  const item = document.createElement("li");
  item.id = `message-${message.id}`;
  if (message.type === "system") item.className = "system";
  if (message.mentions.includes(me)) item.className = "mentioned";
  const time = element("time", "", new Date(message.ts).toLocaleTimeString());
  time.dateTime = message.ts;
  item.append(element("span", "author", message.from), time, element("span", "text", message.text));
  const atEnd = innerHeight + scrollY >= document.body.scrollHeight - 80;
  byId("timeline").append(item);
  if (atEnd) item.scrollIntoView({ block: "nearest" });
}

async function showFacts() {
  const [status, { brief }] = await Promise.all([call("/status"), call("/brief")]);
  me = status.me;
  document.title = status.room;
  byId("room-name").textContent = status.room;
  byId("brief-text").textContent = brief.body || "(empty)";
  byId("composer").hidden = status.room_status === "closed";
  byId("roster").replaceChildren(
    ...status.participants
      .filter((one) => !one.removed_at)
      .map((one) => {
        const item = element("li", "", one.display_name ?? one.alias);
        item.append(" ", element("span", "kind", `${one.kind}, ${one.attendance_state}`));
        return item;
      }),
  );
}

function say(text) {
  byId("connection").textContent = text;
}

// One block of the event stream, as [event, data].
function parseEvent(block) {
  const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s)));
  return [fields.event, JSON.parse(fields.data)];
}

// Reads the stream until it ends. Returns true if it is over for good.
async function follow() {
  const response = await fetch(`${base}/events?since_id=${sinceId}`, {
    headers: { Authorization: `Bearer ${token}` },
  });
  if (!response.ok) {
    const refused = await response.json();
    throw Object.assign(new Error(refused.message), { code: refused.error });
  }
  say("live");
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return false;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const [event, data] of blocks.map(parseEvent)) {
      if (event === "message") show(data);
      if (event === "status") await showFacts();
      if (event === "closed") {
        say(data.reason.replaceAll("_", " "));
        byId("composer").hidden = true;
        return true;
      }
    }
  }
}

const FINAL = new Set(["unauthorized", "forbidden", "participant_removed", "invite_expired"]);

async function stayConnected() {
  for (let pause = 500; ; pause = Math.min(pause * 2, 30_000)) {
    try {
      if (await follow()) return;
      pause = 500;
    } catch (error) {
      if (FINAL.has(error.code)) {
        say(error.message);
        return;
      }
    }
    say("reconnecting…");
    await sleep(pause * (0.5 + Math.random() / 2));
  }
}

async function send(event) {
  event.preventDefault();
  const text = byId("text").value;
  if (!text.trim()) return;
  byId("send-error").textContent = "";
  try {
    await call("/messages", { text, client_msg_id: crypto.randomUUID() });
    byId("text").value = "";
  } catch (error) {
    byId("send-error").textContent = error.message;
  }
}

async function enter(hash) {
  token = takeToken(hash);
  if (!token) {
    byId("invite").hidden = false;
    return;
  }
  try {
    await showFacts();
    await call("/join", {}).catch(() => {});
  } catch (error) {
    sessionStorage.removeItem(tokenKey);
    byId("invite-error").textContent = error.message;
    byId("invite").hidden = false;
    return;
  }
  byId("invite").hidden = true;
  byId("room").hidden = false;
  await stayConnected();
}

byId("composer").addEventListener("submit", send);
byId("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) send(event);
});
byId("invite-form").addEventListener("submit", (event) => {
  event.preventDefault();
  enter(new URL(byId("invite-link").value, location.href).hash);
});
addEventListener("hashchange", () => location.reload());
enter(location.hash);
