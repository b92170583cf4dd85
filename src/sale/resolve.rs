//! What becomes of a hold: paying, confirm, release, extend. A reservation resolves at most once; a terminal
//! record never changes, and the same call again gets the same answer.

use super::{
    command::{Confirm, Fingerprint, IfExpired, Limit, Line, OrderRef, Outcome, Refusal, ReservationId, State},
    outbox::{EventKind, Share},
    reserve::{check_lines, invalid, sum},
    stock::{LATE_ORDERS_MAX, Move, Record, Sale},
    units::Units,
};
use crate::time::UnixMs;

/// The most extensions of one hold that move its deadline.
pub const EXTENSIONS_MAX: u8 = 10;

/// A hold whose deadline has not come.
struct Live {
    deadline: UnixMs,
    paying: bool,
}

impl Sale {
    /// The hold lives at least the payment grace longer; once.
    pub(super) fn paying(&mut self, now: UnixMs, id: ReservationId) -> (Outcome, bool) {
        let (live, expired) = match self.live(now, id) {
            (Ok(live), expired) => (live, expired),
            (Err(refusal), expired) => return (Outcome::Refused(refusal), expired),
        };
        if live.paying {
            return (self.look(id), expired);
        }
        let deadline = live.deadline.max(now.plus_ms(self.rules.payment_grace_ms));
        self.reschedule(id, deadline, true);
        (self.look(id), true)
    }

    /// Lets the hold live at least `seconds` from now, never longer than the sale's maximum from its start.
    pub(super) fn extend(
        &mut self,
        now: UnixMs,
        id: ReservationId,
        seconds: u64,
        key: Option<Fingerprint>,
    ) -> (Outcome, bool) {
        let most = self.rules.hold_max_ms / 1000;
        if !(1..=most).contains(&seconds) {
            return (Outcome::Refused(invalid("seconds", format!("must be from 1 to {most}"))), false);
        }
        let (live, expired) = match self.live(now, id) {
            (Ok(live), expired) => (live, expired),
            (Err(refusal), expired) => return (Outcome::Refused(refusal), expired),
        };
        let (hold_max_ms, record) = (self.rules.hold_max_ms, self.record_mut(id));
        let Some(record) = record else { return (Outcome::Refused(Refusal::UnknownReservation), expired) };
        let wished = now.plus_ms(seconds * 1000).min(record.created.plus_ms(hold_max_ms));
        let is_again = key.is_some_and(|key| record.extended_by.contains(&key));
        if is_again || wished <= live.deadline {
            return (self.look(id), expired);
        }
        if record.extensions >= EXTENSIONS_MAX {
            let (limit, used) = (u64::from(EXTENSIONS_MAX), u64::from(record.extensions));
            return (Outcome::Refused(Refusal::LimitExceeded { what: Limit::Extensions, limit, used }), expired);
        }
        record.extensions += 1;
        record.extended_by.extend(key);
        self.reschedule(id, wished, live.paying);
        (self.look(id), true)
    }

    /// Gives the units back; again is the same.
    pub(super) fn release(&mut self, now: UnixMs, id: ReservationId) -> (Outcome, bool) {
        match self.live(now, id) {
            (Ok(_), _) => {
                self.end_hold(now, id, State::Released { at: now }, |lines| EventKind::Released { id, lines });
                (self.look(id), true)
            }
            // What the buyer wanted is so: the units are back.
            (Err(Refusal::Released | Refusal::Expired), expired) => (self.look(id), expired),
            (Err(refusal), expired) => (Outcome::Refused(refusal), expired),
        }
    }

    /// Paid: from held to sold, in whole or in part.
    pub(super) fn confirm(&mut self, now: UnixMs, confirm: &Confirm) -> (Outcome, bool) {
        let id = confirm.id;
        let (alive, expired) = self.live(now, id);
        match (alive, self.records.get(&id)) {
            (_, None) => (Outcome::Refused(Refusal::UnknownReservation), expired),
            (_, Some(record)) if record.late_orders.contains(&confirm.order) => {
                (Outcome::Refused(record.too_late()), expired)
            }
            (Ok(_), Some(record)) => match self.part(record, confirm.lines.as_deref()) {
                Err(refusal) => (Outcome::Refused(refusal), expired),
                Ok(part) => {
                    let levels = self.levels(record.lines.keys());
                    self.sell(now, now, id, part, &confirm.order);
                    self.tell_levels(now, levels);
                    (self.look(id), true)
                }
            },
            (Err(_), Some(Record { state: State::Confirmed { order, .. }, .. })) if *order == confirm.order => {
                (self.look(id), expired)
            }
            (Err(Refusal::Expired | Refusal::Released), Some(record))
                if record.late_orders.len() >= LATE_ORDERS_MAX =>
            {
                let detail =
                    format!("{LATE_ORDERS_MAX} orders have paid too late for this reservation, and no other can");
                (Outcome::Refused(Refusal::Conflict { detail }), expired)
            }
            (Err(Refusal::Expired), Some(_)) if confirm.if_expired == IfExpired::Retake => {
                self.retake(now, confirm, expired)
            }
            (Err(refusal @ (Refusal::Expired | Refusal::Released)), Some(_)) => {
                self.tell_paid_too_late(now, id, &confirm.order);
                (Outcome::Refused(refusal), true)
            }
            (Err(refusal), Some(_)) => (Outcome::Refused(refusal), expired),
        }
    }

    /// The hold, if it lives; one whose deadline has come is expired here and now, whatever the sweep has reached.
    /// And whether that was done.
    fn live(&mut self, now: UnixMs, id: ReservationId) -> (Result<Live, Refusal>, bool) {
        match self.records.get(&id).map(|record| &record.state) {
            None => (Err(Refusal::UnknownReservation), false),
            Some(State::Held { deadline, paying }) if now < *deadline => {
                (Ok(Live { deadline: *deadline, paying: *paying }), false)
            }
            Some(State::Held { .. }) => {
                self.expire(now, id);
                (Err(Refusal::Expired), true)
            }
            Some(State::Expired { .. }) => (Err(Refusal::Expired), false),
            Some(State::Released { .. }) => (Err(Refusal::Released), false),
            Some(State::Confirmed { order, .. }) => {
                (Err(Refusal::Conflict { detail: format!("confirmed under order {order}") }), false)
            }
        }
    }

    pub(super) fn reschedule(&mut self, id: ReservationId, deadline: UnixMs, paying: bool) {
        let Some(record) = self.record_mut(id) else { return };
        let State::Held { deadline: before, .. } = record.state else { return };
        record.state = State::Held { deadline, paying };
        self.due.remove(&(before, id));
        self.due.insert((deadline, id));
    }

    /// The units to confirm: all of the record, or the part that `lines` names.
    fn part(&self, record: &Record, lines: Option<&[Line]>) -> Result<Part, Refusal> {
        let Some(lines) = lines else { return Ok(Part { lines: record.lines.clone(), share: Share::Whole }) };
        check_lines(lines)?;
        let units = sum(lines);
        for (sku, wanted) in &units {
            match record.lines.get(sku) {
                // What was reserved may be sold no more, but its payment needs its answer.
                Some(reserved) if wanted <= reserved => {}
                None if !self.stock.contains_key(sku) => return Err(Refusal::UnknownSku { sku: sku.clone() }),
                reserved => {
                    let reserved = reserved.copied().unwrap_or(0);
                    return Err(invalid("lines", format!("{sku}: {wanted} wanted, {reserved} reserved")));
                }
            }
        }
        let share = if units == record.lines { Share::Whole } else { Share::Part };
        Ok(Part { lines: units, share })
    }

    /// Moves the part of a live hold from held to sold as of `at` and lets the rest return. The caller tells the levels.
    pub(super) fn sell(&mut self, now: UnixMs, at: UnixMs, id: ReservationId, part: Part, order: &OrderRef) {
        let Part { lines, share } = part;
        let Some(record) = self.record_mut(id) else { return };
        let State::Held { deadline, .. } = record.state else { return };
        let (reserved, buyer) = (std::mem::replace(&mut record.lines, lines.clone()), record.buyer.clone());
        record.state = State::Confirmed { order: order.clone(), at };
        self.due.remove(&(deadline, id));
        self.fade(at, id);
        let mut returned = Units::new();
        for (sku, held) in &reserved {
            let sold = lines.get(sku).copied().unwrap_or(0);
            self.move_units(sku, sold, Move::Sell);
            if *held > sold {
                self.move_units(sku, held - sold, Move::Return);
                self.uncount(buyer.as_ref(), sku, held - sold);
                returned.insert(sku.clone(), held - sold);
            }
        }
        self.emit(now, EventKind::Confirmed { id, buyer, order: order.clone(), lines, returned, share });
    }

    /// A payment for an expired hold takes the units again, if they can be had, and sells them in the same step.
    fn retake(&mut self, now: UnixMs, confirm: &Confirm, expired: bool) -> (Outcome, bool) {
        let id = confirm.id;
        let Some(record) = self.records.get(&id) else {
            return (Outcome::Refused(Refusal::UnknownReservation), expired);
        };
        let part = match self.part(record, confirm.lines.as_deref()) {
            Ok(part) => part,
            Err(refusal) => return (Outcome::Refused(refusal), expired),
        };
        let buyer = record.buyer.clone();
        let short = !self.shortages(&part.lines, &Units::new()).is_empty();
        let over = buyer.as_ref().is_some_and(|buyer| self.check_limits(buyer, &part.lines, &Units::new()).is_err());
        if (short || over) && self.is_behind(now) {
            return (Outcome::Pending, expired);
        }
        if short || over {
            self.tell_paid_too_late(now, id, &confirm.order);
            return (Outcome::Refused(Refusal::Expired), true);
        }
        // Before the hold: in one step with it, the units go from available to sold.
        let levels = self.levels(part.lines.keys());
        self.hold_again(now, id, &part.lines);
        self.sell(now, now, id, part, &confirm.order);
        self.tell_levels(now, levels);
        (self.look(id), true)
    }

    /// Brings an expired record back to life as a hold of `lines`, for the sale that follows in the same step.
    fn hold_again(&mut self, now: UnixMs, id: ReservationId, lines: &Units) {
        let Some(record) = self.record_mut(id) else { return };
        let State::Expired { at } = record.state else { return };
        record.lines = lines.clone();
        record.state = State::Held { deadline: now, paying: true };
        let buyer = record.buyer.clone();
        self.unfade(at, id);
        for (sku, quantity) in lines {
            self.move_units(sku, *quantity, Move::Hold);
            self.count(buyer.as_ref(), sku, *quantity);
        }
        self.emit(now, EventKind::Held { id, buyer, lines: lines.clone(), deadline: now });
    }

    /// Tells the shop that a payment came for a hold that had died, and remembers its order: the shop refunds it, so it
    /// must not be sold to afterwards.
    pub(super) fn tell_paid_too_late(&mut self, now: UnixMs, id: ReservationId, order: &OrderRef) {
        let Some(record) = self.record_mut(id) else { return };
        record.late_orders.push(order.clone());
        let lines = record.lines.clone();
        self.emit(now, EventKind::PaidTooLate { id, order: order.clone(), lines });
    }
}

/// Units to confirm.
pub(super) struct Part {
    pub(super) lines: Units,
    pub(super) share: Share,
}

impl Record {
    /// What an order that once paid too late is told, then and for ever: even after another order has taken the units.
    fn too_late(&self) -> Refusal {
        match self.state {
            State::Released { .. } => Refusal::Released,
            State::Held { .. } | State::Confirmed { .. } | State::Expired { .. } => Refusal::Expired,
        }
    }
}
