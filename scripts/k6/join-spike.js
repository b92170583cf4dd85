// The crowd of the first seconds: everybody opens the page and joins within SPIKE, whether the server keeps up or not.
//
//   VISITORS=5000  who come in SPIKE=10s     RATE=600  entries a minute

import { Gauge } from 'k6/metrics';
import { counted } from './lib/api.js';
import { claim, join, openPage, status } from './lib/line.js';
import { always, conclude, observe, observer, prepare } from './lib/stage.js';
import { summarise, trendStats } from './lib/summary.js';
import { within } from './lib/limits.js';
import { seconds, whole } from './lib/settings.js';

const visitors = whole('VISITORS', 5000, 1000000);
const spike = seconds('SPIKE', 10);
const highest = new Gauge('highest_position');

export const options = {
  scenarios: {
    crowd: {
      executor: 'constant-arrival-rate',
      exec: 'arrive',
      rate: Math.ceil(visitors / spike),
      timeUnit: '1s',
      duration: `${spike}s`,
      preAllocatedVUs: Math.min(2000, Math.ceil(visitors / spike)),
      maxVUs: Math.min(10000, Math.max(200, visitors)),
      gracefulStop: '30s',
    },
    watch: observer(spike + 5),
  },
  thresholds: {
    ...always,
    ...within({ page: [100, 300], join: [100, 300], status: [100, 300], claim: [100, 300] }),
    // Whoever comes is served: an arrival that k6 could not send is one we know nothing of.
    dropped_iterations: ['count==0'],
  },
  summaryTrendStats: trendStats,
};

export function setup() {
  return prepare('join-spike', { room: { rate_per_minute: whole('RATE', 600, 10000000) } });
}

export const arrive = counted((stage) => {
  openPage(stage.room);
  const place = join(stage.room);
  if (!place) return;
  highest.add(place.number);
  // Whoever is called by then goes in.
  if (place.number <= status(place)?.head) claim(place);
});

export const watch = observe;
export const teardown = conclude;
export const handleSummary = summarise('join-spike');
