// What the steps of a ramp tell: how much holds, and whether what lies past that is as it has to be. Figures in, words out:
// so the tests can show it a ramp that breaks, which no small run does.

/** A step is broken when less than so much of what was offered is served, or the slowest percent waits longer. */
export const SERVED_LEAST = 0.95;
export const P99_MOST_MS = 250;
/** Past the limit so much of what can be served has to be, where k6 did send so much more than that. */
const HELD_LEAST = 0.9;
const EXCESS_LEAST = 1.2;
/** What is served past the limit is served within this, or it would better have been refused: the queue and as much again. */
const SERVED_P99_MOST_MS = 1000;
/** After the storm the slowest percent may take so many times as long as before, and so much longer: one pause makes it. */
const AFTER_MOST = 2;
const AFTER_SPARE_MS = 50;

/**
 * Judges the steps, each `{ name, offered, served, refused, notSent, p50, p99, refusedP99 }`, a second and in milliseconds;
 * the last is the first one's load again, after the storm. `refusalCost` is what a refusal costs of what it refuses.
 */
export function judge(figures, { patience = 1, refusalCost = 0 } = {}) {
  const isBroken = ({ served, offered, p99 }) => served < SERVED_LEAST * offered || p99 > P99_MOST_MS * patience;
  const steps = figures.map((step) => ({ ...step, isBroken: isBroken(step) }));
  const ramp = steps.slice(0, -1);
  const after = steps[ramp.length];
  const best = Math.max(...ramp.map(({ served }) => served));
  const broke = ramp.findIndex((step) => step.isBroken);
  const past = broke === -1 ? [] : ramp.slice(broke).filter((step) => sent(step) > EXCESS_LEAST * best);
  const failures = best === 0 ? ['nothing was served'] : [...notHeld({ past, best, patience, refusalCost }), ...notRecovered(ramp[0], after, patience)];
  return { steps, failures, words: best === 0 ? [] : words({ ramp, after, best, broke, past }) };
}

const sent = ({ offered, notSent }) => offered - notSent;

/** What does not hold past the limit. */
function notHeld({ past, best, patience, refusalCost }) {
  // The share of the best throughput that refusals leave at `load` times of it, where both take the processor's time.
  const left = (load) => Math.max(0, (1 - load * refusalCost) / (1 - refusalCost));
  return past.flatMap((step) => [
    ...(step.served < HELD_LEAST * best * left(sent(step) / best)
      ? [`${step.name}: served ${step.served.toFixed(0)} a second, of ${best.toFixed(0)} at best`]
      : []),
    ...(step.p99 > SERVED_P99_MOST_MS * patience ? [`${step.name}: the slowest percent of those served waited ${step.p99.toFixed(0)} ms`] : []),
  ]);
}

/** What is worse after the storm than it was in the first step. */
function notRecovered(first, after, patience) {
  return [
    ...(after.served < SERVED_LEAST * first.served
      ? [`${after.name}: served ${after.served.toFixed(0)} a second, and ${first.served.toFixed(0)} in the first step`]
      : []),
    ...(after.p99 > AFTER_MOST * first.p99 + AFTER_SPARE_MS * patience
      ? [`${after.name}: the slowest percent waited ${after.p99.toFixed(0)} ms, and ${first.p99.toFixed(0)} in the first step`]
      : []),
  ];
}

function words({ ramp, after, best, broke, past }) {
  const recovery = `two seconds after, ${after.offered} a second: served ${after.served.toFixed(0)}, p99 ${after.p99.toFixed(1)} ms, where the first step had ${ramp[0].p99.toFixed(1)}`;
  const highest = ramp[ramp.length - 1].offered;
  if (broke === -1) return [`it held to the end, ${highest} a second: go on with a higher FROM, or less for the server`, recovery];
  const holds = broke === 0 ? `less than ${ramp[0].offered}` : ramp[broke - 1].offered;
  const held = `it holds ${holds} a second and breaks at ${ramp[broke].offered}; ${best.toFixed(0)} were served at best`;
  if (past.length === 0) {
    return [held, 'k6 could not send more than that ("not sent": it had no free user), so that what lies past the limit is not known', recovery];
  }
  const highestOf = (of) => Math.max(...past.map(of));
  const least = Math.min(...past.map(({ served }) => served));
  return [
    held,
    `past the limit, up to ${(highestOf(sent) / best).toFixed(1)} times that: served at least ${((100 * least) / best).toFixed(0)} % of the best, p99 ${highestOf(({ p99 }) => p99).toFixed(0)} ms`,
    past.some(({ refused }) => refused > 0) ? `refusals with Retry-After, p99 ${highestOf(({ refusedP99 }) => refusedP99).toFixed(0)} ms` : 'nobody was refused: the excess waited',
    recovery,
  ];
}
