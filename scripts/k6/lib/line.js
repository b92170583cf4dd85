// A visitor in the line, by an app's calls.

import { sleep } from 'k6';
import { Counter } from 'k6/metrics';
import { call, comeBack, insist, wasShed } from './api.js';
import { pace } from './settings.js';

export const joined = new Counter('joined');
export const entered = new Counter('entered');
export const lapsed = new Counter('lapsed');
export const leftTheLine = new Counter('left_the_line');

/**
 * Asks the gate about a page of the shop, as its gateway does for every request of a visitor: whether it lets the visitor
 * in, and else where it sends them; null if it does not answer. Needs k6's address among the server's trusted proxies, since
 * only those may ask.
 */
export function askGate(room, uri, cookie) {
  const response = insist('gate', 'GET', `/gate/${room}/redirect`, {
    headers: {
      Accept: 'text/html',
      'X-Forwarded-Proto': 'http',
      'X-Forwarded-Host': 'localhost',
      'X-Forwarded-Uri': uri,
      ...(cookie ? { Cookie: cookie } : {}),
    },
    statuses: [200, 302],
  });
  if (response.status === 200) return { letIn: true };
  if (response.status !== 302) return null;
  return { letIn: false, location: response.headers.Location, cookie: String(response.headers['Set-Cookie'] || '').split(';')[0] };
}

/** Opens the waiting page, as a browser does after the shop's redirect. */
export function openPage(room) {
  return call('page', 'GET', `/w/${room}`, { headers: { 'Accept-Encoding': 'gzip' }, statuses: [200], isRead: false });
}

/** Joins, and comes back when told to. The place, or null. */
export function join(room) {
  const response = insist('join', 'POST', `/v1/rooms/${room}/tickets`, { body: {}, statuses: [201] });
  if (response.status !== 201) return null;
  joined.add(1);
  return { room, ...response.json() };
}

/**
 * One look at the shared status. A poller that brings the last ETag mostly gets 304. `place.pause` is for how many seconds
 * at least there must be no other look.
 */
export function status(place) {
  const headers = place.etag ? { 'If-None-Match': place.etag } : {};
  const response = call('status', 'GET', `/v1/rooms/${place.room}/status`, { headers, statuses: [200, 304] });
  place.pause = wasShed(response) ? comeBack(response) : 0;
  if (response.status === 200) {
    place.etag = response.headers.Etag;
    place.status = response.json();
  }
  return place.status;
}

/** Waits until the head has passed the place, polling as apps are told to; false if `patience` seconds pass first. */
export function waitInLine(place, patience) {
  const until = Date.now() + patience * 1000;
  while (Date.now() < until) {
    const now = status(place);
    if (now && place.number <= now.head) return true;
    sleep(Math.min(Math.max(place.pause, nextPoll(place, now) / pace), Math.max(0, until - Date.now()) / 1000));
  }
  return false;
}

function nextPoll(place, now) {
  if (!now) return 1;
  const { near, middle, far } = now.poll_after_seconds;
  const inVoids = (now.voids || []).reduce(
    (sum, [first, last]) => sum + Math.max(0, Math.min(last + 1, place.number) - Math.max(first, now.head + 1)), 0);
  const ahead = place.number - now.head - inVoids;
  const perSecond = Math.max(now.rate_per_minute / 60, 0.1);
  const wait = ahead / perSecond;
  const next = wait < 120 ? near : wait < 300 ? middle : far;
  return next * (0.8 + Math.random() * 0.4);
}

/** Claims the pass of a called place; null if the place had lapsed, or it can't be had. */
export function claim(place) {
  for (let n = 0; n < 20; n += 1) {
    const response = call('claim', 'POST', `/v1/rooms/${place.room}/passes`, {
      body: {},
      headers: { 'X-Dropgate-Ticket': place.ticket },
      statuses: [200, 202, 410],
    });
    if (response.status === 200) {
      // A pass claimed again is the same entry.
      if (!place.entered) entered.add(1);
      place.entered = true;
      return response.json();
    }
    if (response.status === 410) {
      lapsed.add(1);
      return null;
    }
    if (response.status !== 202 && !wasShed(response)) return null;
    sleep(comeBack(response));
  }
  return null;
}

/** Gives the place or the session back. */
export function leave(place) {
  leftTheLine.add(1);
  insist('leave', 'POST', `/v1/rooms/${place.room}/leave`, {
    body: {},
    headers: { 'X-Dropgate-Ticket': place.ticket },
    statuses: [200, 204, 410],
  });
}
