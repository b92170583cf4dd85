// A drop as people live it: they come, wait, enter, put something into the basket and pay, or walk away at any point.
//
//   VISITORS=2000  who come, over RAMP=60s     RATE=1200  entries a minute     STOCK=500  units     DURATION=5m  at most
//   PACE=1         10 makes everybody ten times as quick
//   GATE=on        with the shop's gateway before and after the line; k6 has to be one of the server's trusted proxies

import { sleep } from 'k6';
import { askGate, claim, join, leave, openPage, waitInLine } from './lib/line.js';
import { confirm, paying, reserve, walkedAway } from './lib/stock.js';
import { always, conclude, observe, observer, prepare } from './lib/stage.js';
import { summarise, trendStats } from './lib/summary.js';
import { within } from './lib/limits.js';
import { look } from './lib/api.js';
import { choice, pace, seconds, whole } from './lib/settings.js';

const visitors = whole('VISITORS', 2000, 100000);
const ramp = seconds('RAMP', 60);
const duration = seconds('DURATION', 300);
// A crowd comes at once and thins out over RAMP: the area under the line below is VISITORS.
const peak = Math.ceil((8 * visitors) / (5 * ramp));
const gate = choice('GATE', ['off', 'on']) === 'on';
const hold = Math.max(5, Math.round(120 / pace));

// What people do, as shares of those who get so far.
const LEAVES_LINE = 0.05;
const ONLY_LOOKS = 0.15;
const ABANDONS_BASKET = 0.2;
const PAYS_LATE = 0.1;

export const options = {
  scenarios: {
    visitors: {
      executor: 'ramping-arrival-rate',
      exec: 'journey',
      startRate: 0,
      timeUnit: '1s',
      stages: [
        { target: peak, duration: `${Math.ceil(ramp / 4)}s` },
        { target: peak, duration: `${Math.ceil(ramp / 4)}s` },
        { target: 0, duration: `${Math.ceil(ramp / 2)}s` },
      ],
      // Most of them stand in line at the same time; k6 drops who comes while it makes more.
      preAllocatedVUs: Math.min(visitors, 2000),
      maxVUs: Math.min(visitors * 2, 20000),
      gracefulStop: `${Math.max(1, duration - ramp)}s`,
    },
    watch: observer(duration),
  },
  thresholds: {
    ...always,
    ...within({ gate: [50, 150], page: [50, 150], join: [50, 150], status: [50, 150], claim: [50, 150], reserve: [50, 150], confirm: [50, 150] }),
    dropped_iterations: ['count==0'],
  },
  summaryTrendStats: trendStats,
};

export function setup() {
  const total = whole('STOCK', 500, 1000000);
  return prepare('journey', {
    room: { rate_per_minute: whole('RATE', 1200, 10000000), session_seconds: 600 },
    sale: {
      pass: true,
      document: {
        items: [{ sku: 'kite', name: 'Kite', total, per_buyer: 1 }],
        hold_seconds: hold,
        hold_max_seconds: hold * 3,
        payment_grace_seconds: hold,
      },
    },
  });
}

const think = (least, most) => sleep((least + Math.random() * (most - least)) / pace);
const happens = (share) => Math.random() < share;

export function journey(stage) {
  if (gate) {
    // Where nobody waits, the gate lets a browser in without the page, and marks its address to see whether it keeps
    // cookies. One that comes back with the mark alone is always sent to the line.
    const sent = askGate(stage.room, '/kite?dropgate=check');
    look('the gate sends the visitor to the line', sent?.location.includes(`/w/${stage.room}`));
  }
  openPage(stage.room);
  const place = join(stage.room);
  if (!place) return;
  const patient = happens(LEAVES_LINE) ? 10 / pace : duration;
  if (!waitInLine(place, patient)) {
    leave(place);
    return;
  }
  const pass = claim(place);
  if (!pass) return;
  if (gate) enterShop(stage, pass);
  think(2, 10);
  if (happens(ONLY_LOOKS)) walkedAway.add(1);
  else buy(stage, pass.pass);
  leave(place);
}

/** The way back: the gate takes the entry pass for a cookie, and the cookie for the whole session. */
function enterShop(stage, pass) {
  const uri = pass.redirect_to.replace(/^https?:\/\/[^/]+/, '');
  const exchanged = askGate(stage.room, uri);
  look('the entry pass is taken for a cookie', exchanged?.cookie && !exchanged.location.includes('dropgate='));
  look('the cookie opens the shop', exchanged && askGate(stage.room, '/kite', exchanged.cookie) === null);
}

function buy(stage, pass) {
  const key = `${__VU}-${__ITER}`;
  const basket = reserve(stage, { sku: 'kite', key, pass });
  if (!basket) return;
  think(5, 20);
  if (happens(ABANDONS_BASKET)) {
    walkedAway.add(1);
    return;
  }
  paying(stage, basket);
  if (happens(PAYS_LATE)) sleep(hold * 2.2);
  else think(5, 30);
  confirm(stage, basket, `order-${key}`);
}

export const watch = observe;
export const teardown = conclude;
export const handleSummary = summarise('journey');
