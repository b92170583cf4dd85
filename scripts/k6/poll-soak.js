// A standing line for a long time: VISITORS join once and then only poll, as the page does, with the last ETag.
// What to look for: no drift of the percentiles, no pause, no growth of the server's memory.
//
//   VISITORS=500  pollers     DURATION=10m     PACE=1  10 polls ten times as often, for as many as ten times the pollers

import { sleep } from 'k6';
import { join, openPage, status } from './lib/line.js';
import { always, conclude, observe, observer, prepare } from './lib/stage.js';
import { summarise, trendStats } from './lib/summary.js';
import { within } from './lib/limits.js';
import { pace, seconds, whole } from './lib/settings.js';

const duration = seconds('DURATION', 600);

export const options = {
  scenarios: {
    line: { executor: 'constant-vus', exec: 'stand', vus: whole('VISITORS', 500, 20000), duration: `${duration}s`, gracefulStop: '35s' },
    watch: observer(duration),
  },
  thresholds: {
    ...always,
    ...within({ join: [100, 300], status: [20, 50] }),
    // Everybody joins within a second; of the polls after that none may take long.
    'http_req_duration{call:status}': ['p(95)<20', 'p(99)<50', 'p(99.9)<250'],
  },
  summaryTrendStats: trendStats,
};

export function setup() {
  // One a minute: the line stands.
  return prepare('poll-soak', { room: { rate_per_minute: 1, burst: 1 } });
}

let place = null;

export function stand(stage) {
  if (!place) {
    sleep(Math.random());
    openPage(stage.room);
    place = join(stage.room);
    if (!place) return;
  }
  status(place);
  sleep(((place.status?.poll_after_seconds?.near || 2) * (0.8 + Math.random() * 0.4)) / pace);
}

export const watch = observe;
export const teardown = conclude;
export const handleSummary = summarise('poll-soak');
