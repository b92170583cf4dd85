// One visitor through everything, each answer looked at: run it first, and after every deployment.
//
//   VISITORS=1

import { claim, join, leave, openPage, waitInLine } from './lib/line.js';
import { confirm, paying, reserve } from './lib/stock.js';
import { bearer, call, look } from './lib/api.js';
import { always, conclude, observe, observer, prepare } from './lib/stage.js';
import { summarise, trendStats } from './lib/summary.js';
import { within } from './lib/limits.js';
import { whole } from './lib/settings.js';

const WATCHED_SECONDS = 4;

export const options = {
  scenarios: {
    visit: { executor: 'per-vu-iterations', vus: whole('VISITORS', 1, 100), iterations: 1, maxDuration: '60s', exec: 'visit' },
    // k6 draws its charts from a look a second, and needs a few of them.
    watch: observer(WATCHED_SECONDS),
  },
  thresholds: {
    ...always,
    ...within({ page: [100, 200], join: [100, 200], status: [100, 200], claim: [100, 200], reserve: [100, 200], confirm: [100, 200] }),
    checks: ['rate==1'],
  },
  summaryTrendStats: trendStats,
};

export function setup() {
  return prepare('smoke', {
    room: { rate_per_minute: 600 },
    sale: { pass: true, document: { items: [{ sku: 'kite', name: 'Kite', total: 1000, per_buyer: 2 }] } },
  });
}

export function visit(stage) {
  for (const path of ['/healthz', '/readyz', '/.well-known/jwks.json', '/openapi.json']) {
    call('machine', 'GET', path, { statuses: [200] });
  }
  look('the page is a page', String(openPage(stage.room).headers['Content-Type']).startsWith('text/html'));
  const place = join(stage.room);
  look('the line moves', place && waitInLine(place, 30));
  const pass = claim(place);
  look('the pass is a JWT', pass?.pass?.split('.').length === 3);
  look('a second claim gives the same pass', claim(place)?.expires_at === pass.expires_at);
  buy(stage, pass.pass);
  leave(place);
}

function buy(stage, pass) {
  const key = `smoke-${__VU}`;
  const first = reserve(stage, { sku: 'kite', key, pass });
  const again = reserve(stage, { sku: 'kite', key, pass });
  look('a reservation repeated is the same one', first && again?.id === first.id && again?.token === first.token);
  const path = `/v1/sales/${stage.sale}/reservations/${first.id}`;
  const mine = { 'X-Dropgate-Reservation': first.token };
  look('the buyer sees it held', call('reservation', 'GET', path, { headers: mine, statuses: [200] }).json().state === 'held');
  look('it lives on while the buyer pays', paying(stage, first).json().expires_at >= first.expires_at);
  confirm(stage, first, `order-${__VU}`);
  const other = { body: { order: 'another' }, headers: bearer(stage.shopKey), statuses: [409] };
  call('reservation', 'POST', `${path}/confirm`, other);
  const second = reserve(stage, { sku: 'kite', key: `${key}-2`, pass });
  call('reservation', 'POST', `/v1/sales/${stage.sale}/reservations/${second.id}/release`, { body: {}, headers: bearer(stage.shopKey), statuses: [200] });
  reserve(stage, { sku: 'kite', key: `${key}-3`, pass });
  look('nobody takes more than the limit', reserve(stage, { sku: 'kite', key: `${key}-4`, pass }) === null);
}

export const watch = observe;
export const teardown = conclude;
export const handleSummary = summarise('smoke');
