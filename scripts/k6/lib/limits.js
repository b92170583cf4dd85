// The thresholds on time and errors, in milliseconds, for a server and k6 that share a small machine.

import { patience } from './settings.js';

/** Thresholds for these calls, each `[p95, p99]`; and no more failures than `share` of all requests. */
export function within(calls, share = 0.001) {
  const limits = { http_req_failed: [`rate<=${share}`] };
  for (const [call, [p95, p99]] of Object.entries(calls)) {
    limits[`http_req_duration{call:${call}}`] = [`p(95)<${p95 * patience}`, `p(99)<${p99 * patience}`];
  }
  return limits;
}
