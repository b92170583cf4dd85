//! What becomes of a sale whose store has lost its last moments: those who were told of them tell it again, as *rows*, not
//! as commands, and each row is applied where it fits.
//!
//! A row is what a record, a restock or the rules were after the batch that changed them. It counts if it is newer than
//! what the store has, and an order that was confirmed counts whatever happened since. What gives units back comes first,
//! what takes them last, and nothing is ever sold twice: a hold that does not fit is `lost`, a payment that does not is
//! told of as one that came too late.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    command::{OrderRef, ReservationId, Sku, State},
    outbox::{EventKind, Share},
    resolve::Part,
    rows::{Content, Row, RowKey},
    settings::{Rules, TOTAL_MAX},
    stock::{Move, Record, Restock, Sale},
    units::Units,
};
use crate::time::UnixMs;

/// The most rewinds a sale remembers. Cursors older than all of them are taken for as old as the oldest: their readers
/// may be told again what they know.
pub const REWINDS_MAX: usize = 16;

/// A recovery: the events up to `to_seq` are those of before, all later ones of older terms are to be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewind {
    pub term: u64,
    pub to_seq: u64,
}

/// The batch that changed something: the term of the store and the number in it. The newer is the greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    pub term: u64,
    pub seq: u64,
}

/// A row as it is told again.
#[derive(Clone, Debug)]
pub struct Told {
    pub stamp: Stamp,
    /// The version that its sale's first document had.
    pub born: u64,
    pub row: Row,
}

/// What a recovery has to go by.
#[derive(Debug)]
pub struct Recovery<'a> {
    pub now: UnixMs,
    /// The new term, if this is the end of a recovery; none for what is told later.
    pub term: Option<u64>,
    /// No sale born up to then is made again: it was deleted.
    pub buried: u64,
    pub told: &'a [Told],
    /// The batches that changed the records which the store has.
    pub stored: &'a BTreeMap<ReservationId, Stamp>,
}

/// Rules that were told again.
struct Settings<'a> {
    version: u64,
    born: u64,
    rules: &'a Rules,
}

/// Whether a row needs units that are available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Nothing,
    Units,
}

impl Sale {
    /// Applies what was told, all of it in one step.
    pub fn recover(slot: &mut Option<Self>, recovery: &Recovery<'_>) {
        let settings = newest_settings(recovery.told);
        let is_fresh = Self::make_again(slot, recovery, settings.as_ref());
        let Some(sale) = slot else { return };
        let now = recovery.now.max(sale.last);
        if let Some(term) = recovery.term {
            sale.rewind(now, term);
        }
        let settings = settings.filter(|settings| settings.born == sale.born);
        let waits = settings.filter(|settings| !sale.take_settings(now, settings, is_fresh));
        sale.merge(now, recovery, waits.as_ref());
        sale.last = now;
        sale.finish();
    }

    /// Makes the sale that was made in the moments that were lost; whether it did.
    fn make_again(slot: &mut Option<Self>, recovery: &Recovery<'_>, settings: Option<&Settings<'_>>) -> bool {
        let Some(settings) = settings else { return false };
        let is_later = match slot {
            Some(sale) => sale.born < settings.born,
            None => recovery.buried < settings.born,
        };
        if is_later {
            let now = slot.as_ref().map_or(recovery.now, |sale| recovery.now.max(sale.last));
            *slot = Some(Self::empty(now, settings.version, settings.born, settings.rules));
        }
        is_later
    }

    fn rewind(&mut self, now: UnixMs, term: u64) {
        let to_seq = self.outbox.seq();
        self.rewinds.push(Rewind { term, to_seq });
        if self.rewinds.len() > REWINDS_MAX {
            let oldest = self.rewinds.remove(0);
            if let Some(next) = self.rewinds.first_mut() {
                next.to_seq = next.to_seq.min(oldest.to_seq);
            }
        }
        self.emit(now, EventKind::Rewound { term, to_seq });
    }

    /// Where a reader stands that was told of event `after` in `term`: what came after a rewind, it has to forget.
    pub(super) fn resolve(&self, after: u64, term: u64) -> u64 {
        let later = self.rewinds.iter().filter(|rewind| rewind.term > term);
        later.map(|rewind| rewind.to_seq).fold(after, u64::min)
    }

    /// Whether the rules are in force now.
    fn take_settings(&mut self, now: UnixMs, settings: &Settings<'_>, is_fresh: bool) -> bool {
        if !is_fresh && settings.version <= self.version {
            return true;
        }
        if self.consider(settings.rules).is_err() {
            return false;
        }
        self.version = settings.version;
        self.take_rules(now, settings.rules);
        true
    }

    /// Changes of what is there first, then what takes units: sold ones before held ones, and withdrawals last. Rules that
    /// did not fit at first may fit in between.
    fn merge(&mut self, now: UnixMs, recovery: &Recovery<'_>, waits: Option<&Settings<'_>>) {
        let (mut takes, mut withdrawals) = (Vec::new(), Vec::new());
        for told in in_order(recovery.told, self.born) {
            match &told.row.0 {
                Content::Record { id, record, .. }
                    if self.is_news(now, *id, told.stamp, record, recovery.stored)
                        && self.merge_record(now, *id, record, Need::Nothing) == Need::Units =>
                {
                    takes.push((*id, record));
                }
                Content::Restock { id, restock } if restock.delta > 0 => self.merge_restock(now, *id, restock),
                Content::Restock { id, restock } => withdrawals.push((*id, restock)),
                _ => {}
            }
        }
        let waits = waits.filter(|settings| !self.take_settings(now, settings, false));
        let is_sold = |record: &Record| matches!(record.state, State::Confirmed { .. });
        takes.sort_by_key(|(_, record)| !is_sold(record));
        for (id, record) in takes {
            self.merge_record(now, id, record, Need::Units);
        }
        for (id, restock) in withdrawals {
            self.merge_restock(now, id, restock);
        }
        if let Some(settings) = waits {
            self.take_settings(now, settings, false);
        }
    }

    /// Whether a record tells something new: one that is newer, an order that is not known to be confirmed, or a hold that
    /// lives longer. That one was not extended is no act that could be newer, and neither is that it expired.
    fn is_news(
        &self,
        now: UnixMs,
        id: ReservationId,
        stamp: Stamp,
        record: &Record,
        stored: &BTreeMap<ReservationId, Stamp>,
    ) -> bool {
        let Some(known) = self.records.get(&id) else { return true };
        if is_of_other(known, record) {
            return true;
        }
        let is_newer = stored.get(&id).is_none_or(|stored| *stored < stamp);
        let is_unknown_order = match (&record.state, &known.state) {
            (State::Confirmed { order, .. }, State::Confirmed { order: known, .. }) => order != known,
            (State::Confirmed { .. }, _) => true,
            _ => false,
        };
        let is_longer_hold = match (&record.state, &known.state) {
            (State::Held { deadline, .. }, State::Held { deadline: known, .. }) => deadline > known,
            (State::Held { deadline, .. }, State::Expired { .. }) => *deadline > now,
            _ => false,
        };
        is_newer || is_unknown_order || is_longer_hold
    }

    /// Applies a record where it may: `allowed` to take units or not. What it would have needed, if it was not.
    fn merge_record(&mut self, now: UnixMs, id: ReservationId, record: &Record, allowed: Need) -> Need {
        self.forget_former(id, record);
        if self.records.get(&id).is_some_and(|known| is_of_other(known, record)) {
            self.tell_of_other(now, id, record);
            return Need::Nothing;
        }
        let before = self.records.get(&id).map(|known| known.state.clone());
        let is_take = match (&before, &record.state) {
            (None, State::Confirmed { .. }) => true,
            (None | Some(State::Expired { .. }), State::Held { deadline, .. }) => *deadline > now,
            (Some(State::Released { .. } | State::Expired { .. }), State::Confirmed { order, .. }) => {
                !self.is_told_late(id, order)
            }
            _ => false,
        };
        if is_take && allowed == Need::Nothing {
            return Need::Units;
        }
        match (&before, &record.state) {
            (_, State::Held { deadline, .. }) if is_take => self.hold_anew(now, id, record, *deadline),
            // Its time is over: it takes nothing from those that live.
            (None, State::Held { .. }) => self.bury(id, record, State::Expired { at: now }),
            (Some(State::Held { .. }), State::Held { .. }) => self.hold_on(id, record),
            (Some(State::Held { .. }), State::Confirmed { order, at }) => {
                self.sell_held(now, *at, id, record, order);
            }
            (Some(State::Held { .. }), end @ State::Released { .. }) => {
                self.end_hold(now, id, end.clone(), |lines| EventKind::Released { id, lines });
            }
            (Some(State::Held { .. }), end @ State::Expired { .. }) => {
                self.end_hold(now, id, end.clone(), |lines| EventKind::Expired { id, lines });
            }
            (_, State::Confirmed { order, at }) if is_take => self.take_and_sell(now, *at, id, record, order),
            (Some(State::Confirmed { order: known, .. }), State::Confirmed { order, .. })
                if known != order && !self.is_told_late(id, order) =>
            {
                self.tell_paid_too_late(now, id, order);
            }
            (None, State::Released { .. } | State::Expired { .. }) => self.bury(id, record, record.state.clone()),
            _ => {}
        }
        self.tell_late_orders(now, id, record);
        Need::Nothing
    }

    /// Two histories granted different things under one key: the one that is here stays, and the other is told of.
    fn tell_of_other(&mut self, now: UnixMs, id: ReservationId, record: &Record) {
        let is_sold = |known: &Record, order: &OrderRef| matches!(&known.state, State::Confirmed { order: sold, .. } if sold == order);
        match &record.state {
            State::Held { deadline, .. } if *deadline > now => {
                let (buyer, lines) = (record.buyer.clone(), record.lines.clone());
                self.emit(now, EventKind::Lost { id, buyer, lines });
            }
            State::Confirmed { order, .. }
                if !self.is_told_late(id, order)
                    && !self.records.get(&id).is_some_and(|known| is_sold(known, order)) =>
            {
                self.tell_paid_too_late(now, id, order);
            }
            _ => {}
        }
        self.tell_late_orders(now, id, record);
    }

    /// A tombstone gives way to what was granted under its key after it had been forgotten.
    fn forget_former(&mut self, id: ReservationId, record: &Record) {
        let is_other = |known: &&Record| known.created != record.created || is_of_other(known, record);
        let Some(known) = self.records.get(&id).filter(is_other) else { return };
        if let State::Released { at } | State::Expired { at } = known.state {
            let (until, id) = Self::fading_key(at, id);
            self.forget(until, id);
        }
    }

    fn is_told_late(&self, id: ReservationId, order: &OrderRef) -> bool {
        self.records.get(&id).is_some_and(|known| known.late_orders.contains(order))
    }

    /// What came to its end: it is known, so that its key is.
    fn bury(&mut self, id: ReservationId, record: &Record, end: State) {
        let Some(at) = end.ended() else { return };
        self.insert(id, Record { state: end, late_orders: Vec::new(), ..record.clone() });
        self.fade(at, id);
    }

    /// A hold that the store does not know, or takes for expired.
    fn hold_anew(&mut self, now: UnixMs, id: ReservationId, record: &Record, deadline: UnixMs) {
        let fits = self.make_room(now, &record.lines);
        if !self.records.contains_key(&id) {
            self.bury(id, record, State::Expired { at: now });
        }
        let (buyer, lines) = (record.buyer.clone(), record.lines.clone());
        if !fits {
            self.emit(now, EventKind::Lost { id, buyer, lines });
            return;
        }
        let Some(known) = self.record_mut(id) else { return };
        let ended = known.ended();
        known.lines.clone_from(&lines);
        (known.extensions, known.state) = (record.extensions, record.state.clone());
        known.extended_by.clone_from(&record.extended_by);
        if let Some(ended) = ended {
            self.unfade(ended, id);
        }
        self.due.insert((deadline, id));
        let levels = self.levels(record.lines.keys());
        self.take_units(record);
        self.emit(now, EventKind::Held { id, buyer, lines, deadline });
        self.tell_levels(now, levels);
    }

    /// A purchase of which the store has no hold, or one that died.
    fn take_and_sell(&mut self, now: UnixMs, at: UnixMs, id: ReservationId, record: &Record, order: &OrderRef) {
        let fits = self.make_room(now, &record.lines);
        if !self.records.contains_key(&id) {
            self.bury(id, record, State::Expired { at: now });
        }
        if !fits {
            self.tell_paid_too_late(now, id, order);
            return;
        }
        let Some(known) = self.record_mut(id) else { return };
        let ended = known.ended();
        known.lines = record.lines.clone();
        known.state = State::Held { deadline: now, paying: true };
        if let Some(ended) = ended {
            self.unfade(ended, id);
        }
        let levels = self.levels(record.lines.keys());
        self.take_units(record);
        let (buyer, lines) = (record.buyer.clone(), record.lines.clone());
        self.emit(now, EventKind::Held { id, buyer, lines: lines.clone(), deadline: now });
        // How much of the hold it was, nobody knows any more; a session that goes on does no harm.
        self.sell(now, at, id, Part { lines, share: Share::Part }, order);
        self.tell_levels(now, levels);
    }

    /// A hold that was paid.
    fn sell_held(&mut self, now: UnixMs, at: UnixMs, id: ReservationId, record: &Record, order: &OrderRef) {
        let Some(known) = self.records.get(&id) else { return };
        let reserved = |sku| known.lines.get(sku).copied().unwrap_or(0);
        if record.lines.iter().any(|(sku, sold)| *sold > reserved(sku)) {
            // Another's, under the same id.
            self.expire(now, id);
            self.take_and_sell(now, at, id, record, order);
            return;
        }
        let share = if known.lines == record.lines { Share::Whole } else { Share::Part };
        let levels = self.levels(known.lines.keys());
        self.sell(now, at, id, Part { lines: record.lines.clone(), share }, order);
        self.tell_levels(now, levels);
    }

    /// A hold that was extended, or is being paid: the longer life counts, and whatever either knows.
    fn hold_on(&mut self, id: ReservationId, record: &Record) {
        let State::Held { deadline, paying } = record.state else { return };
        let Some(known) = self.record_mut(id) else { return };
        let State::Held { deadline: until, paying: is_paying } = known.state else { return };
        known.extensions = known.extensions.max(record.extensions);
        if record.extended_by.len() > known.extended_by.len() {
            known.extended_by.clone_from(&record.extended_by);
        }
        self.reschedule(id, deadline.max(until), paying || is_paying);
    }

    /// Whether these units can be had, once enough of the holds that are due has been expired.
    fn make_room(&mut self, now: UnixMs, lines: &Units) -> bool {
        while !self.shortages(lines, &Units::new()).is_empty() {
            match self.due.first() {
                Some((deadline, id)) if *deadline <= now => self.expire(now, *id),
                _ => return false,
            }
        }
        true
    }

    fn insert(&mut self, id: ReservationId, record: Record) {
        if let Some(buyer) = &record.buyer {
            self.buyers.entry(buyer.clone()).or_default().grants += 1;
        }
        self.touched.note(|| RowKey::Record(record.created, id));
        self.records.insert(id, record);
    }

    fn take_units(&mut self, record: &Record) {
        for (sku, quantity) in &record.lines {
            self.move_units(sku, *quantity, Move::Hold);
            self.count(record.buyer.as_ref(), sku, *quantity);
        }
    }

    fn tell_late_orders(&mut self, now: UnixMs, id: ReservationId, record: &Record) {
        for order in &record.late_orders {
            let is_sold =
                |known: &Record| matches!(&known.state, State::Confirmed { order: sold, .. } if sold == order);
            if !self.is_told_late(id, order) && !self.records.get(&id).is_some_and(is_sold) {
                self.tell_paid_too_late(now, id, order);
            }
        }
    }

    /// Units that were added, or as many of those that were withdrawn as are left.
    fn merge_restock(&mut self, now: UnixMs, id: ReservationId, restock: &Restock) {
        if self.restocks.contains_key(&id) {
            return;
        }
        self.touched.note(|| RowKey::Restock(id));
        self.restocks.insert(id, restock.clone());
        self.fade(restock.at, id);
        self.shift(now, &restock.sku, self.possible(&restock.sku, restock.delta));
    }

    /// As much of a change of a SKU's total as can be.
    fn possible(&self, sku: &Sku, delta: i64) -> i64 {
        let signed = |units: u64| i64::try_from(units).unwrap_or(i64::MAX);
        self.stock
            .get(sku)
            .map_or(0, |stock| delta.clamp(-signed(stock.available), signed(TOTAL_MAX.saturating_sub(stock.total))))
    }
}

/// Whether two records of one key are of different grants.
fn is_of_other(known: &Record, record: &Record) -> bool {
    (known.fingerprint, &known.buyer) != (record.fingerprint, &record.buyer)
}

fn newest_settings(told: &[Told]) -> Option<Settings<'_>> {
    let settings = told.iter().filter_map(|told| match &told.row.0 {
        Content::Rules { version, born, rules } => Some(Settings { version: *version, born: *born, rules }),
        _ => None,
    });
    settings.max_by_key(|settings| (settings.born, settings.version))
}

/// The rows of the sale born then, oldest first.
fn in_order(told: &[Told], born: u64) -> Vec<&Told> {
    let mut rows: Vec<_> = told.iter().filter(|told| told.born == born).collect();
    rows.sort_by_key(|told| (told.stamp, id_of(&told.row)));
    rows
}

/// What rows of one batch are ordered by.
fn id_of(row: &Row) -> ReservationId {
    match &row.0 {
        Content::Record { id, .. } | Content::Restock { id, .. } => *id,
        _ => ReservationId(0),
    }
}
