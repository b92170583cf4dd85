// A drop as people live it: they come, wait, enter, put something into the basket and pay, or walk away at any point.
//
//   VISITORS=2000  who come, over RAMP=60s     RATE=1200  entries a minute     STOCK=500  units     DURATION=5m  at most
//   PACE=1         10 makes everybody ten times as quick
//   GATE=on        with the shop's gateway before and after the line; k6 has to be one of the server's trusted proxies

import { sleep } from 'k6';
import exec from 'k6/execution';
import { askGate, claim, join, leave, openPage, waitInLine } from './lib/line.js';
import { confirm, paying, reserve, walkedAway } from './lib/stock.js';
import { always, conclude, observe, observer, prepare } from './lib/stage.js';
import { summarise, trendStats } from './lib/summary.js';
import { within } from './lib/limits.js';
import { counted, look } from './lib/api.js';
import { choice, pace, seconds, whole } from './lib/settings.js';

// Each is a virtual user of k6's, because most of them stand in line at the same time: 20 000 take 13 GB of memory.
const visitors = whole('VISITORS', 2000, 20000);
const ramp = seconds('RAMP', 60);
const duration = seconds('DURATION', 300);
// A crowd comes at once and thins out over RAMP: the area under the line below is VISITORS. A minute, because k6 takes whole
// numbers only.
const peak = Math.round((60 * 8 * visitors) / (5 * ramp));
const quarter = `${ramp * 250}ms`;
const half = `${ramp * 500}ms`;
const gate = choice('GATE', ['off', 'on']) === 'on';
const hold = Math.max(5, Math.round(120 / pace));

// What people do, as shares of those who get so far.
const LEAVES_LINE = 0.05;
const ONLY_LOOKS = 0.15;
const ABANDONS_BASKET = 0.2;
const PAYS_LATE = 0.1;

// How long they take over it, in seconds, each with the least and the most.
const LOOKS = [2, 10];
const FILLS_BASKET = [5, 20];
const PAYS = [5, 30];
/** Whoever is let in later than this before the end could not finish. Two seconds are for the answers. */
const VISIT_SECONDS = (LOOKS[1] + FILLS_BASKET[1] + PAYS[1]) / pace + 2;

export const options = {
  scenarios: {
    visitors: {
      executor: 'ramping-arrival-rate',
      exec: 'journey',
      startRate: 0,
      timeUnit: '1m',
      stages: [
        { target: peak, duration: quarter },
        { target: peak, duration: quarter },
        { target: 0, duration: half },
      ],
      // All beforehand: k6 drops who comes while it makes more. And a few because the rate is rounded.
      preAllocatedVUs: visitors + 10,
      maxVUs: visitors + 10,
      gracefulStop: `${Math.max(1, duration - ramp)}s`,
    },
    watch: observer(duration),
  },
  thresholds: {
    ...always,
    ...within({ gate: [50, 150], page: [50, 150], join: [50, 150], status: [50, 150], claim: [50, 150], reserve: [50, 150], confirm: [50, 150] }),
    dropped_iterations: ['count==0'],
    // Each comes once, and takes one.
    limit_exceeded: ['count==0'],
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

/** The seconds until k6 breaks off whatever still goes on. */
const left = () => Math.max(0, (exec.scenario.startTime - Date.now()) / 1000 + Math.max(ramp + 1, duration));
const think = ([least, most]) => sleep((least + Math.random() * (most - least)) / pace);
const happens = (share) => Math.random() < share;

export const journey = counted((stage) => {
  if (gate) {
    // Where nobody waits, the gate lets a browser in without the page, and marks its address to see whether it keeps
    // cookies. One that comes back with the mark alone is always sent to the line.
    const sent = askGate(stage.room, '/kite?dropgate=check');
    if (!sent) return;
    look('the gate sends the visitor to the line', sent.location?.includes(`/w/${stage.room}`));
  }
  openPage(stage.room);
  const place = join(stage.room);
  if (!place) return;
  // Whoever is still in line at the end goes home in time, so that nobody is cut off in the middle of something.
  const atMost = Math.max(0, left() - VISIT_SECONDS);
  if (!waitInLine(place, happens(LEAVES_LINE) ? Math.min(10 / pace, atMost) : atMost)) {
    leave(place);
    return;
  }
  const pass = claim(place);
  if (!pass) return;
  if (gate) enterShop(stage, pass);
  think(LOOKS);
  if (happens(ONLY_LOOKS)) walkedAway.add(1);
  else buy(stage, pass.pass);
  leave(place);
});

/** The way back: the gate takes the entry pass for a cookie, and the cookie for the whole session. */
function enterShop(stage, pass) {
  const uri = pass.redirect_to.replace(/^https?:\/\/[^/]+/, '');
  const exchanged = askGate(stage.room, uri);
  if (!exchanged) return;
  look('the entry pass is taken for a cookie', exchanged.cookie && !exchanged.location.includes('dropgate='));
  const opened = askGate(stage.room, '/kite', exchanged.cookie);
  if (opened) look('the cookie opens the shop', opened.letIn);
}

function buy(stage, pass) {
  const key = `${__VU}-${__ITER}`;
  const basket = reserve(stage, { sku: 'kite', key, pass });
  if (!basket) return;
  think(FILLS_BASKET);
  if (happens(ABANDONS_BASKET)) {
    walkedAway.add(1);
    return;
  }
  paying(stage, basket);
  // Later than the hold lives from there, where the run is long enough for that.
  if (happens(PAYS_LATE)) sleep(Math.min(hold * 1.1, Math.max(0, left() - 2)));
  else think(PAYS);
  confirm(stage, basket, `order-${key}`);
}

export const watch = observe;
export const teardown = conclude;
export const handleSummary = summarise('journey');
