// Ramps until it breaks, says where, and looks whether it recovers. Past the limit the throughput has to hold, the excess
// has to be refused quickly and with Retry-After, and two seconds after the storm everything has to be as before.
//
//   WORK=join | status | page | reserve | late     FROM=500  a second     STEPS=8, each FACTOR=1.5 of the last, each STEP=10s
//
// `reserve` takes units as the shop, `late` asks with a visitor's pass for what is gone: the dearest call there is, in
// which the losers of a drop come.

import exec from 'k6/execution';
import { Counter, Trend } from 'k6/metrics';
import { call } from './lib/api.js';
import { claim, join } from './lib/line.js';
import { reserve, want } from './lib/stock.js';
import { always, conclude, observe, observer, prepare } from './lib/stage.js';
import { summarise, trendStats } from './lib/summary.js';
import { choice, number, patience, seconds, whole } from './lib/settings.js';

const work = choice('WORK', ['join', 'status', 'page', 'reserve', 'late']);
const step = seconds('STEP', 10);
const from = whole('FROM', 500, 1000000);
const factor = number('FACTOR', 1.5, 1.01, 10);
const rates = Array.from({ length: whole('STEPS', 8, 30) }, (_, n) => Math.round(from * factor ** n));
const vus = whole('MAX_VUS', 2000, 50000);
const served = new Counter('served');
const servedDuration = new Trend('served_duration', true);

/** A step is broken when less than so much of what was offered is served, or the slowest percent waits longer. */
const SERVED_LEAST = 0.95;
const P99_MOST_MS = 250 * patience;
/** Past the limit so much of what can be served has to be, where k6 did send so much more than that. */
const HELD_LEAST = 0.9;
const EXCESS_LEAST = 1.2;
/** What a refusal costs of what it refuses, where both take the processor's time: it can't be made for less. */
const REFUSAL_COST = work === 'late' ? 0.15 : 0;
/** The share of the best throughput that is left at `load` times of it. */
const left = (load) => Math.max(0, (1 - load * REFUSAL_COST) / (1 - REFUSAL_COST));
/** What is served past the limit is served within this, or it would better have been refused: the queue and as much again. */
const SERVED_P99_MOST_MS = 1000 * patience;

const scenario = (exec_, rate, startTime, name) => ({
  executor: 'constant-arrival-rate',
  exec: exec_,
  rate,
  timeUnit: '1s',
  duration: `${step}s`,
  startTime: `${startTime}s`,
  // Enough for answers that take half a second: k6 drops what is due while it makes more.
  preAllocatedVUs: Math.min(vus, Math.max(10, Math.ceil(rate / 2))),
  maxVUs: vus,
  gracefulStop: '5s',
  tags: { step: name },
});

const names = [...rates.map((_, n) => `step ${n + 1}`), 'after'];
const scenarioOf = (name) => name.replace(' ', '_');
const scenarios = Object.fromEntries(rates.map((rate, n) => [scenarioOf(names[n]), scenario('push', rate, n * step, names[n])]));
// Two seconds for the last answers, then the load of the first step again.
scenarios.after = scenario('push', from, rates.length * step + 2, 'after');
scenarios.watch = observer((rates.length + 1) * step + 2);

const perStep = Object.fromEntries(names.flatMap((name) => [
  [`http_req_duration{step:${name}}`, ['max>=0']],
  [`served{step:${name}}`, ['count>=0']],
  [`served_duration{step:${name}}`, ['max>=0']],
  [`shed{step:${name}}`, ['count>=0']],
  [`shed_duration{step:${name}}`, ['max>=0']],
  // k6 gives those it could not send the scenario's name alone.
  [`dropped_iterations{scenario:${scenarioOf(name)}}`, ['count>=0']],
]));

export const options = {
  scenarios,
  thresholds: {
    ...always,
    ...perStep,
    // Whoever is refused hears it quickly, however much is offered.
    shed_duration: [`p(99)<${P99_MOST_MS}`],
    'http_req_duration{step:after}': [`p(99)<${P99_MOST_MS}`],
    'served{step:after}': [`count>=${Math.floor(SERVED_LEAST * from * step)}`],
  },
  summaryTrendStats: trendStats,
};

const LONG = { hold_seconds: 43200, hold_max_seconds: 43200 };

export function setup() {
  const room = { rate_per_minute: 600 };
  if (work === 'reserve') {
    // Holds outlive the run: to expire them in the middle of it would be other work than the first steps had.
    const document = { items: [{ sku: 'kite', name: 'Kite', total: 1000000000 }], ...LONG };
    return prepare('break', { room, sale: { document } });
  }
  if (work !== 'late') return prepare('break', { room });
  const document = { items: [{ sku: 'kite', name: 'Kite', total: 1 }], ...LONG };
  const stage = prepare('break', { room: { ...room, session_seconds: 86400 }, sale: { pass: true, document } });
  const { pass } = claim(join(stage.room));
  reserve(stage, { sku: 'kite', key: 'the-only-one', pass });
  return { ...stage, pass };
}

const paths = {
  join: { method: 'POST', path: (room) => `/v1/rooms/${room}/tickets`, body: {}, statuses: [201] },
  status: { method: 'GET', path: (room) => `/v1/rooms/${room}/status`, statuses: [200] },
  page: { method: 'GET', path: (room) => `/w/${room}`, statuses: [200] },
};

/** One request of the kind; whether it was served, and how long it took. */
function ask(stage) {
  const name = `${exec.scenario.name}-${exec.scenario.iterationInTest}`;
  if (work === 'reserve' || work === 'late') {
    const who = work === 'late' ? { pass: stage.pass } : { buyer: name };
    const { status, timings } = want(stage, { sku: 'kite', key: name, ...who });
    return { isServed: status === (work === 'late' ? 409 : 201), timings };
  }
  const { method, path, body, statuses } = paths[work];
  const { status, timings } = call(work, method, path(stage.room), { body, statuses, isRead: false });
  return { isServed: statuses.includes(status), timings };
}

export function push(stage) {
  const { isServed, timings } = ask(stage);
  if (!isServed) return;
  served.add(1);
  servedDuration.add(timings.duration);
}

/** What came of each step, a second and in milliseconds. */
function steps(data) {
  const value = (metric, name, key) => data.metrics[`${metric}{step:${name}}`]?.values?.[key] || 0;
  return names.map((name, n) => {
    const offered = rates[n] || from;
    const [served, refused] = ['served', 'shed'].map((metric) => value(metric, name, 'count') / step);
    const notSent = (data.metrics[`dropped_iterations{scenario:${scenarioOf(name)}}`]?.values?.count || 0) / step;
    const [p50, p99] = ['med', 'p(99)'].map((key) => value('served_duration', name, key));
    const isBroken = served < SERVED_LEAST * offered || p99 > P99_MOST_MS;
    return { name, offered, served, refused, notSent, p50, p99, refusedP99: value('shed_duration', name, 'p(99)'), isBroken };
  });
}

/** The ramp, its best step, the first that broke, and those past the limit: k6 did send more than can be served. */
function ramp(data) {
  const all = steps(data).slice(0, rates.length);
  const best = Math.max(...all.map(({ served }) => served));
  const broke = all.findIndex(({ isBroken }) => isBroken);
  const past = broke === -1 ? [] : all.slice(broke).filter(({ offered, notSent }) => offered - notSent > EXCESS_LEAST * best);
  return { all, best, broke, past };
}

/** What does not hold past the limit. */
function failures(data) {
  const { best, past } = ramp(data);
  return past.flatMap(({ name, offered, notSent, served, p99 }) => [
    ...(served < HELD_LEAST * best * left((offered - notSent) / best) ? [`${name}: served ${served.toFixed(0)} a second, of ${best.toFixed(0)} at best`] : []),
    ...(p99 > SERVED_P99_MOST_MS ? [`${name}: the slowest percent of those served waited ${p99.toFixed(0)} ms`] : []),
  ]);
}

function rows(data) {
  const lines = ['', `  ${work.padEnd(8)} a second: offered   served  refused not sent   p50 ms   p99 ms  refused p99 ms`];
  for (const { name, offered, served, refused, notSent, p50, p99, refusedP99, isBroken } of steps(data)) {
    const counts = [offered, served, refused, notSent].map((count) => count.toFixed(0));
    const times = [p50.toFixed(2), p99.toFixed(2), refused > 0 ? refusedP99.toFixed(2) : '–'];
    const cells = [...counts, ...times].map((text) => text.padStart(9));
    lines.push(`  ${name.padEnd(18)}${cells.join('')}${isBroken ? '  broken' : ''}`);
  }
  return [...lines, '', ...words(data).map((line) => `  ${line}`)];
}

function words(data) {
  const { all, best, broke, past } = ramp(data);
  if (best === 0) return ['nothing was served'];
  const after = steps(data)[rates.length];
  const recovery = `two seconds after, ${after.offered} a second: served ${after.served.toFixed(0)}, p99 ${after.p99.toFixed(1)} ms, where the first step had ${all[0].p99.toFixed(1)}`;
  if (broke === -1) return [`it held to the end, ${rates[rates.length - 1]} a second: go on with a higher FROM, or less for the server`, recovery];
  const held = `it holds ${broke === 0 ? `less than ${from}` : rates[broke - 1]} a second and breaks at ${rates[broke]}; ${best.toFixed(0)} were served at best`;
  if (past.length === 0) {
    return [held, 'k6 could not send more than that ("not sent": it had no free user), so that what lies past the limit is not known', recovery];
  }
  const least = Math.min(...past.map(({ served }) => served));
  const most = Math.max(...past.map(({ offered, notSent }) => offered - notSent));
  const refused = Math.max(...past.map(({ refusedP99 }) => refusedP99));
  return [
    held,
    `past the limit, up to ${(most / best).toFixed(1)} times that: served at least ${((100 * least) / best).toFixed(0)} % of the best, p99 ${Math.max(...past.map(({ p99 }) => p99)).toFixed(0)} ms`,
    past.some(({ refused }) => refused > 0) ? `refusals with Retry-After, p99 ${refused.toFixed(0)} ms` : 'nobody was refused: the excess waited',
    recovery,
  ];
}

export const watch = observe;
export const teardown = conclude;
export const handleSummary = summarise('break', { rows, steps, failures });
