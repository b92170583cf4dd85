// What a run leaves behind: the figures as JSON for machines, a table for the terminal. The charts are k6's own
// report, which `scripts/k6/run` asks for beside them.

const folder = __ENV.RESULTS || '.';

/** The `handleSummary` of a script: `rows` may add lines of its own, `steps` figures, `failures` what else does not hold, of the data and the counts. */
export function summarise(script, { rows = () => [], steps = () => undefined, failures = () => [] } = {}) {
  return (data) => {
    const results = collect(script, data);
    const failed = [...broken(data), ...disagreements(results.counts), ...failures(data, results.counts)];
    const lines = [...table(results), ...rows(data), '', ...verdict(data, failed), ''];
    return {
      stdout: `${lines.join('\n')}\n`,
      [`${folder}/${script}.json`]: JSON.stringify({ ...results, steps: steps(data), failed }, null, 2),
    };
  };
}

function collect(script, data) {
  const calls = {};
  const counts = {};
  for (const [name, metric] of Object.entries(data.metrics)) {
    const call = /^http_req_duration\{call:([^,}]+)\}$/.exec(name)?.[1];
    if (call) calls[call] = metric.values;
    else if (metric.type === 'counter' && !/^(data_|http_|iteration)|\{/.test(name)) counts[name] = metric.values.count;
    else if (metric.type === 'gauge' && name.startsWith('server_')) counts[name] = metric.values.value;
  }
  const http = data.metrics.http_reqs?.values || {};
  return { script, seconds: data.state.testRunDurationMs / 1000, requests: http.count, per_second: http.rate, counts, calls };
}

const cell = (text, width) => String(text).padStart(width);
const ms = (value) => (value === undefined ? '–' : value.toFixed(value < 10 ? 2 : 1));

function table(results) {
  const lines = ['', `${results.script}: ${results.requests} requests in ${results.seconds.toFixed(1)} s, ${results.per_second?.toFixed(0)} a second`];
  const calls = Object.entries(results.calls).filter(([, values]) => values.max || values.med);
  if (calls.length > 0) lines.push('', `  ${'call'.padEnd(10)}${['p50', 'p95', 'p99', 'max'].map((name) => cell(`${name} ms`, 10)).join('')}`);
  for (const [name, values] of calls) {
    const columns = [values.med, values['p(95)'], values['p(99)'], values.max];
    lines.push(`  ${name.padEnd(10)}${columns.map((value) => cell(ms(value), 10)).join('')}`);
  }
  const counts = Object.entries(results.counts).sort(([one], [other]) => one.localeCompare(other));
  return [...lines, '', ...counts.map(([name, count]) => `  ${name.replace(/_/g, ' ').padEnd(24)}${cell(count, 10)}`)];
}

function thresholds(data) {
  return Object.entries(data.metrics).flatMap(([metric, { thresholds: held = {} }]) =>
    Object.entries(held).map(([condition, { ok }]) => ({ metric, condition, ok })),
  );
}

const broken = (data) => thresholds(data).filter(({ ok }) => !ok).map(({ metric, condition }) => `${metric}: ${condition}`);

/**
 * Where what the visitors were told is not what the server counts. Whoever got no answer may have got what they asked for:
 * that much, and no more, the server may be ahead of them.
 */
export function disagreements(counts) {
  const { joined = 0, entered = 0, confirmed = 0, payments = 0, paid_too_late: late = 0 } = counts;
  const { asked_for: asked = 0, sold_out: refused = 0, limit_exceeded: limited = 0 } = counts;
  const { server_tail: tail = 0, server_entered: counted = 0, server_sold: sold = 0, server_unsold: unsold = 0 } = counts;
  const granted = asked - refused - limited;
  return [
    ...(joined > tail ? [`joined: ${joined} got a position, and the last one is ${tail}: some were given twice`] : []),
    ...(entered > counted ? [`entered: ${entered} visitors were let in, and the server counts ${counted}`] : []),
    ...(confirmed > sold ? [`confirmed: ${confirmed} were told that they have bought, and the server counts ${sold}`] : []),
    ...(sold > payments - late ? [`server sold: ${sold}, and at most ${payments - late} can have paid in time`] : []),
    // A unit is gone when somebody has it: all of them had to be handed out once before anybody could be told so.
    ...(refused > 0 && granted < sold + unsold
      ? [`sold out: ${refused} were told so, and of ${sold + unsold} units at most ${granted} had been handed out`]
      : []),
  ];
}

function verdict(data, failed) {
  if (failed.length === 0) return [`  all ${thresholds(data).length} thresholds hold`];
  return ['  BROKEN', ...failed.map((line) => `    ${line}`)];
}

/** What every script keeps of a time. */
export const trendStats = ['min', 'med', 'avg', 'p(95)', 'p(99)', 'p(99.9)', 'max'];
