// Ramps until it breaks, says where, and looks whether it recovers. Past the limit the throughput has to hold, the excess
// has to be refused quickly and with Retry-After, and a second after the storm everything has to be as before.
//
//   WORK=join | status | page | reserve     FROM=500  a second     STEPS=8, each FACTOR=1.5 of the last, each STEP=10s

import exec from 'k6/execution';
import { Counter } from 'k6/metrics';
import { call } from './lib/api.js';
import { reserve } from './lib/stock.js';
import { always, conclude, prepare } from './lib/stage.js';
import { summarise, trendStats } from './lib/summary.js';
import { choice, number, patience, seconds, whole } from './lib/settings.js';

const work = choice('WORK', ['join', 'status', 'page', 'reserve']);
const step = seconds('STEP', 10);
const from = whole('FROM', 500, 1000000);
const factor = number('FACTOR', 1.5, 1.01, 10);
const rates = Array.from({ length: whole('STEPS', 8, 30) }, (_, n) => Math.round(from * factor ** n));
const vus = whole('MAX_VUS', 2000, 50000);
const served = new Counter('served');

/** A step is broken when less than so much of what was offered is served, or the slowest percent waits longer. */
const SERVED_LEAST = 0.95;
const P99_MOST_MS = 250 * patience;

const scenario = (exec_, rate, startTime, name) => ({
  executor: 'constant-arrival-rate',
  exec: exec_,
  rate,
  timeUnit: '1s',
  duration: `${step}s`,
  startTime: `${startTime}s`,
  preAllocatedVUs: Math.min(vus, Math.max(10, Math.ceil(rate / 4))),
  maxVUs: vus,
  gracefulStop: '5s',
  tags: { step: name },
});

const names = [...rates.map((_, n) => `step ${n + 1}`), 'after'];
const scenarioOf = (name) => name.replace(' ', '_');
const scenarios = Object.fromEntries(rates.map((rate, n) => [scenarioOf(names[n]), scenario('push', rate, n * step, names[n])]));
// Two seconds for the last answers, then the load of the first step again.
scenarios.after = scenario('push', from, rates.length * step + 2, 'after');

const perStep = Object.fromEntries(names.flatMap((name) => [
  [`http_req_duration{step:${name}}`, ['max>=0']],
  [`served{step:${name}}`, ['count>=0']],
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

export function setup() {
  const item = { sku: 'kite', name: 'Kite', total: 1000000000 };
  const sale = work === 'reserve' ? { document: { items: [item], hold_seconds: 30 } } : undefined;
  return prepare('break', { room: { rate_per_minute: 600 }, sale });
}

const paths = {
  join: { method: 'POST', path: (room) => `/v1/rooms/${room}/tickets`, body: {}, statuses: [201] },
  status: { method: 'GET', path: (room) => `/v1/rooms/${room}/status`, statuses: [200] },
  page: { method: 'GET', path: (room) => `/w/${room}`, statuses: [200] },
};

export function push(stage) {
  if (work === 'reserve') {
    const buyer = `${exec.scenario.name}-${exec.scenario.iterationInTest}`;
    if (reserve(stage, { sku: 'kite', key: buyer, buyer })) served.add(1);
    return;
  }
  const { method, path, body, statuses } = paths[work];
  const response = call(work, method, path(stage.room), { body, statuses });
  if (statuses.includes(response.status)) served.add(1);
}

/** What came of each step, a second and in milliseconds. */
function steps(data) {
  const value = (metric, name, key) => data.metrics[`${metric}{step:${name}}`]?.values?.[key] || 0;
  return names.map((name, n) => {
    const offered = rates[n] || from;
    const [served, refused] = ['served', 'shed'].map((metric) => value(metric, name, 'count') / step);
    const notSent = (data.metrics[`dropped_iterations{scenario:${scenarioOf(name)}}`]?.values?.count || 0) / step;
    const [p50, p99] = ['med', 'p(99)'].map((key) => value('http_req_duration', name, key));
    const isBroken = served < SERVED_LEAST * offered || p99 > P99_MOST_MS;
    return { name, offered, served, refused, notSent, p50, p99, refusedP99: value('shed_duration', name, 'p(99)'), isBroken };
  });
}

function rows(data) {
  const all = steps(data);
  const lines = ['', `  ${work}, a second:  offered    served   refused  not sent    p50 ms    p99 ms  refused p99`];
  for (const { name, offered, served, refused, notSent, p50, p99, refusedP99, isBroken } of all) {
    const counts = [offered, served, refused, notSent].map((count) => count.toFixed(0));
    const times = [p50.toFixed(2), p99.toFixed(2), refused > 0 ? refusedP99.toFixed(2) : '–'];
    const cells = [...counts, ...times].map((text) => text.padStart(10));
    lines.push(`  ${name.padEnd(16)}${cells.join('')}${isBroken ? '  broken' : ''}`);
  }
  const ramp = all.slice(0, rates.length);
  const broke = ramp.findIndex(({ isBroken }) => isBroken);
  if (broke === -1) return [...lines, '', `  it held to the end, ${rates[rates.length - 1]} a second: go on with a higher FROM`];
  const best = Math.max(...ramp.map(({ served }) => served));
  const { served, offered } = ramp[ramp.length - 1];
  return [
    ...lines,
    '',
    `  it holds ${broke === 0 ? `less than ${from}` : rates[broke - 1]} a second and breaks at ${rates[broke]}; "not sent" means that k6 had no free user left`,
    `  it served ${best.toFixed(0)} a second at best, and ${((100 * served) / best).toFixed(0)} % of that with ${offered} offered`,
  ];
}

export const teardown = conclude;
export const handleSummary = summarise('break', { rows, steps });
