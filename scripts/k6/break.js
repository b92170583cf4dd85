// Ramps until it breaks, says where, and looks whether it recovers. Past the limit the throughput has to hold, the excess
// has to be refused quickly and with Retry-After, and two seconds after the storm everything has to be as before.
//
//   WORK=join | status | page | reserve | late     FROM=500  a second     STEPS=8, each FACTOR=1.5 of the last, each STEP=10s
//   MAX_VUS=2000  requests that k6 has under way at most: what it can't send for want of them is "not sent"
//
// `reserve` takes units as the shop, `late` asks with a visitor's pass for what is gone: the dearest call there is, in
// which the losers of a drop come. Nobody comes back here when refused: they are the load.

import exec from 'k6/execution';
import { Counter, Trend } from 'k6/metrics';
import { call, counted, wasShed } from './lib/api.js';
import { claim, join, joined } from './lib/line.js';
import { reserve, want } from './lib/stock.js';
import { always, conclude, observe, observer, prepare } from './lib/stage.js';
import { P99_MOST_MS, SERVED_LEAST, judge } from './lib/ramp.js';
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
const refused = new Counter('refused');

const P95_MOST_MS = 100;
/** What a refusal costs of what it refuses, where both take the processor's time: it can't be made for less. */
const REFUSAL_COST = work === 'late' ? 0.15 : 0;

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

const AFTER = 'after';
const names = [...rates.map((_, n) => `step ${n + 1}`), AFTER];
const scenarioOf = (name) => name.replace(' ', '_');
const scenarios = Object.fromEntries(rates.map((rate, n) => [scenarioOf(names[n]), scenario('push', rate, n * step, names[n])]));
// Two seconds for the last answers, then the load of the first step again.
scenarios.after = scenario('push', from, rates.length * step + 2, AFTER);
scenarios.watch = observer((rates.length + 1) * step + 2);

const perStep = Object.fromEntries(names.flatMap((name) => [
  [`http_req_duration{step:${name}}`, ['max>=0']],
  [`served{step:${name}}`, ['count>=0']],
  [`served_duration{step:${name}}`, ['max>=0']],
  [`refused{step:${name}}`, ['count>=0']],
  [`shed_duration{step:${name}}`, ['max>=0']],
  // k6 gives those it could not send the scenario's name alone.
  [`dropped_iterations{scenario:${scenarioOf(name)}}`, ['count>=0']],
]));

export const options = {
  scenarios,
  thresholds: {
    ...always,
    ...perStep,
    // Each comes once, but in `late`, where all is gone before any limit is.
    limit_exceeded: ['count==0'],
    // Whoever is refused hears it quickly, however much is offered.
    shed_duration: [`p(99)<${P99_MOST_MS * patience}`],
    'http_req_duration{step:after}': [`p(95)<${P95_MOST_MS * patience}`, `p(99)<${P99_MOST_MS * patience}`],
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

/** One request of the kind; its answer, and whether that is what was asked for. */
function ask(stage) {
  const name = `${exec.scenario.name}-${exec.scenario.iterationInTest}`;
  if (work === 'reserve' || work === 'late') {
    const who = work === 'late' ? { pass: stage.pass } : { buyer: name };
    const response = want(stage, { sku: 'kite', key: name, ...who });
    return { response, isServed: response.status === (work === 'late' ? 409 : 201) };
  }
  const { method, path, body, statuses } = paths[work];
  const response = call(work, method, path(stage.room), { body, statuses, isRead: false });
  const isServed = statuses.includes(response.status);
  if (isServed && work === 'join') joined.add(1);
  return { response, isServed };
}

/**
 * The step in whose time it is. What is answered after the end of a step would make its throughput too high, and what the
 * queue of one step takes from the next has to be that one's: so an answer counts where it is given. Only after the storm
 * the answers to what was asked then count, whenever.
 */
function stepNow() {
  const asked = names.findIndex((name) => scenarioOf(name) === exec.scenario.name);
  if (names[asked] === AFTER) return AFTER;
  const now = asked + Math.floor((Date.now() - exec.scenario.startTime) / 1000 / step);
  return now < rates.length ? names[now] : 'none';
}

export const push = counted((stage) => {
  const { response, isServed } = ask(stage);
  if (wasShed(response)) refused.add(1, { step: stepNow() });
  if (!isServed) return;
  served.add(1, { step: stepNow() });
  servedDuration.add(response.timings.duration);
});

/** What came of each step, a second and in milliseconds. */
function figures(data) {
  const value = (metric, name, key) => data.metrics[`${metric}{step:${name}}`]?.values?.[key] || 0;
  return names.map((name, n) => {
    const [served, refused] = ['served', 'refused'].map((metric) => value(metric, name, 'count') / step);
    const notSent = (data.metrics[`dropped_iterations{scenario:${scenarioOf(name)}}`]?.values?.count || 0) / step;
    const [p50, p99] = ['med', 'p(99)'].map((key) => value('served_duration', name, key));
    return { name, offered: rates[n] || from, served, refused, notSent, p50, p99, refusedP99: value('shed_duration', name, 'p(99)') };
  });
}

const judged = (data) => judge(figures(data), { patience, refusalCost: REFUSAL_COST });
const steps = (data) => judged(data).steps;
const failures = (data) => judged(data).failures;

function rows(data) {
  const { steps, words } = judged(data);
  const lines = ['', `  ${work.padEnd(8)} a second: offered   served  refused not sent   p50 ms   p99 ms  refused p99 ms`];
  for (const { name, offered, served, refused, notSent, p50, p99, refusedP99, isBroken } of steps) {
    const counts = [offered, served, refused, notSent].map((count) => count.toFixed(0));
    const times = [p50.toFixed(2), p99.toFixed(2), refused > 0 ? refusedP99.toFixed(2) : '–'];
    const cells = [...counts, ...times].map((text) => text.padStart(9));
    lines.push(`  ${name.padEnd(18)}${cells.join('')}${isBroken ? '  broken' : ''}`);
  }
  return [...lines, '', ...words.map((line) => `  ${line}`)];
}

export const watch = observe;
export const teardown = conclude;
export const handleSummary = summarise('break', { rows, steps, failures });
