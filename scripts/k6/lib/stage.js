// What a run stands on: a room, a sale and a shop's key of its own, made before and deleted after.

import { sleep } from 'k6';
import { Counter, Gauge } from 'k6/metrics';
import { bearer, call, look } from './api.js';
import { adminKey, keep } from './settings.js';

const admin = bearer(adminKey);

/** Units that the books can't account for. Every script holds this at 0. */
export const booksWrong = new Counter('books_wrong');
/** Entries and calls above what the rate allows. Every script holds this at 0. */
export const overAdmission = new Counter('over_admission');
/** Runs whose end was looked at: without it the two above would hold where nothing was compared. */
const concluded = new Counter('concluded');
const sold = new Gauge('server_sold');
const unsold = new Gauge('server_unsold');
const enteredAtServer = new Gauge('server_entered');
const tail = new Gauge('server_tail');

/** Makes the room, the sale if one is given, and the key. Call it in `setup`. */
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
  made(call('put room', 'PUT', `/v1/rooms/${id}`, { body: document, headers: admin, statuses: [201] }));
  const stage = { room: id, rules: read(id), started: Date.now() };
  if (sale) {
    const saleDocument = { id, name: `k6 ${script}`, requires_pass: sale.pass ? [id] : [], ...sale.document };
    made(call('put sale', 'PUT', `/v1/sales/${id}`, { body: saleDocument, headers: admin, statuses: [201] }));
    stage.sale = id;
    stage.total = saleDocument.items.reduce((sum, item) => sum + item.total, 0);
    const body = { name: id, scopes: ['shop', 'read'], sales: [id] };
    const key = made(call('make key', 'POST', '/v1/keys', { body, headers: admin, statuses: [201] })).json();
    stage.keyId = key.id;
    stage.shopKey = key.secret;
  }
  stage.instances = everywhere(stage);
  return stage;
}

/** An answer without which there is no run. */
function made(response) {
  if (response.status !== 201) throw new Error('what the run stands on could not be made: see above');
  return response;
}

/** How old the figures of an instance may be while another one does the work. */
const STALE_MS = 1000;

/** An instance that was not seen for so long is taken for gone. */
const GONE_MS = 5000;

/** Waits until each instance serves what was made: they follow each other within a second. How many there are. */
function everywhere({ room, sale }) {
  for (let tries = 0; tries < 40; tries += 1) {
    const { instances } = call('instances', 'GET', '/v1/instances', { headers: admin, statuses: [200] }).json();
    const latest = Math.max(...instances.map((instance) => Date.parse(instance.last_seen_at)));
    const alive = instances.filter((instance) => latest - Date.parse(instance.last_seen_at) < GONE_MS);
    if (alive.length === 1 || alive.every(({ rooms, sales }) => room in rooms && (!sale || sale in sales))) return alive.length;
    sleep(0.25);
  }
  throw new Error('not every instance has taken over the room and the sale of this run');
}

function read(room) {
  return call('get room', 'GET', `/v1/rooms/${room}`, { headers: admin, statuses: [200] }).json();
}

/** Checks the books and the rate, then deletes what `prepare` made. Call it in `teardown`. */
export function conclude(stage) {
  // The one that is asked may not know yet what the others did last.
  if (stage.instances > 1) sleep(STALE_MS / 1000);
  const now = figures(stage.room);
  // Where the figures had other names, nothing at all would have been compared.
  look('the metrics tell of the room', now);
  if (now) {
    enteredAtServer.add(now.entered);
    tail.add(now.tail);
    // The observer holds every window against the bounds; this is the whole run, for scripts without one as well.
    hold(stage.rules, { asked: stage.started, entered: 0, called: 0 }, { ...now, told: Date.now() });
  }
  if (stage.sale) checkBooks(stage);
  if (now) concluded.add(1);
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

/** Folds the outbox and compares it with what the sale shows of itself; notes the units sold and those that are not. */
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
      const said = (told[item.sku] || {})[column] || 0;
      if (said !== item[column]) console.error(`${item.sku}: the events say ${said} ${column}, the sale ${item[column]}`);
      // Fewer than none is a unit sold twice, however well the sum comes out.
      wrong += Math.abs(said - item[column]) + Math.max(0, -item[column]);
    }
    if (item.available + item.held + item.sold !== item.total) wrong += 1;
  }
  const sum = (of) => view.items.reduce((all, item) => all + of(item), 0);
  // Nobody restocks here.
  const total = sum((item) => item.total);
  if (total !== stage.total) console.error(`there were ${stage.total} units, and the sale says ${total}`);
  wrong += Math.abs(total - stage.total);
  booksWrong.add(wrong);
  sold.add(sum((item) => item.sold));
  unsold.add(sum((item) => item.available + item.held));
}

/**
 * A room's counters, from the metrics: who entered, who was called and has not lapsed, and the last position given. Null
 * where they are not told.
 */
function figures(room) {
  const response = call('metrics', 'GET', '/metrics', { headers: admin, statuses: [200] });
  if (response.status !== 200) return null;
  const value = (name) => Number(new RegExp(`^dropgate_room_${name}\\{room="${room}"\\} (\\d+)$`, 'm').exec(response.body)?.[1]);
  const [entered, head, lapsed, tail] = ['entered', 'head', 'lapsed', 'tail'].map(value);
  return [entered, head, lapsed, tail].every((count) => count >= 0) ? { entered, called: head - lapsed, tail } : null;
}

/** The most samples kept: over eight minutes of them, longer than any window worth watching. */
const SAMPLES_MAX = 2000;
const samples = [];

/** Counts what happened from one sample to a later one beyond what the rate allows in that time, whichever the time. */
function hold(rules, before, after) {
  const { rate_per_minute: rate, burst, overcall, claim_window_seconds: window } = rules;
  const permits = (rate / 60000) * (after.told - before.asked);
  // One second of the rate where the room leaves its burst to us.
  const spare = burst || Math.max(1, Math.ceil(rate / 60));
  // Those called in advance may all enter at once. A call needs a permit, and one that lapses gives it back: no more are
  // called than that, whether they enter or not.
  const most = {
    entered: permits + spare + overcall * (rate / 60) * window,
    called: permits + spare + (rate / 60000) * STALE_MS,
  };
  for (const [what, allowed] of Object.entries(most)) {
    const excess = Math.ceil(after[what] - before[what] - allowed);
    if (excess <= 0) continue;
    console.error(`${after[what] - before[what]} ${what} in ${after.told - before.asked} ms, and ${Math.floor(allowed)} may be`);
    overAdmission.add(excess);
    return false;
  }
  return true;
}

/** One look at the figures, held against every earlier one: a scenario of one virtual user for the whole run. */
export function observe(stage) {
  const asked = Date.now();
  const now = figures(stage.room);
  if (now) {
    const told = Date.now();
    samples.every((sample) => hold(stage.rules, sample, { ...now, told }));
    samples.push({ ...now, asked });
    if (samples.length > SAMPLES_MAX) samples.shift();
  }
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

/** So many wrong answers tell all there is to tell: the run ends. */
const HOPELESS = 1000;

/** Thresholds that hold whatever the load. */
export const always = {
  wrong_answers: ['count==0', { threshold: `count<${HOPELESS}`, abortOnFail: true }],
  books_wrong: ['count==0'],
  over_admission: ['count==0'],
  concluded: ['count==1'],
};
