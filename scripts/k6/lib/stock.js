// A buyer, and the shop's server that acts for it.

import { Counter } from 'k6/metrics';
import { bearer, call } from './api.js';

export const reserved = new Counter('reserved');
export const confirmed = new Counter('confirmed');
export const soldOut = new Counter('sold_out');
export const limited = new Counter('limit_exceeded');
export const tooLate = new Counter('paid_too_late');
export const walkedAway = new Counter('walked_away');

/** Asks for one unit of `sku`: with a pass as its holder, or else as the shop for `buyer`. The answer, counted. */
export function want(stage, { sku, key, pass, buyer }) {
  const who = pass ? { 'X-Dropgate-Pass': pass } : bearer(stage.shopKey);
  const response = call('reserve', 'POST', `/v1/sales/${stage.sale}/reservations`, {
    body: { lines: [{ sku, quantity: 1 }], ...(pass ? {} : { buyer }) },
    headers: { ...who, 'Idempotency-Key': key },
    statuses: [201, 409],
  });
  if (response.status === 201) reserved.add(1);
  if (response.status === 409) (response.json().type.endsWith('sold_out') ? soldOut : limited).add(1);
  return response;
}

/** Reserves as `want` does. The reservation, or null if refused. */
export function reserve(stage, wanted) {
  const response = want(stage, wanted);
  return response.status === 201 ? response.json() : null;
}

/** The buyer leaves for the payment provider. */
export function paying(stage, reservation) {
  return call('paying', 'POST', `/v1/sales/${stage.sale}/reservations/${reservation.id}/paying`, {
    body: {},
    headers: bearer(stage.shopKey),
    statuses: [200, 410],
  });
}

/** The payment arrived. Whoever paid gets the units, or is told that it was too late. */
export function confirm(stage, reservation, order) {
  const response = call('confirm', 'POST', `/v1/sales/${stage.sale}/reservations/${reservation.id}/confirm`, {
    body: { order, if_expired: 'retake' },
    headers: bearer(stage.shopKey),
    statuses: [200, 410],
  });
  if (response.status === 200) confirmed.add(1);
  if (response.status === 410) tooLate.add(1);
  return response;
}
