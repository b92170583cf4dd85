// What a run stands on: a room, a sale and a shop's key of its own, made before and deleted after.

import { sleep } from 'k6';
import { Counter, Gauge } from 'k6/metrics';
import { bearer, call } from './api.js';
import { adminKey, keep } from './settings.js';

const admin = bearer(adminKey);

/** Units that the books can't account for. Every script holds this at 0. */
export const booksWrong = new Counter('books_wrong');
/** Entries above what the rate allows. Every script holds this at 0. */
export const overAdmission = new Counter('over_admission');
const sold = new Gauge('server_sold');
const enteredAtServer = new Gauge('server_entered');

/** Makes the room, the sale if `items` are given, and the key. Call it in `setup`. */
export function prepare(script, { room = {}, sale } = {}) {
  const id = `k6-${script}-${Date.now().toString(36)}`;
  const base = {
    id,
    name: `k6 ${script}`,
    shop_url: 'http://localhost/',
    join_per_address: 0, // the whole crowd comes from here
    claim_window_seconds: 30,
  };
  const document = { ...base, ...room };
  call('put room', 'PUT', `/v1/rooms/${id}`, { body: document, headers: admin, statuses: [201] });
  const stage = { room: id, rules: read(id), started: Date.now() };
  if (sale) {
    const saleDocument = { id, name: `k6 ${script}`, requires_pass: sale.pass ? [id] : [], ...sale.document };
    call('put sale', 'PUT', `/v1/sales/${id}`, { body: saleDocument, headers: admin, statuses: [201] });
    stage.sale = id;
    stage.total = saleDocument.items.reduce((sum, item) => sum + item.total, 0);
    const key = call('make key', 'POST', '/v1/keys', {
      body: { name: id, scopes: ['shop', 'read'], sales: [id] },
      headers: admin,
      statuses: [201],
    }).json();
    stage.keyId = key.id;
    stage.shopKey = key.secret;
  }
  return stage;
}

function read(room) {
  return call('get room', 'GET', `/v1/rooms/${room}`, { headers: admin, statuses: [200] }).json();
}

/** Checks the books and the rate, then deletes what `prepare` made. Call it in `teardown`. */
export function conclude(stage) {
  const { entered } = figures(stage.room);
  enteredAtServer.add(entered);
  // The observer holds every window against the bound; this is the whole run, for scripts without one as well.
  overAdmission.add(Math.max(0, Math.ceil(entered - permitted(stage.rules, Date.now() - stage.started))));
  if (stage.sale) sold.add(checkBooks(stage));
  if (keep) {
    console.log(`kept: room ${stage.room}${stage.sale ? ' and its sale' : ''}`);
    return;
  }
  const any = { ...admin, 'If-Match': '*' };
  if (stage.sale) {
    call('delete key', 'DELETE', `/v1/keys/${stage.keyId}`, { headers: admin, statuses: [200, 204] });
    call('delete sale', 'DELETE', `/v1/sales/${stage.sale}`, { headers: any, statuses: [200, 204] });
  }
  call('delete room', 'DELETE', `/v1/rooms/${stage.room}`, { headers: any, statuses: [200, 204] });
}

/** Folds the outbox and compares it with what the sale shows of itself. The units sold. */
function checkBooks(stage) {
  const told = {};
  const add = (sku, column, units) => {
    told[sku] = told[sku] || { total: 0, available: 0, held: 0, sold: 0 };
    told[sku][column] += units;
  };
  const move = (lines, from, to) => (lines || []).forEach(({ sku, quantity }) => {
    add(sku, from, -quantity);
    add(sku, to, quantity);
  });
  const fold = {
    'reservation.held': (e) => move(e.lines, 'available', 'held'),
    'reservation.confirmed': (e) => (move(e.lines, 'held', 'sold'), move(e.returned, 'held', 'available')),
    'reservation.released': (e) => move(e.lines, 'held', 'available'),
    'reservation.expired': (e) => move(e.lines, 'held', 'available'),
    'item.restocked': (e) => (add(e.sku, 'total', e.delta), add(e.sku, 'available', e.delta)),
  };
  let seq = 0;
  let wrong = 0;
  let after = '';
  const foldOn = () => {
    const path = `/v1/sales/${stage.sale}/events?limit=1000${after ? `&after=${after}` : ''}`;
    const page = call('events', 'GET', path, { headers: bearer(stage.shopKey), statuses: [200] }).json();
    for (const event of page.events) {
      // The first one kept may be a checkpoint, which starts the books where it stands.
      const startsHere = seq === 0 && event.type === 'sale.checkpoint';
      if (startsHere) for (const { sku, ...books } of event.items) told[sku] = books;
      else if (event.seq !== seq + 1) wrong += 1;
      else (fold[event.type] || (() => {}))(event);
      seq = event.seq;
    }
    after = page.next;
    return page.events.length;
  };
  let view = null;
  // A hold may end between the last event and the view: what counts is a view with no event before and after it.
  for (let quiet = false; !quiet; ) {
    while (foldOn() > 0);
    view = call('sale', 'GET', `/v1/sales/${stage.sale}`, { headers: bearer(stage.shopKey), statuses: [200] }).json();
    quiet = foldOn() === 0;
  }
  for (const item of view.items) {
    for (const column of ['total', 'available', 'held', 'sold']) {
      const difference = Math.abs((told[item.sku] || {})[column] - item[column]);
      if (difference !== 0) console.error(`${item.sku}: the events say ${told[item.sku]?.[column]} ${column}, the sale ${item[column]}`);
      wrong += difference || 0;
    }
    if (item.available + item.held + item.sold !== item.total) wrong += 1;
  }
  booksWrong.add(wrong);
  return view.items.reduce((sum, item) => sum + item.sold, 0);
}

/** A room's counters, from the metrics. */
function figures(room) {
  const text = call('metrics', 'GET', '/metrics', { headers: admin, statuses: [200] }).body;
  const value = (name) => Number(new RegExp(`^dropgate_room_${name}\\{room="${room}"\\} (\\d+)$`, 'm').exec(text)?.[1]);
  return { entered: value('entered') || 0 };
}

/** The most samples kept: over eight minutes of them, longer than any window worth watching. */
const SAMPLES_MAX = 2000;
const samples = [];

/** The most that may enter within so many milliseconds, whichever they are. */
function permitted(rules, ms) {
  const { rate_per_minute: rate, burst, overcall, claim_window_seconds: window } = rules;
  // One second of the rate where the room leaves its burst to us, and what may be called in advance.
  const slack = (burst || Math.max(1, Math.ceil(rate / 60))) + overcall * (rate / 60) * window;
  return (rate / 60000) * ms + slack;
}

/** One look at the entries, held against every earlier one: a scenario of one virtual user for the whole run. */
export function observe(stage) {
  const asked = Date.now();
  const { entered } = figures(stage.room);
  const told = Date.now();
  let most = 0;
  for (const sample of samples) {
    most = Math.max(most, entered - sample.entered - permitted(stage.rules, told - sample.asked));
  }
  if (most > 0) overAdmission.add(Math.ceil(most));
  samples.push({ asked, entered });
  if (samples.length > SAMPLES_MAX) samples.shift();
  sleep(0.25);
}

/** The observer's scenario. */
export const observer = (duration) => ({
  executor: 'constant-vus',
  exec: 'watch',
  vus: 1,
  duration: `${duration}s`,
  gracefulStop: '5s',
});

/** Thresholds that hold whatever the load. */
export const always = {
  wrong_answers: ['count==0'],
  books_wrong: ['count==0'],
  over_admission: ['count==0'],
};
