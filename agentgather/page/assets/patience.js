// How long to pause before the next try, and when trying is of no use: spec/wait.md.

import { TAKEN, UNPUBLISHED } from "./api.js";

const FIRST_MS = 400;
const LONGEST_MS = 10_000;
const LONGEST_ASKED_S = 3_600; // what a Retry-After may ask for
const UNPUBLISHED_MS = 3_600_000;

export class Patience {
  constructor() {
    this.renew();
  }

  // The room answered: what fails next fails for the first time.
  renew() {
    this.pause = 0;
    this.unpublishedAt = null;
  }

  // Gives the pause after a failure, in ms; null where the clock is no reason to try again.
  after({ code, retryAfter = 0 }) {
    if (code === TAKEN) return null;
    if (UNPUBLISHED.has(code)) {
      this.unpublishedAt ??= Date.now();
      if (Date.now() - this.unpublishedAt >= UNPUBLISHED_MS) return null;
    }
    this.pause = Math.min(this.pause ? this.pause * 2 : FIRST_MS, LONGEST_MS);
    const asked = Math.min(retryAfter, LONGEST_ASKED_S) * 1000;
    return Math.max(this.pause * (0.5 + Math.random() / 2), asked);
  }
}
