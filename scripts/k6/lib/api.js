// The calls, as an app makes them: tokens in headers, each call with a tag of its own for the thresholds.

import http from 'k6/http';
import { check } from 'k6';
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

/** Sends one request and holds the answer to `statuses`; being shed with Retry-After is always allowed. */
export function call(name, method, path, { body, headers, statuses, tags } = {}) {
  const response = http.request(method, target + path, body === undefined ? null : JSON.stringify(body), {
    headers: { ...(body === undefined ? {} : { 'Content-Type': 'application/json' }), ...headers },
    tags: { name, call: name, ...tags },
    redirects: 0,
    timeout: '30s',
  });
  const busy = response.status === 503 || response.status === 429;
  if (busy) {
    shed.add(1, { call: name });
    shedDuration.add(response.timings.duration, { call: name });
  }
  const allowed = statuses.includes(response.status) || (busy && !!response.headers['Retry-After']);
  if (!allowed) {
    wrong.add(1, { call: name });
    console.error(`${name}: ${response.status || response.error} ${String(response.body).slice(0, 300)}`);
  }
  check(response, { [`${name} is answered as the contract says`]: () => allowed });
  return response;
}

/** What has to be so; where it is not, it counts among the wrong answers. */
export function look(name, truth) {
  check(null, { [name]: () => !!truth });
  if (!truth) {
    wrong.add(1, { call: name });
    console.error(`${name}: it is not so`);
  }
}

/** The seconds after which a caller that was shed comes back, spread so that not all come at once. */
export function comeBack(response) {
  const after = Number(response.headers['Retry-After']);
  return (Number.isFinite(after) ? after : 1) * (0.75 + Math.random() / 2);
}

export const bearer = (key) => ({ Authorization: `Bearer ${key}` });
