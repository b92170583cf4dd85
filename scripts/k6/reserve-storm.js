// Everybody wants the one thing: ARRIVALS a second ask for a unit of one SKU, of which there are STOCK. Of those who get
// one, some pay, some walk away; what they leave is sold to somebody else.
//
//   ARRIVALS=1000  requests a second     DURATION=30s     STOCK=5000

import { sleep } from 'k6';
import exec from 'k6/execution';
import { confirm, reserve, walkedAway } from './lib/stock.js';
import { always, conclude, prepare } from './lib/stage.js';
import { summarise, trendStats } from './lib/summary.js';
import { within } from './lib/limits.js';
import { seconds, whole } from './lib/settings.js';

const duration = seconds('DURATION', 30);
const arrivals = whole('ARRIVALS', 1000, 100000);
const WALKS_AWAY = 0.3;

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
  },
  summaryTrendStats: trendStats,
};

export function setup() {
  const total = whole('STOCK', 5000, 1000000000);
  return prepare('reserve-storm', {
    sale: { document: { items: [{ sku: 'kite', name: 'Kite', total, per_buyer: 1 }], hold_seconds: 2, hold_max_seconds: 60 } },
  });
}

export function want(stage) {
  const buyer = `b${exec.scenario.iterationInTest}`;
  const basket = reserve(stage, { sku: 'kite', key: buyer, buyer });
  if (!basket) return;
  if (Math.random() < WALKS_AWAY) {
    walkedAway.add(1);
    return;
  }
  sleep(Math.random() * 0.5);
  confirm(stage, basket, `order-${buyer}`);
}

export const teardown = conclude;
export const handleSummary = summarise('reserve-storm');
