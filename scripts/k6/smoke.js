// One visitor through everything, each answer looked at: run it first, and after every deployment.
//
//   VISITORS=1

import { Counter } from 'k6/metrics';
import { claim, join, leave, openPage, waitInLine } from './lib/line.js';
import { confirm, paying, reserve } from './lib/stock.js';
import { bearer, call, counted, look } from './lib/api.js';
import { always, conclude, observe, observer, prepare } from './lib/stage.js';
import { summarise, trendStats } from './lib/summary.js';
import { within } from './lib/limits.js';
import { whole } from './lib/settings.js';

const visitors = whole('VISITORS', 1, 100);
const WATCHED_SECONDS = 4;
/** One that is broken off in the middle breaks no threshold by itself. */
const finished = new Counter('finished_visits');

export const options = {
  scenarios: {
    visit: { executor: 'per-vu-iterations', vus: visitors, iterations: 1, maxDuration: '60s', exec: 'visit' },
    // k6 draws its charts from a look a second, and needs a few of them.
    watch: observer(WATCHED_SECONDS),
  },
  thresholds: {
    ...always,
    ...within({ page: [100, 200], join: [100, 200], status: [100, 200], claim: [100, 200], reserve: [100, 200], confirm: [100, 200] }),
    checks: ['rate==1'],
    finished_visits: [`count==${visitors}`],
    // Each goes once beyond it, and is told so.
    limit_exceeded: [`count==${visitors}`],
  },
  summaryTrendStats: trendStats,
};

export function setup() {
  return prepare('smoke', {
    room: { rate_per_minute: 600 },
    sale: { pass: true, document: { items: [{ sku: 'kite', name: 'Kite', total: 1000, per_buyer: 2 }] } },
  });
}

export const visit = counted((stage) => {
  for (const path of ['/healthz', '/readyz', '/.well-known/jwks.json', '/openapi.json']) {
    call('machine', 'GET', path, { statuses: [200] });
  }
  look('the page is a page', String(openPage(stage.room).headers['Content-Type']).startsWith('text/html'));
  const place = join(stage.room);
  look('a place is to be had', place);
  if (!place) return;
  look('the line moves', waitInLine(place, 30));
  const pass = claim(place);
  look('the pass is a JWT', pass?.pass?.split('.').length === 3);
  if (!pass) return;
  look('a second claim gives the same pass', claim(place)?.expires_at === pass.expires_at);
  if (!buy(stage, pass.pass)) return;
  leave(place);
  finished.add(1);
});

/** Whether there was an answer to go on with each time. */
function buy(stage, pass) {
  const key = `smoke-${__VU}`;
  const first = reserve(stage, { sku: 'kite', key, pass });
  const again = reserve(stage, { sku: 'kite', key, pass });
  look('a reservation repeated is the same one', first && again?.id === first.id && again?.token === first.token);
  if (!first) return false;
  const path = `/v1/sales/${stage.sale}/reservations/${first.id}`;
  const mine = { 'X-Dropgate-Reservation': first.token };
  look('the buyer sees it held', call('reservation', 'GET', path, { headers: mine, statuses: [200] }).json().state === 'held');
  // As times: one without its fraction stands behind the others as a text.
  look('it lives on while the buyer pays', Date.parse(paying(stage, first).json().expires_at) >= Date.parse(first.expires_at));
  confirm(stage, first, `order-${__VU}`);
  const other = { body: { order: 'another' }, headers: bearer(stage.shopKey), statuses: [409] };
  call('reservation', 'POST', `${path}/confirm`, other);
  const second = reserve(stage, { sku: 'kite', key: `${key}-2`, pass });
  look('a second one is to be had', second);
  if (!second) return false;
  call('reservation', 'POST', `/v1/sales/${stage.sale}/reservations/${second.id}/release`, { body: {}, headers: bearer(stage.shopKey), statuses: [200] });
  reserve(stage, { sku: 'kite', key: `${key}-3`, pass });
  look('nobody takes more than the limit', reserve(stage, { sku: 'kite', key: `${key}-4`, pass }) === null);
  return true;
}

export const watch = observe;
export const teardown = conclude;
export const handleSummary = summarise('smoke');
