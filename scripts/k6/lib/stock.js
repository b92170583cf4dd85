// A buyer, and the shop's server that acts for it.

import { Counter } from 'k6/metrics';
import { bearer, call, insist, look } from './api.js';

/** Buyers who asked, and payments that arrived, whatever was answered: the server may have done what nobody heard of. */
const askedFor = new Counter('asked_for');
const payments = new Counter('payments');
export const reserved = new Counter('reserved');
export const confirmed = new Counter('confirmed');
export const soldOut = new Counter('sold_out');
export const limited = new Counter('limit_exceeded');
export const tooLate = new Counter('paid_too_late');
export const walkedAway = new Counter('walked_away');

/** Why a buyer may be refused, by the last word of the problem's type. */
const REFUSALS = { sold_out: soldOut, limit_exceeded: limited };

/** Asks for one unit of `sku`: with a pass as its holder, or else as the shop for `buyer`. The answer, counted. */
export function want(stage, { sku, key, pass, buyer }, send = call) {
  askedFor.add(1);
  const who = pass ? { 'X-Dropgate-Pass': pass } : bearer(stage.shopKey);
  const response = send('reserve', 'POST', `/v1/sales/${stage.sale}/reservations`, {
    body: { lines: [{ sku, quantity: 1 }], ...(pass ? {} : { buyer }) },
    headers: { ...who, 'Idempotency-Key': key },
    statuses: [201, 409],
  });
  if (response.status === 201) reserved.add(1);
  if (response.status === 409) {
    const refusal = REFUSALS[/"type":\s*"urn:dropgate:(\w+)"/.exec(response.body)?.[1]];
    if (refusal) refusal.add(1);
    // Any other conflict is no answer to a buyer who replaces nothing.
    else look('a buyer is refused for what is sold out, or for the limit', false);
  }
  return response;
}

/** Reserves as `want` does, and comes back when told to. The reservation and until when it surely lives, or null if refused. */
export function reserve(stage, wanted) {
  const asked = Date.now();
  const response = want(stage, wanted, insist);
  if (response.status !== 201) return null;
  const reservation = response.json();
  // By our own clock: it began after we asked.
  return { ...reservation, until: asked + Date.parse(reservation.expires_at) - Date.parse(reservation.created_at) };
}

/** The buyer leaves for the payment provider. */
export function paying(stage, reservation) {
  return insist('paying', 'POST', `/v1/sales/${stage.sale}/reservations/${reservation.id}/paying`, {
    body: {},
    headers: bearer(stage.shopKey),
    statuses: [200, 410],
  });
}

/** The payment arrived. Whoever paid gets the units, or is told that it was too late. */
export function confirm(stage, reservation, order) {
  payments.add(1);
  const response = insist('confirm', 'POST', `/v1/sales/${stage.sale}/reservations/${reservation.id}/confirm`, {
    body: { order, if_expired: 'retake' },
    headers: bearer(stage.shopKey),
    statuses: [200, 410],
  });
  if (response.status === 200) confirmed.add(1);
  if (response.status === 410) {
    tooLate.add(1);
    if (Date.now() < reservation.until) look('whoever pays in time gets the units', false);
  }
  return response;
}
