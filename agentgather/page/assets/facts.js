// What the room says of itself: its status, its people, its brief. One place, read by all.

import { call } from "./api.js";

const OFTEN_MS = 15_000; // how old what /status says of attendance may get
const SELDOM_MS = 60_000; // the same in a room of many hundred seats
const APART_MS = 2_000; // between two readings that events ask for
const SPREAD_MS = 200; // so that not all pages of a room ask in the same moment

export class Facts extends EventTarget {
  // Fires `status` and `brief` when they were read anew.
  constructor() {
    super();
    this.status = null;
    this.brief = null;
    this.people = new Map();
    this.reading = null;
    this.again = false;
    this.readAt = 0;
    this.due = null;
    this.ended = false;
    this.isHeard = false; // somebody answers: else asking is left to live.js, which takes its time
  }

  // The seat has ended: nothing more is asked for.
  end() {
    this.ended = true;
  }

  get me() {
    return this.status?.me ?? "";
  }

  get isHost() {
    return this.status?.is_host === true;
  }

  get isClosed() {
    return this.status.room_status === "closed";
  }

  get isObserver() {
    return this.people.get(this.me)?.role === "observer";
  }

  // Who can be mentioned.
  get present() {
    return [...this.people.values()].filter((one) => !one.removed_at);
  }

  nameOf(alias) {
    return this.people.get(alias)?.display_name ?? alias;
  }

  // Reads the status; several calls at once are one request, and one more after it.
  async refresh() {
    if (this.ended) return null;
    if (this.reading) {
      this.again = true;
      return this.reading;
    }
    this.reading = this.#read();
    try {
      return await this.reading;
    } finally {
      this.reading = null;
      if (this.again) {
        this.again = false;
        this.refresh().catch(() => {});
      }
    }
  }

  // Something has changed. In a lively room much does, and one reading tells of it all.
  refreshSoon() {
    const wait = Math.max(0, this.readAt + APART_MS - Date.now()) + SPREAD_MS * Math.random();
    this.due ??= setTimeout(() => {
      this.due = null;
      this.refresh().catch(() => {});
    }, wait);
  }

  async #read() {
    const status = await call("/status");
    if (this.ended) return;
    this.takeStatus(status);
    if (this.status.brief_version !== this.brief.brief_version) await this.readBrief();
  }

  async readBrief() {
    this.takeBrief(await call("/brief?render=html"));
  }

  takeStatus(status) {
    status.participants = status.participants.filter(isPerson);
    this.status = status;
    this.people = new Map(status.participants.map((one) => [one.alias, one]));
    this.readAt = Date.now();
    this.dispatchEvent(new Event("status"));
  }

  takeBrief({ brief }) {
    if (!(brief instanceof Object)) throw new TypeError("that is no brief");
    this.brief = brief;
    this.dispatchEvent(new Event("brief"));
  }

  // The stream tells when the roster, the policy or the brief has changed.
  heed({ room_status, brief_version, attendance_policy, roster_version }) {
    const told = JSON.stringify([room_status, brief_version, attendance_policy, roster_version]);
    if (told !== this.told) this.refreshSoon();
    this.told = told;
  }

  // Attendance is told by nobody: it is looked at while somebody looks at the page.
  keepFresh() {
    setInterval(() => {
      const age = this.people.size > 300 ? SELDOM_MS : OFTEN_MS;
      const due = Date.now() - this.readAt >= age;
      if (due && this.isHeard && !document.hidden && !this.isClosed) this.refresh().catch(() => {});
    }, 5_000);
  }
}

// Through a broker the room's server is somebody else's.
function isPerson(one) {
  return typeof one?.alias === "string" && typeof (one.display_name ?? "") === "string";
}
