// Shows the scripts' judgement what no small run does: a ramp that breaks, and a server that miscounts. It is all in the
// outermost part, which `k6 inspect` runs alone; an exception there is a failure.

import { judge } from '../../scripts/k6/lib/ramp.js';
import { disagreements } from '../../scripts/k6/lib/summary.js';

/** A ramp of 100, 150 … a second on a server that can do 200: it serves that much and refuses the rest in 5 ms. */
const good = [100, 150, 225, 338, 506, 100].map((offered, n, { length }) => ({
  name: n === length - 1 ? 'after' : `step ${n + 1}`,
  offered,
  served: Math.min(offered, 200),
  refused: Math.max(0, offered - 200),
  notSent: 0,
  p50: offered > 200 ? 300 : 2,
  p99: offered > 200 ? 500 : 10,
  refusedP99: 5,
}));

const but = (name, figures) => good.map((step) => (step.name === name ? { ...step, ...figures } : step));

/** Each with the beginnings of the failures that have to be found, no more and no fewer. */
const ramps = [
  ['as it has to be', good, []],
  ['throughput gone past the limit', but('step 4', { served: 120 }), ['step 4: served 120']],
  ['a queue without a bound', but('step 5', { p99: 1500 }), ['step 5: the slowest percent']],
  ['little served after the storm', but('after', { served: 80 }), ['after: served 80']],
  ['slow after the storm', but('after', { p99: 71 }), ['after: the slowest percent']],
  ['slower after the storm by a pause', but('after', { p99: 69 }), []],
  ['nothing served', good.map((step) => ({ ...step, served: 0 })), ['nothing was served']],
  ['k6 could not send more', good.map((step) => ({ ...step, served: Math.min(step.served, 130), notSent: Math.max(0, step.offered - 130) })), []],
];

for (const [what, figures, expected] of ramps) same(what, judge(figures).failures, expected);

// Where refusals take their part of the processor, less is left at twice the load, and not as little as this.
const halved = but('step 5', { served: 140 });
same('a dear refusal', judge(halved, { refusalCost: 0.15 }).failures, []);
same('a cheap refusal', judge(halved).failures, ['step 5: served 140']);
same('the words', judge(good).words.slice(0, 2), ['it holds 150 a second and breaks at 225; 200', 'past the limit, up to 2.5 times that']);

/** A run as it has to be: one buyer of 10 got no answer to the reservation, one payment none, one came too late. */
const counts = {
  joined: 12, entered: 11, server_tail: 12, server_entered: 11,
  asked_for: 10, reserved: 5, sold_out: 4, server_unsold: 2,
  payments: 5, confirmed: 3, paid_too_late: 1, server_sold: 4,
};

const books = [
  ['as it has to be', {}, []],
  ['a position given twice', { server_tail: 11 }, ['joined: 12']],
  ['an entry that is not counted', { server_entered: 10 }, ['entered: 11']],
  ['a sale that is not counted', { server_sold: 2, server_unsold: 4 }, ['confirmed: 3']],
  ['a unit sold to nobody', { server_sold: 5, server_unsold: 1 }, ['server sold: 5']],
  ['told too early that all is gone', { server_unsold: 3 }, ['sold out: 4']],
  ['told so from the start', { reserved: 0, sold_out: 10, payments: 0, confirmed: 0, paid_too_late: 0, server_sold: 0, server_unsold: 6 }, ['sold out: 10']],
];

for (const [what, wrong, expected] of books) same(what, disagreements({ ...counts, ...wrong }), expected);

function same(what, found, expected) {
  if (found.length === expected.length && found.every((text, n) => text.startsWith(expected[n]))) return;
  throw new Error(`${what}: expected ${JSON.stringify(expected)}, found ${JSON.stringify(found)}`);
}

export default function nothing() {}
