// A standing line for a long time: VISITORS join once and then only poll, with the last ETag, each as often as those who are
// next (`near`): more often than a page that far back. No poll may take long, and those of the second half no longer than
// those of the first. The server's memory is not in its metrics: watch the process.
//
//   VISITORS=500  pollers     DURATION=10m     PACE=1  10 polls ten times as often, for as many as ten times the pollers

import { sleep } from 'k6';
import exec from 'k6/execution';
import { counted } from './lib/api.js';
import { join, openPage, status } from './lib/line.js';
import { always, conclude, observe, observer, prepare } from './lib/stage.js';
import { summarise, trendStats } from './lib/summary.js';
import { within } from './lib/limits.js';
import { pace, patience, seconds, whole } from './lib/settings.js';

const duration = seconds('DURATION', 600);
const HALVES = ['first', 'second'];
/** So much longer the second half's slowest percent may take, and so many milliseconds more: it is a matter of few pauses. */
const DRIFT_MOST = 1.5;
const DRIFT_SPARE_MS = 10 * patience;

function pollsOf(half) {
  return `http_req_duration{call:status,half:${half}}`;
}

export const options = {
  scenarios: {
    line: { executor: 'constant-vus', exec: 'stand', vus: whole('VISITORS', 500, 20000), duration: `${duration}s`, gracefulStop: '35s' },
    watch: observer(duration),
  },
  thresholds: {
    ...always,
    // Everybody joins within a second; of the polls after that none may take long.
    ...within({ page: [100, 300], join: [100, 300], status: [20, 50, 250] }),
    // They always hold: k6 keeps a half's times only where something is said of them.
    ...Object.fromEntries(HALVES.map((half) => [pollsOf(half), ['max>=0']])),
  },
  summaryTrendStats: trendStats,
};

export function setup() {
  // One a minute: the line stands.
  return prepare('poll-soak', { room: { rate_per_minute: 1, burst: 1 } });
}

let place = null;

export const stand = counted((stage) => {
  if (!place) {
    sleep(Math.random());
    openPage(stage.room);
    place = join(stage.room);
    if (!place) return;
  }
  exec.vu.metrics.tags.half = HALVES[exec.scenario.progress < 0.5 ? 0 : 1];
  status(place);
  const next = (place.status?.poll_after_seconds?.near || 2) * (0.8 + Math.random() * 0.4);
  sleep(Math.max(place.pause, next / pace));
});

/** The slowest percent of each half. */
function steps(data) {
  return HALVES.map((half) => ({ half, p99: data.metrics[pollsOf(half)]?.values?.['p(99)'] }));
}

function failures(data) {
  const [first, second] = steps(data).map(({ p99 }) => p99);
  if (second <= DRIFT_MOST * first + DRIFT_SPARE_MS) return [];
  return [`drift: of the polls of the second half the slowest percent took ${second} ms, of the first ${first}`];
}

function rows(data) {
  return ['', ...steps(data).map(({ half, p99 }) => `  polls of the ${half} half: p99 ${p99?.toFixed(2)} ms`)];
}

export const watch = observe;
export const teardown = conclude;
export const handleSummary = summarise('poll-soak', { rows, steps, failures });
