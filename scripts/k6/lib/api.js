// The calls, as an app makes them: tokens in headers, each call with a tag of its own for the thresholds.

import http from 'k6/http';
import { check, sleep } from 'k6';
import { Counter, Trend } from 'k6/metrics';
import { target } from './settings.js';

/** Answers that the contract does not allow. Every script holds this at 0. */
export const wrong = new Counter('wrong_answers');
/** Refusals because of load, each with the time after which to come back. */
export const shed = new Counter('shed');
/** How long a caller waited to hear it. */
const shedDuration = new Trend('shed_duration', true);

// What is an answer and not a failure: refusals are part of a sale. 5xx and 429 are counted by `http_req_failed`.
http.setResponseCallback(http.expectedStatuses({ min: 200, max: 428 }, { min: 430, max: 499 }));

/** How long an answer may take. */
const TIMEOUT_MS = 30000;
/** k6's code for a request that was given up. */
const TIMED_OUT = 1050;
/** The statuses of a refusal because of load. */
const BUSY = [429, 503];

/**
 * Sends one request and holds the answer to `statuses`; being shed with Retry-After is always allowed. A body that nobody
 * reads is dropped unread, because k6 is the one that has no time.
 */
export function call(name, method, path, { body, headers, statuses, isRead = true } = {}) {
  const sent = Date.now();
  const response = http.request(method, target + path, body === undefined ? null : JSON.stringify(body), {
    headers: { ...(body === undefined ? {} : { 'Content-Type': 'application/json' }), ...headers },
    tags: { name, call: name },
    responseType: isRead ? 'text' : 'none',
    redirects: 0,
    timeout: `${TIMEOUT_MS}ms`,
  });
  // k6 ended the run in the middle of it, and calls that a timeout.
  if (response.error_code === TIMED_OUT && Date.now() - sent < TIMEOUT_MS) return response;
  const busy = BUSY.includes(response.status);
  if (busy) {
    shed.add(1, { call: name });
    shedDuration.add(response.timings.duration, { call: name });
  }
  const allowed = statuses.includes(response.status) || wasShed(response);
  if (!allowed) {
    wrong.add(1, { call: name });
    complain(`${name}: ${response.status || response.error}`, String(response.body).slice(0, 300));
  }
  check(response, { [`${name} is answered as the contract says`]: () => allowed });
  return response;
}

/** Whether the call was refused because of load, and told when to come back. */
export const wasShed = (response) => BUSY.includes(response.status) && !!response.headers['Retry-After'];

/** How often a call is sent before its caller gives up: by then a quarter of a minute has gone. */
const TRIES = 5;

/** Sends one request as `call` does, and again when told to come back. The last answer. */
export function insist(name, method, path, request) {
  for (let n = 1; ; n += 1) {
    const response = call(name, method, path, request);
    if (!wasShed(response) || n === TRIES) return response;
    sleep(comeBack(response));
  }
}

/** What has to be so; where it is not, it counts among the wrong answers. */
export function look(name, truth) {
  check(null, { [name]: () => !!truth });
  if (!truth) {
    wrong.add(1, { call: name });
    complain(`${name}: it is not so`);
  }
}

/** A virtual user's work: k6 goes on after an exception as if nothing had been, so that it counts as a wrong answer. */
export const counted = (work) => (stage) => {
  try {
    work(stage);
  } catch (error) {
    wrong.add(1, { call: 'exception' });
    complain('exception:', error.stack || error);
  }
};

const complaints = new Set();

/** Each virtual user says a thing once: what goes wrong goes wrong for thousands. */
function complain(what, more = '') {
  if (complaints.has(what)) return;
  complaints.add(what);
  console.error(`${what} ${more}`);
}

/** The seconds after which a caller that was shed comes back, spread so that not all come at once. */
export function comeBack(response) {
  const after = Number(response.headers['Retry-After']);
  return (Number.isFinite(after) ? after : 1) * (0.75 + Math.random() / 2);
}

export const bearer = (key) => ({ Authorization: `Bearer ${key}` });
