// A visitor in the line, by an app's calls.

import { sleep } from 'k6';
import { Counter } from 'k6/metrics';
import { call, comeBack } from './api.js';
import { pace } from './settings.js';

export const joined = new Counter('joined');
export const entered = new Counter('entered');
export const lapsed = new Counter('lapsed');
export const leftTheLine = new Counter('left_the_line');

/**
 * Asks the gate about a page of the shop, as its gateway does for every request of a visitor: where it sends the visitor,
 * or null if it lets them in. Needs k6's address among the server's trusted proxies, since only those may ask.
 */
export function askGate(room, uri, cookie) {
  const response = call('gate', 'GET', `/gate/${room}/redirect`, {
    headers: {
      Accept: 'text/html',
      'X-Forwarded-Proto': 'http',
      'X-Forwarded-Host': 'localhost',
      'X-Forwarded-Uri': uri,
      ...(cookie ? { Cookie: cookie } : {}),
    },
    statuses: [200, 302],
  });
  if (response.status !== 302) return null;
  return { location: response.headers.Location, cookie: String(response.headers['Set-Cookie'] || '').split(';')[0] };
}

/** Opens the waiting page, as a browser does after the shop's redirect. */
export function openPage(room) {
  return call('page', 'GET', `/w/${room}`, { headers: { 'Accept-Encoding': 'gzip' }, statuses: [200], isRead: false });
}

/** Joins; comes back as told when shed, at most `tries` times. The place, or null. */
export function join(room, tries = 5) {
  for (let n = 0; n < tries; n += 1) {
    const response = call('join', 'POST', `/v1/rooms/${room}/tickets`, { body: {}, statuses: [201] });
    if (response.status === 201) {
      joined.add(1);
      return { room, ...response.json() };
    }
    sleep(comeBack(response));
  }
  return null;
}

/** One look at the shared status. A poller that brings the last ETag mostly gets 304. */
export function status(place) {
  const headers = place.etag ? { 'If-None-Match': place.etag } : {};
  const response = call('status', 'GET', `/v1/rooms/${place.room}/status`, { headers, statuses: [200, 304] });
  if (response.status === 200) {
    place.etag = response.headers.Etag;
    place.status = response.json();
  }
  return place.status;
}

/** Waits until the head has passed the place, polling as the page does; false if `patience` seconds pass first. */
export function waitInLine(place, patience) {
  const until = Date.now() + patience * 1000;
  while (Date.now() < until) {
    const now = status(place);
    if (now && place.number <= now.head) return true;
    sleep(nextPoll(place, now) / pace);
  }
  return false;
}

function nextPoll(place, now) {
  if (!now) return 1;
  const { near, middle, far } = now.poll_after_seconds;
  const ahead = place.number - now.head;
  const perSecond = Math.max(now.rate_per_minute / 60, 0.1);
  const wait = ahead / perSecond;
  const next = wait < 30 ? near : wait < 300 ? middle : far;
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
    sleep(comeBack(response));
  }
  return null;
}

/** Gives the place or the session back. */
export function leave(place) {
  leftTheLine.add(1);
  call('leave', 'POST', `/v1/rooms/${place.room}/leave`, {
    body: {},
    headers: { 'X-Dropgate-Ticket': place.ticket },
    statuses: [200, 204, 410],
  });
}
