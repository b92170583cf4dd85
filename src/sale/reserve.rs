//! Reserve: check everything, then write everything.
//!
//! The precedence of refusals is fixed: invalid, unknown SKU, key seen before, closed, pass, sold out, limit. A grant
//! repeated under its key is no refusal: only what can't be a reservation under any rules comes before it, so that it
//! is found again whatever has become of the rules since.

use super::{
    command::{Buyer, Caller, Limit, Line, Outcome, Refusal, Reserve, Shortage, Sku, State},
    outbox::EventKind,
    rows::RowKey,
    settings::TOTAL_MAX,
    stock::{GRANTS_PER_BUYER, Move, Record, Sale},
    units::Units,
    view::Phase,
};
use crate::time::UnixMs;

/// The most lines of one reservation: a batch of fifty must stay a matter of microseconds.
pub const LINES_MAX: usize = 20;

impl Sale {
    /// Takes units from available to held, all or nothing.
    pub(super) fn reserve(&mut self, now: UnixMs, ask: &Reserve) -> (Outcome, bool) {
        let granted = self.check_reserve(now, ask);
        match granted {
            Ok(Check::Seen) => (self.look(ask.id), false),
            Ok(Check::Granted(units, hold_ms)) => {
                self.grant(now, ask, units, now.plus_ms(hold_ms));
                (self.look(ask.id), true)
            }
            Err(refusal) => (self.refused(now, refusal), false),
        }
    }

    /// The cheap way for late comers: the grant of this key, or the refusal it deserves; nothing changes.
    pub(super) fn lookup(&self, now: UnixMs, ask: &Reserve) -> Outcome {
        match self.check_reserve(now, ask) {
            Ok(Check::Seen) => self.look(ask.id),
            Ok(Check::Granted(..)) => Outcome::Pending,
            Err(refusal) => self.refused(now, refusal),
        }
    }

    /// A refusal, unless what is due and not yet expired may be just what is missing: never a false one.
    fn refused(&self, now: UnixMs, refusal: Refusal) -> Outcome {
        match refusal {
            Refusal::SoldOut { .. } | Refusal::LimitExceeded { .. } if self.is_behind(now) => Outcome::Pending,
            refusal => Outcome::Refused(refusal),
        }
    }

    fn check_reserve(&self, now: UnixMs, ask: &Reserve) -> Result<Check, Refusal> {
        check_lines(&ask.lines)?;
        let seen = self.records.get(&ask.id);
        if seen.is_some_and(|record| record.fingerprint == ask.fingerprint) {
            return Ok(Check::Seen);
        }
        let hold_ms = self.hold_ms(ask.hold_seconds)?;
        let units = sum(&ask.lines);
        self.check_known(&units)?;
        if seen.is_some() {
            return Err(Refusal::KeyReused);
        }
        if self.phase(now) != Phase::Open {
            return Err(Refusal::Closed);
        }
        self.check_pass(now, &ask.caller)?;
        let given_back = self.replaced(now, ask)?;
        let lines = self.shortages(&units, &given_back);
        if !lines.is_empty() {
            return Err(Refusal::SoldOut { lines });
        }
        if let Some(buyer) = &ask.buyer {
            self.check_limits(buyer, &units, &given_back)?;
            self.check_grants(buyer)?;
        }
        Ok(Check::Granted(units, hold_ms))
    }

    fn hold_ms(&self, wish_seconds: Option<u64>) -> Result<u64, Refusal> {
        let most = self.rules.hold_max_ms / 1000;
        match wish_seconds {
            None => Ok(self.rules.hold_ms),
            Some(seconds) if (1..=most).contains(&seconds) => Ok(seconds * 1000),
            Some(_) => Err(invalid("hold_seconds", format!("must be from 1 to {most}"))),
        }
    }

    fn check_known(&self, units: &Units) -> Result<(), Refusal> {
        match units.keys().find(|sku| !self.stock.contains_key(*sku)) {
            Some(sku) => Err(Refusal::UnknownSku { sku: sku.clone() }),
            None => Ok(()),
        }
    }

    fn check_pass(&self, now: UnixMs, caller: &Caller) -> Result<(), Refusal> {
        let allowed = match caller {
            Caller::Shop => true,
            Caller::Pass { room, deadline } => {
                self.rules.requires_pass.is_empty() || (self.rules.requires_pass.contains(room) && now < *deadline)
            }
            Caller::Anyone => self.rules.requires_pass.is_empty(),
        };
        if allowed { Ok(()) } else { Err(Refusal::PassRequired) }
    }

    /// The units that come back when the hold named by `replaces` makes way.
    fn replaced(&self, now: UnixMs, ask: &Reserve) -> Result<Units, Refusal> {
        let Some(id) = ask.replaces else { return Ok(Units::new()) };
        match self.records.get(&id) {
            Some(record) if record.buyer != ask.buyer || ask.buyer.is_none() => Err(Refusal::UnknownReservation),
            None => Err(Refusal::UnknownReservation),
            Some(Record { state: State::Confirmed { .. }, .. }) => {
                Err(Refusal::Conflict { detail: "the reservation to replace is confirmed".to_owned() })
            }
            Some(Record { state: State::Held { deadline, .. }, lines, .. }) if now < *deadline => Ok(lines.clone()),
            Some(_) => Ok(Units::new()),
        }
    }

    /// What stands in the way of taking `units` while `given_back` return.
    pub(super) fn shortages(&self, units: &Units, given_back: &Units) -> Vec<Shortage> {
        let shortage = |(sku, wanted): (&Sku, &u64)| {
            let stock = self.stock.get(sku).copied().unwrap_or_default();
            let available = stock.available + given_back.get(sku).copied().unwrap_or(0);
            (available < *wanted).then(|| Shortage {
                sku: sku.clone(),
                wanted: *wanted,
                available: stock.available,
                held: stock.held,
            })
        };
        units.iter().filter_map(shortage).collect()
    }

    /// The limits by buyer, held and sold counted: a SKU's own and the sale's.
    pub(super) fn check_limits(&self, buyer: &Buyer, units: &Units, given_back: &Units) -> Result<(), Refusal> {
        let count = self.buyers.get(buyer);
        for (sku, wanted) in units {
            let Some(limit) = self.rules.items.get(sku).and_then(|item| item.per_buyer) else { continue };
            let has = count.and_then(|count| count.by_sku.get(sku)).copied().unwrap_or(0);
            let used = has.saturating_sub(given_back.get(sku).copied().unwrap_or(0));
            if used + wanted > limit {
                return Err(Refusal::LimitExceeded { what: Limit::UnitsOf { sku: sku.clone() }, limit, used });
            }
        }
        if let Some(limit) = self.rules.max_units_per_buyer {
            let used = count.map_or(0, |count| count.all).saturating_sub(given_back.values().sum());
            if used + units.values().sum::<u64>() > limit {
                return Err(Refusal::LimitExceeded { what: Limit::Units, limit, used });
            }
        }
        Ok(())
    }

    fn check_grants(&self, buyer: &Buyer) -> Result<(), Refusal> {
        match self.buyers.get(buyer) {
            Some(count) if count.grants >= GRANTS_PER_BUYER => {
                Err(Refusal::LimitExceeded { what: Limit::Grants, limit: GRANTS_PER_BUYER, used: count.grants })
            }
            _ => Ok(()),
        }
    }

    /// Writes a grant that was checked.
    fn grant(&mut self, now: UnixMs, ask: &Reserve, lines: Units, deadline: UnixMs) {
        if let Some(replaced) = ask.replaces {
            self.end_hold(now, replaced, State::Released { at: now }, |lines| EventKind::Released {
                id: replaced,
                lines,
            });
        }
        let levels = self.levels(lines.keys());
        if let Some(buyer) = &ask.buyer {
            self.buyers.entry(buyer.clone()).or_default().grants += 1;
        }
        for (sku, quantity) in &lines {
            self.move_units(sku, *quantity, Move::Hold);
            self.count(ask.buyer.as_ref(), sku, *quantity);
        }
        let record = Record {
            fingerprint: ask.fingerprint,
            buyer: ask.buyer.clone(),
            lines: lines.clone(),
            created: now,
            extensions: 0,
            extended_by: Vec::new(),
            state: State::Held { deadline, paying: false },
            late_orders: Vec::new(),
        };
        self.touched.note(|| RowKey::Record(now, ask.id));
        self.records.insert(ask.id, record);
        self.due.insert((deadline, ask.id));
        self.emit(now, EventKind::Held { id: ask.id, buyer: ask.buyer.clone(), lines, deadline });
        self.tell_levels(now, levels);
    }
}

/// Whether these can be the lines of a reservation, or of a part of one, whatever the sale: how many, and of how many
/// units each.
///
/// # Errors
/// [`Refusal::Invalid`] naming the line.
pub fn check_lines(lines: &[Line]) -> Result<(), Refusal> {
    if lines.is_empty() || lines.len() > LINES_MAX {
        return Err(invalid("lines", format!("must be 1 to {LINES_MAX} lines")));
    }
    match lines.iter().position(|line| !(1..=TOTAL_MAX).contains(&line.quantity)) {
        Some(index) => Err(invalid(format!("lines[{index}].quantity"), format!("must be from 1 to {TOTAL_MAX}"))),
        None => Ok(()),
    }
}

/// The lines with the same SKU summed.
pub fn sum(lines: &[Line]) -> Units {
    let mut units = Units::new();
    for line in lines {
        units.add(&line.sku, line.quantity);
    }
    units
}

/// A reserve that is not refused.
enum Check {
    /// The key was seen with this body: the same answer again.
    Seen,
    /// These units, for so long.
    Granted(Units, u64),
}

pub(super) fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Refusal {
    Refusal::Invalid { field: field.into(), detail: detail.into() }
}
