// What a run is told by its environment, each with a default and bounds: a mistyped size must not become a flood.

const env = __ENV;

/** Where the waiting room listens, without a trailing slash. */
export const target = (env.TARGET || 'http://127.0.0.1:8080').replace(/\/$/, '');

/** A key with the scope `admin`: it makes the room, the sale and a shop's key of this run, and deletes them again. */
export const adminKey = env.ADMIN_KEY || '';

/** What the run makes stays when it ends, to be looked at on the dashboard. */
export const keep = env.KEEP === '1';

/** How fast people are: 1 is life, 10 is a tenth of the thinking time, for a run of seconds. */
export const pace = number('PACE', 1, 0.1, 1000);

/** Multiplies every threshold on time: a laptop that runs k6 beside the server needs more than a machine of its own. */
export const patience = number('PATIENCE', 1, 0.1, 100);

/** A number from the environment. */
export function number(name, fallback, least, most) {
  const text = env[name];
  if (text === undefined || text === '') return fallback;
  const value = Number(text);
  if (!Number.isFinite(value) || value < least || value > most) {
    throw new Error(`${name}=${text}: must be a number from ${least} to ${most}`);
  }
  return value;
}

/** A whole number of at least 1 from the environment. */
export function whole(name, fallback, most) {
  return Math.round(number(name, fallback, 1, most));
}

/** A time like `30s` or `5m` from the environment, in seconds; at most a day. */
export function seconds(name, fallback) {
  const text = env[name];
  if (text === undefined || text === '') return fallback;
  const found = /^(\d+)(s|m|h)$/.exec(text);
  const value = found ? Number(found[1]) * { s: 1, m: 60, h: 3600 }[found[2]] : NaN;
  if (!(value >= 1 && value <= 86400)) throw new Error(`${name}=${text}: must be a time like 30s, 5m or 1h, at most 24h`);
  return value;
}

/** One word of a few from the environment. */
export function choice(name, words) {
  const text = env[name] || words[0];
  if (!words.includes(text)) throw new Error(`${name}=${text}: must be one of ${words.join(', ')}`);
  return text;
}

if (!adminKey) {
  throw new Error('ADMIN_KEY is not set: give a key with the scope admin (scripts/k6/run --serve makes a server and a key)');
}
const host = /^https?:\/\/(\[[^\]]+\]|[^/:]+)/.exec(target)?.[1];
if (!['127.0.0.1', 'localhost', '[::1]'].includes(host) && env.ALLOW_HOST !== host) {
  throw new Error(`TARGET is ${host}, another machine: set ALLOW_HOST=${host} to say that it is yours to load`);
}
