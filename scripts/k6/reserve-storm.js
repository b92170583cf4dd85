// Everybody wants the one thing: ARRIVALS a second ask for a unit of one SKU, of which there are STOCK. Of those who get
// one, some pay, some walk away; what they leave is sold to somebody else.
//
//   ARRIVALS=1000  requests a second     DURATION=30s     STOCK=5000

import { sleep } from 'k6';
import exec from 'k6/execution';
import { Counter } from 'k6/metrics';
import { counted } from './lib/api.js';
import { confirm, reserve, walkedAway } from './lib/stock.js';
import { always, conclude, prepare } from './lib/stage.js';
import { summarise, trendStats } from './lib/summary.js';
import { within } from './lib/limits.js';
import { seconds, whole } from './lib/settings.js';

const duration = seconds('DURATION', 30);
const arrivals = whole('ARRIVALS', 1000, 100000);
const WALKS_AWAY = 0.3;
const HOLD_SECONDS = 2;
/** Baskets that nobody paid for and that come back so late that perhaps nobody was there to take them. */
const leftLate = new Counter('left_late');

export const options = {
  scenarios: {
    storm: {
      executor: 'constant-arrival-rate',
      exec: 'want',
      rate: arrivals,
      timeUnit: '1s',
      duration: `${duration}s`,
      preAllocatedVUs: Math.min(2000, arrivals),
      maxVUs: 10000,
      gracefulStop: '30s',
    },
  },
  thresholds: {
    ...always,
    ...within({ reserve: [50, 150], confirm: [50, 150] }),
    dropped_iterations: ['count==0'],
    // Each of them comes once.
    limit_exceeded: ['count==0'],
  },
  summaryTrendStats: trendStats,
};

export function setup() {
  const total = whole('STOCK', 5000, 1000000000);
  return prepare('reserve-storm', {
    sale: { document: { items: [{ sku: 'kite', name: 'Kite', total, per_buyer: 1 }], hold_seconds: HOLD_SECONDS, hold_max_seconds: 60 } },
  });
}

export const want = counted((stage) => {
  const buyer = `b${exec.scenario.iterationInTest}`;
  const basket = reserve(stage, { sku: 'kite', key: buyer, buyer });
  if (!basket) return;
  if (Math.random() < WALKS_AWAY) {
    walkedAway.add(1);
    leave();
    return;
  }
  sleep(Math.random() * 0.5);
  if (confirm(stage, basket, `order-${buyer}`).status !== 200) leave();
});

/** What is left comes back when its hold ends, which began before now; as much time again is enough for the next comer. */
function leave() {
  const left = exec.scenario.startTime + duration * 1000 - Date.now();
  if (left < 2 * HOLD_SECONDS * 1000) leftLate.add(1);
}

/** Where there were more buyers than units, all are sold but what came back too late. */
function failures(_, { sold_out: lost = 0, server_sold: sold = 0, server_unsold: unsold = 0, ...counts }) {
  const { asked_for: asked = 0, reserved = 0, limit_exceeded: limited = 0, payments = 0, confirmed = 0, paid_too_late: late = 0 } = counts;
  // Without an answer, the basket or the payment may have been lost on the way.
  const unanswered = asked - reserved - lost - limited + payments - confirmed - late;
  const most = (counts.left_late || 0) + unanswered;
  if (lost === 0 || unsold <= most) return [];
  return [`unsold: ${unsold} units (${sold} sold), ${lost} were told that there are none, and at most ${most} came back too late`];
}

export const teardown = conclude;
export const handleSummary = summarise('reserve-storm', { failures });
