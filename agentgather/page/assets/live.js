// The room as it goes on: one connection that is made again whenever it ends.
//
//   stream   /events, as long as something is heard every 15 s
//   poll     /wait and /messages, where a proxy keeps the stream to itself, or the seat has
//            too many streams already
//
// Both resume from the same cursor, the last message that was delivered, so whatever
// happens in between, no message is missing and none comes twice.

import { call, OVER, Refused, request, Unreachable } from "./api.js";
import { eventsIn } from "./event-stream.js";
import { Patience } from "./patience.js";

const FIRST_EVENT_MS = 4_000; // the server sends one at once; a proxy that buffers does not
const HEARTBEAT_MS = 15_000;
const SILENCE_MS = 35_000; // two heartbeats and a bit
const AWAY_MS = 8_000; // a restart is over by then
const STREAM_AGAIN_MS = 120_000; // how long to poll before the stream is tried again
const POLL_MS = 5_000; // between two looks when no wait may be held
const HOLD_S = 20;
const REWIND_MS = 10_000; // a log that is shorter again so soon is no log

const now = () => Date.now(); // goes on while a laptop sleeps; performance.now() may not

export class Live {
  // `deliver(messages)` takes messages past `cursor()`, `onState(state, detail)` is told
  // of connecting, live, polling, reconnecting, away, gone, closed and removed, `onStatus(event)`
  // of the room's facts, and `onRewind()` reads a log anew that is shorter than it was.
  constructor({ cursor, deliver, onState, onStatus, onRewind }) {
    Object.assign(this, { cursor, deliver, onState, onStatus, onRewind });
    this.heardAt = now();
    this.attempt = null;
    this.heard = false;
    this.rewoundAt = 0;
    this.openedAt = 0; // the cursor that the stream began with
    this.quietMs = SILENCE_MS; // how long nothing is heard when all is well
    this.wakeUp = () => {};
    this.awayTimer = null; // runs while nothing is heard
    this.stopped = false;
  }

  // Runs until the room is closed, the seat has ended, or stop().
  async run() {
    const watch = setInterval(() => this.#watch(), 5_000);
    const look = () => this.look();
    addEventListener("online", look);
    addEventListener("pageshow", look);
    document.addEventListener("visibilitychange", look);
    try {
      await this.#follow();
    } finally {
      clearInterval(watch);
      this.#stopClock();
      removeEventListener("online", look);
      removeEventListener("pageshow", look);
      document.removeEventListener("visibilitychange", look);
    }
  }

  stop() {
    this.stopped = true;
    this.attempt?.abort();
    this.wakeUp();
  }

  // Something may have changed, such as the network or the lid: don't wait for the clock.
  look() {
    if (document.hidden) return;
    if (now() - this.heardAt > this.quietMs) this.attempt?.abort();
    this.wakeUp();
  }

  #watch() {
    if (now() - this.heardAt > SILENCE_MS) this.attempt?.abort();
  }

  async #follow() {
    const patience = new Patience();
    let polling = "";
    let isAway = false;
    while (!this.stopped) {
      this.attempt = new AbortController();
      this.heardAt = now();
      let failure = {};
      try {
        const end = await (polling ? this.#poll(polling) : this.#stream());
        if (end.state) return this.onState(end.state, end.detail);
        polling = end.poll ?? "";
        if (end.rewind) await this.#rewind();
        if (polling || end.again || end.rewind) continue;
      } catch (error) {
        if (error instanceof Refused && OVER.has(error.code)) {
          return this.onState("removed", error.code);
        }
        if (error instanceof Refused && error.code === "wait_limit") {
          polling = "tabs";
          continue;
        }
        polling = "";
        failure = error;
      } finally {
        this.attempt.abort();
      }
      if (this.stopped) return;
      if (this.heard) {
        patience.renew();
        isAway = false;
      }
      this.heard = false;
      const pause = patience.after(failure);
      if (pause === null) {
        this.#stopClock();
        this.onState("gone", failure.code);
        await this.#sleep(null);
        continue;
      }
      isAway ||= failure.away === true;
      this.onState(isAway ? "away" : "reconnecting");
      // By the clock, not by the next attempt, which may be long in coming or hang.
      this.awayTimer ??= setTimeout(() => {
        isAway = true;
        this.onState("away");
      }, AWAY_MS);
      await this.#sleep(pause);
    }
  }

  async #stream() {
    const { signal } = this.attempt;
    this.openedAt = this.cursor();
    this.quietMs = HEARTBEAT_MS + 2_000;
    const silence = setTimeout(() => this.attempt.abort("silent"), FIRST_EVENT_MS);
    try {
      const response = await request(`/events?since_id=${this.openedAt}&render=html`, {
        signal,
        patience: 0,
      });
      if (!response.body) return { poll: "no stream" };
      for await (const events of eventsIn(response, () => this.#hear())) {
        clearTimeout(silence);
        const end = this.#take(events);
        if (end) return end;
      }
      // An end without `closed` is a restart, or a cut.
      return {};
    } catch (error) {
      if (signal.reason === "silent" && !this.stopped) return { poll: "a proxy" };
      // An older broker, or an older host behind a broker, has none, and says so.
      if (error.code === "unsupported_route") return { poll: "no stream" };
      throw error;
    } finally {
      clearTimeout(silence);
    }
  }

  #hear() {
    this.heardAt = now();
    this.heard = true;
    this.#stopClock();
  }

  // What fails after this begins a time of its own.
  #stopClock() {
    clearTimeout(this.awayTimer);
    this.awayTimer = null;
  }

  #take(events) {
    this.onState("live");
    const messages = events.filter((one) => one.event === "message");
    // A log that was set back to an older state goes on with ids that were read already.
    if (messages.some((one) => one.id <= this.openedAt)) return { rewind: true };
    if (messages.length) this.deliver(messages.map((one) => one.data));
    // A seat that has ended is shown nothing more, and may ask for nothing.
    const closed = events.find((one) => one.event === "closed");
    if (closed && closed.data.reason !== "room_closed") return ENDS[closed.data.reason] ?? {};
    for (const { event, data } of events) {
      if (event === "status") this.onStatus(data);
      if (event === "heartbeat" && data.next_since_id < this.cursor()) return { rewind: true };
    }
    return closed ? ENDS.room_closed : null;
  }

  async #rewind() {
    if (now() - this.rewoundAt < REWIND_MS) throw new Unreachable("The room contradicts itself.");
    this.rewoundAt = now();
    await this.onRewind();
  }

  // Returns after a while, so that the stream is tried again.
  async #poll(why) {
    const { signal } = this.attempt;
    const until = now() + STREAM_AGAIN_MS;
    this.quietMs = (HOLD_S + (why === "no stream" ? 15 : 5)) * 1000;
    // The first answer is asked for at once: it tells a proxy that buffers from no network.
    for (let hold = 0; now() < until; hold = HOLD_S) {
      if (why !== "tabs") {
        const since = this.cursor();
        const wait = await call(`/wait?since_id=${since}&hold=${hold}`, {
          signal,
          // An older host holds it for 25 s, whatever is asked.
          patience: (why === "no stream" ? 35 : hold + 10) * 1000,
        });
        if (wait.participant_status === "removed") return ENDS.participant_removed;
        if (wait.next_since_id < since) return { rewind: true };
        this.#hear();
        this.onState("polling", why);
        if (wait.messages.length) await this.#catchUp(signal);
        if (wait.room_status === "closed") return ENDS.room_closed;
      } else {
        const status = await call("/status", { signal });
        this.#hear();
        this.onState("polling", why);
        await this.#catchUp(signal);
        if (status.room_status === "closed") return ENDS.room_closed;
        await this.#sleep(POLL_MS);
      }
      if (this.stopped) return {};
    }
    return { again: true };
  }

  async #catchUp(signal) {
    for (let more = true; more; ) {
      const since = this.cursor();
      const page = await call(`/messages?since_id=${since}&render=html`, { signal });
      if (page.messages.length) this.deliver(page.messages);
      more = page.has_more && this.cursor() > since;
    }
  }

  // Without a time: until there is a reason to look.
  #sleep(ms) {
    return new Promise((done) => {
      const timer = ms === null ? null : setTimeout(done, ms);
      this.wakeUp = () => {
        clearTimeout(timer);
        done();
      };
    });
  }
}

const ENDS = {
  __proto__: null,
  room_closed: { state: "closed" },
  participant_removed: { state: "removed", detail: "participant_removed" },
  token_replaced: { state: "removed", detail: "forbidden" },
};
