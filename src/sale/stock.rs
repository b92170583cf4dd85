//! The books of a sale, and what one batch of commands does to them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    command::{Buyer, Command, Fingerprint, OrderRef, Outcome, Refusal, Reservation, ReservationId, Sku, State},
    outbox::{EventKind, Outbox},
    recovery::Rewind,
    rows::{RowKey, Touched},
    settings::Rules,
    units::Units,
    view::{Figures, Header, Item, Phase, View},
};
use crate::time::UnixMs;

/// The most holds one batch expires by itself, and each tick in it: ten thousand due at one instant stall nobody for
/// long, and whoever sends ticks decides how much one batch does.
pub const EXPIRED_PER_BATCH: usize = 64;
/// The most finished records one batch forgets, for the same reason.
pub const FORGOTTEN_PER_BATCH: usize = 64;
/// How long a released or expired record is kept, so that its key is still known: as long as the longest hold
/// and its grace together, so that a payment on the way meets an answer.
pub const TOMBSTONE_MS: u64 = 24 * 3600 * 1000;
/// The most grants of one buyer that are remembered at a time: a bound on what one visitor can make us keep.
pub const GRANTS_PER_BUYER: u64 = 50;
/// The most orders that can have paid too late for one reservation: a buyer pays once, perhaps twice, and a shop that
/// makes a new order of every attempt must not make us keep them without end.
pub const LATE_ORDERS_MAX: usize = 8;

/// A sale's stock. It is kept as [`super::rows`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sale {
    pub(super) version: u64,
    /// The version of its first document: tells it from other sales of the same id, before it and after.
    pub(super) born: u64,
    pub(super) rules: Rules,
    /// Time never runs backwards in a sale.
    pub(super) last: UnixMs,
    pub(super) stock: BTreeMap<Sku, Stock>,
    pub(super) buyers: BTreeMap<Buyer, Count>,
    pub(super) records: BTreeMap<ReservationId, Record>,
    /// Live holds by deadline.
    pub(super) due: BTreeSet<(UnixMs, ReservationId)>,
    /// Tombstones and restock keys by the time they may be forgotten.
    pub(super) fading: BTreeSet<(UnixMs, ReservationId)>,
    /// Keys of restocks done.
    pub(super) restocks: BTreeMap<ReservationId, Restock>,
    pub(super) outbox: Outbox,
    /// The recoveries of its store, oldest first, at most [`super::recovery::REWINDS_MAX`].
    pub(super) rewinds: Vec<Rewind>,
    /// Sums over all SKUs, so that the line can be told without counting.
    pub(super) available: u64,
    pub(super) held: u64,
    /// Which rows have changed, for whoever keeps them.
    pub(super) touched: Touched,
}

/// A restock as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Restock {
    pub(super) sku: Sku,
    pub(super) delta: i64,
    pub(super) at: UnixMs,
}

/// One SKU's books: `available + held + sold = total`, always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stock {
    pub total: u64,
    pub available: u64,
    pub held: u64,
    pub sold: u64,
}

/// What one buyer holds and has bought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) by_sku: Units,
    pub(super) all: u64,
    /// Records of this buyer, tombstones too.
    pub(super) grants: u64,
}

/// A reservation as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) fingerprint: Fingerprint,
    pub(super) buyer: Option<Buyer>,
    pub(super) lines: Units,
    pub(super) created: UnixMs,
    /// Extensions so far.
    pub(super) extensions: u8,
    /// The keys of those extensions that had one.
    pub(super) extended_by: Vec<Fingerprint>,
    pub(super) state: State,
    /// The orders whose payments came too late, at most [`LATE_ORDERS_MAX`]. Each is told of once and, being refunded,
    /// never sold to.
    pub(super) late_orders: Vec<OrderRef>,
}

/// What came of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// One a command, in order.
    pub outcomes: Vec<Outcome>,
    /// False only if the state is exactly what it was before the batch.
    pub changed: bool,
    /// Sales that are gone: large ones take a while to take apart, which need not hold anybody up.
    pub removed: Vec<Sale>,
}

impl Sale {
    /// Applies a batch at one `now` to a sale that may not exist yet, or no longer: first expires what is due,
    /// within its bound, then the commands in order, each atomic.
    pub fn apply(sale: &mut Option<Sale>, now: UnixMs, commands: &[Command]) -> Applied {
        let mut changed = match sale {
            Some(sale) => sale.begin(now),
            None => false,
        };
        let mut removed = Vec::new();
        let one = |command| Self::one(sale, now, command, &mut changed, &mut removed);
        let outcomes = commands.iter().map(one).collect();
        if let (Some(sale), true) = (sale, changed) {
            sale.finish();
        }
        Applied { outcomes, changed, removed }
    }

    fn one(
        slot: &mut Option<Sale>,
        now: UnixMs,
        command: &Command,
        changed: &mut bool,
        removed: &mut Vec<Sale>,
    ) -> Outcome {
        match (slot.as_mut(), command) {
            (_, Command::Delete { born }) => {
                let gone = slot.take_if(|sale| sale.born <= *born);
                *changed |= gone.is_some();
                removed.extend(gone);
                Outcome::Done
            }
            (found, Command::Configure { version, born, rules, make })
                if found.as_ref().is_none_or(|f| f.born < *born) =>
            {
                if !make {
                    return Outcome::Refused(Refusal::NeedsOperator);
                }
                removed.extend(slot.replace(Self::new(now, *version, *born, rules)));
                *changed = true;
                Outcome::Done
            }
            (None, _) => Outcome::Refused(Refusal::UnknownSale),
            (Some(sale), command) => {
                let now = now.max(sale.last);
                let (outcome, did) = sale.dispatch(now, command);
                if did {
                    sale.last = now;
                    *changed = true;
                }
                outcome
            }
        }
    }

    /// The outcome of one command, and whether it changed the state.
    fn dispatch(&mut self, now: UnixMs, command: &Command) -> (Outcome, bool) {
        match command {
            Command::Configure { version, born, rules, make: _ } => self.configure(now, *version, *born, rules),
            Command::Restock { id, sku, delta } => self.restock(now, *id, sku, *delta),
            Command::Reserve(reserve) => self.reserve(now, reserve),
            Command::Paying { id } => self.paying(now, *id),
            Command::Confirm(confirm) => self.confirm(now, confirm),
            Command::Release { id } => self.release(now, *id),
            Command::Extend { id, seconds, key } => self.extend(now, *id, *seconds, *key),
            Command::Tick => (Outcome::Done, self.expire_due(now)),
            Command::Delete { .. } => (Outcome::Done, false),
            Command::Consider { rules } => {
                (self.consider(rules).map_or_else(Outcome::Refused, |()| Outcome::Done), false)
            }
            Command::Lookup(ask) => (self.lookup(now, ask), false),
            Command::Look { id } => (self.look(*id), false),
            Command::Rules => (Outcome::Rules(self.rules.clone()), false),
            Command::Walk => (Outcome::Walked(self.walk()), false),
            Command::Items => (Outcome::Items(self.view(now)), false),
            Command::Events { after, term, limit } => {
                (Outcome::Events(self.outbox.after(self.resolve(*after, *term), *limit)), false)
            }
        }
    }

    /// Expires and forgets what is due, within the bounds. Whether anything was.
    fn begin(&mut self, now: UnixMs) -> bool {
        let now = now.max(self.last);
        let mut changed = self.expire_due(now);
        for _ in 0..FORGOTTEN_PER_BATCH {
            match self.fading.first() {
                Some((until, id)) if *until <= now => self.forget(*until, *id),
                _ => break,
            }
            changed = true;
        }
        if changed {
            self.last = now;
        }
        changed
    }

    /// Expires what is due, up to the bound. Whether anything was.
    fn expire_due(&mut self, now: UnixMs) -> bool {
        let mut changed = false;
        for _ in 0..EXPIRED_PER_BATCH {
            match self.due.first() {
                Some((deadline, id)) if *deadline <= now => self.expire(now, *id),
                _ => break,
            }
            changed = true;
        }
        changed
    }

    /// Closes a batch that changed something: sets a checkpoint and trims the past where it is time.
    pub(super) fn finish(&mut self) {
        if self.outbox.checkpoint_due() {
            let items = self.items();
            self.emit(self.last, EventKind::Checkpoint { items });
            self.outbox.trim();
        }
    }

    /// Ends a hold by its deadline.
    pub(super) fn expire(&mut self, now: UnixMs, id: ReservationId) {
        self.end_hold(now, id, State::Expired { at: now }, |lines| EventKind::Expired { id, lines });
    }

    /// Takes a live hold off the books, the units back to available; its record becomes a tombstone.
    pub(super) fn end_hold(
        &mut self,
        now: UnixMs,
        id: ReservationId,
        end: State,
        event: impl FnOnce(Units) -> EventKind,
    ) {
        let Some(record) = self.record_mut(id) else { return };
        let State::Held { deadline, .. } = record.state else { return };
        let Some(at) = end.ended() else { return };
        record.state = end;
        let (lines, buyer) = (record.lines.clone(), record.buyer.clone());
        self.due.remove(&(deadline, id));
        self.fade(at, id);
        let levels = self.levels(lines.keys());
        for (sku, quantity) in &lines {
            self.move_units(sku, *quantity, Move::Return);
            self.uncount(buyer.as_ref(), sku, *quantity);
        }
        self.emit(now, event(lines));
        self.tell_levels(now, levels);
    }

    /// Lets what has come to its end at `now` be forgotten in time.
    pub(super) fn fade(&mut self, now: UnixMs, id: ReservationId) {
        self.fading.insert(Self::fading_key(now, id));
    }

    /// Takes back that something faded since `at`.
    pub(super) fn unfade(&mut self, at: UnixMs, id: ReservationId) {
        self.fading.remove(&Self::fading_key(at, id));
    }

    /// Whether what came to its end at `at` is still to be forgotten.
    pub(super) fn fades(&self, at: UnixMs, id: ReservationId) -> bool {
        self.fading.contains(&Self::fading_key(at, id))
    }

    pub(super) fn fading_key(at: UnixMs, id: ReservationId) -> (UnixMs, ReservationId) {
        (at.plus_ms(TOMBSTONE_MS), id)
    }

    /// A record about to be changed.
    pub(super) fn record_mut(&mut self, id: ReservationId) -> Option<&mut Record> {
        let record = self.records.get_mut(&id)?;
        self.touched.note(|| RowKey::Record(record.created, id));
        Some(record)
    }

    /// A SKU's books about to be changed.
    pub(super) fn stock_mut(&mut self, sku: &Sku) -> Option<&mut Stock> {
        let stock = self.stock.get_mut(sku)?;
        self.touched.note(|| RowKey::Stock(sku.clone()));
        Some(stock)
    }

    /// Forgets a tombstone or a restock's key. What was confirmed stays, but is no longer counted as a grant.
    pub(super) fn forget(&mut self, until: UnixMs, id: ReservationId) {
        self.fading.remove(&(until, id));
        if self.restocks.remove(&id).is_some() {
            self.touched.note(|| RowKey::Restock(id));
        }
        let Some(record) = self.record_mut(id) else { return };
        let buyer = record.buyer.clone();
        if !matches!(record.state, State::Confirmed { .. }) {
            self.records.remove(&id);
        }
        if let Some(buyer) = buyer
            && let Some(count) = self.buyers.get_mut(&buyer)
        {
            count.grants -= 1;
            if count.grants == 0 && count.all == 0 {
                self.buyers.remove(&buyer);
            }
        }
    }

    /// The one place where units change between the columns of the books.
    pub(super) fn move_units(&mut self, sku: &Sku, quantity: u64, how: Move) {
        let Some(stock) = self.stock_mut(sku) else { return };
        match how {
            Move::Hold => {
                stock.available -= quantity;
                stock.held += quantity;
                self.available -= quantity;
                self.held += quantity;
            }
            Move::Return => {
                stock.held -= quantity;
                stock.available += quantity;
                self.held -= quantity;
                self.available += quantity;
            }
            Move::Sell => {
                stock.held -= quantity;
                stock.sold += quantity;
                self.held -= quantity;
            }
        }
    }

    pub(super) fn count(&mut self, buyer: Option<&Buyer>, sku: &Sku, quantity: u64) {
        if let Some(count) = buyer.and_then(|buyer| self.buyers.get_mut(buyer)) {
            count.by_sku.add(sku, quantity);
            count.all += quantity;
        }
    }

    pub(super) fn uncount(&mut self, buyer: Option<&Buyer>, sku: &Sku, quantity: u64) {
        let Some(count) = buyer.and_then(|buyer| self.buyers.get_mut(buyer)) else { return };
        count.all -= quantity;
        if let Some(units) = count.by_sku.get_mut(sku) {
            *units -= quantity;
            if *units == 0 {
                count.by_sku.remove(sku);
            }
        }
    }

    pub(super) fn emit(&mut self, now: UnixMs, kind: EventKind) {
        self.outbox.append(now, kind);
    }

    /// How plentiful these SKUs are now, to be told of by [`Sale::tell_levels`] once it may have changed.
    pub(super) fn levels<'a>(&self, skus: impl Iterator<Item = &'a Sku>) -> Vec<(Sku, Level)> {
        skus.filter_map(|sku| self.stock.get(sku).map(|stock| (sku.clone(), stock.level()))).collect()
    }

    /// Emits what has become of these SKUs since their levels were taken: run out, gone for good, or back again.
    pub(super) fn tell_levels(&mut self, now: UnixMs, before: Vec<(Sku, Level)>) {
        for (sku, level_before) in before {
            let Some(stock) = self.stock.get(&sku).copied() else { continue };
            match stock.level() {
                level if level == level_before => {}
                Level::Available => self.emit(now, EventKind::Returned { sku, available: stock.available }),
                Level::AllHeld => self.emit(now, EventKind::AllHeld { sku }),
                Level::SoldOut => self.emit(now, EventKind::SoldOut { sku }),
            }
        }
    }

    /// Whether holds that are due have not been expired yet: what they hold is not lost.
    pub(super) fn is_behind(&self, now: UnixMs) -> bool {
        self.due.first().is_some_and(|(deadline, _)| *deadline <= now)
    }

    pub(super) fn look(&self, id: ReservationId) -> Outcome {
        match self.records.get(&id) {
            Some(record) => Outcome::Reservation(record.seen_as(id)),
            None => Outcome::Refused(Refusal::UnknownReservation),
        }
    }

    pub(super) fn phase(&self, now: UnixMs) -> Phase {
        self.figures().phase(now)
    }

    /// All items as of `now`.
    pub fn view(&self, now: UnixMs) -> View {
        self.figures().view(now, self.items())
    }

    /// What every answer carries; its cost does not grow with the number of SKUs.
    pub fn header(&self, now: UnixMs) -> Header {
        self.figures().header(now)
    }

    fn figures(&self) -> Figures {
        Figures {
            last: self.last,
            version: self.version,
            born: self.born,
            opens_at: self.rules.opens_at,
            closes_at: self.rules.closes_at,
            available: self.available,
            held: self.held,
            seq: self.outbox.seq(),
            next_due: self.due.first().map(|(deadline, _)| *deadline),
        }
    }

    pub(super) fn items(&self) -> Vec<Item> {
        let item = |(sku, stock): (&Sku, &Stock)| Item {
            sku: sku.clone(),
            total: stock.total,
            available: stock.available,
            held: stock.held,
            sold: stock.sold,
        };
        self.stock.iter().map(item).collect()
    }
}

/// A change between the columns of the books.
#[derive(Clone, Copy, Debug)]
pub(super) enum Move {
    /// From available to held.
    Hold,
    /// From held to available.
    Return,
    /// From held to sold.
    Sell,
}

/// How plentiful a SKU is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Available,
    /// None available, some held: they may come back.
    AllHeld,
    /// None available, none held.
    SoldOut,
}

impl Stock {
    fn level(self) -> Level {
        match (self.available, self.held) {
            (0, 0) => Level::SoldOut,
            (0, _) => Level::AllHeld,
            _ => Level::Available,
        }
    }
}

impl Record {
    /// When it came to its end; none while it is held.
    pub(super) fn ended(&self) -> Option<UnixMs> {
        self.state.ended()
    }

    /// The record as its owner sees it.
    pub(super) fn seen_as(&self, id: ReservationId) -> Reservation {
        Reservation {
            id,
            buyer: self.buyer.clone(),
            lines: self.lines.clone(),
            created: self.created,
            state: self.state.clone(),
        }
    }
}
