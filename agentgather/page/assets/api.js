// One request to the room. A refusal is an answer; everything else is no answer.

import { base, token } from "./session.js";

const ANSWER_MS = 15_000;

// The server said no. `code` is from its table; `retryAfter` in seconds.
export class Refused extends Error {
  constructor(status, code, message, retryAfter) {
    super(message);
    Object.assign(this, { status, code, retryAfter });
  }
}

// Nobody answered, or somebody who is not the room. The same request may work later.
// `away` is true where a broker says that the host is not there; `code` and `retryAfter` are
// what was said, if anything was.
export class Unreachable extends Error {
  constructor(message, { code = "", retryAfter = 0, cause } = {}) {
    super(message, { cause });
    Object.assign(this, { code, retryAfter, away: AWAY.has(code) });
  }
}

// After these the token is of no use any more.
export const OVER = new Set([
  "unauthorized",
  "forbidden",
  "participant_mismatch",
  "participant_removed",
  "invite_expired",
]);
// The host, or the broker's operator, took the room from its URL.
export const TAKEN = "route_closed";
// A broker has no such room; its host may make it public again.
export const UNPUBLISHED = new Set(["route_expired", "route_not_found"]);
// A broker answers these when the host is not there.
const AWAY = new Set(["host_unavailable", TAKEN, ...UNPUBLISHED]);
const NOT_NOW = new Set([
  "shutting_down",
  "bad_host_response",
  "response_too_large",
  "internal_error",
  ...AWAY,
]);

// Gives the response of a request that the room accepted.
export async function request(path, { body, signal, as = token(), patience = ANSWER_MS } = {}) {
  const options = {
    method: body === undefined ? "GET" : "POST",
    headers: { Authorization: `Bearer ${as}` },
    cache: "no-store",
    credentials: "omit",
    redirect: "error",
    signal: AbortSignal.any([signal, patience && AbortSignal.timeout(patience)].filter(Boolean)),
  };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(base + path, options);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Unreachable("The room does not answer.", { cause: error });
  }
  if (!response.ok) throw await refusalOf(response);
  return response;
}

async function refusalOf(response) {
  const answer = (await response.json().catch(() => null)) ?? {};
  const [code, said] = [answer.error, answer.message].map((one) => (typeof one === "string" ? one : ""));
  const retryAfter = Number(response.headers.get("Retry-After")) || 0;
  if (!code || NOT_NOW.has(code)) {
    const message = said || `The room does not answer (${response.status}).`;
    return new Unreachable(message, { code, retryAfter });
  }
  return new Refused(response.status, code, said || code, retryAfter);
}

// Gives the answer's JSON.
export async function call(path, options) {
  const response = await request(path, options);
  try {
    return await response.json();
  } catch (error) {
    if (options?.signal?.aborted) throw error;
    throw new Unreachable("The answer was cut short.", { cause: error });
  }
}

// What to tell a person about an error.
export function explain(error) {
  // What the room answered is not what this page knows: the engine's words for it help nobody.
  if (error instanceof TypeError) return "The room's answer makes no sense to this page.";
  const wait = error.retryAfter ? ` Try again in ${error.retryAfter} s.` : "";
  return error.message + wait;
}
