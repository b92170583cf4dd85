// The thresholds on time and errors, in milliseconds, for a server and k6 that share a small machine.

import { patience } from './settings.js';

const PERCENTS = [95, 99, 99.9];

/** Thresholds for these calls, each `[p95, p99]`, or `[p95, p99, p99.9]`; and no more failures than `share` of all requests. */
export function within(calls, share = 0.001) {
  const limits = { http_req_failed: [`rate<=${share}`] };
  for (const [call, most] of Object.entries(calls)) {
    limits[`http_req_duration{call:${call}}`] = most.map((ms, n) => `p(${PERCENTS[n]})<${ms * patience}`);
  }
  return limits;
}
