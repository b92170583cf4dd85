//! What the operator does: configure, restock, withdraw.

use std::collections::BTreeMap;

use super::{
    command::{Outcome, Refusal, ReservationId, Sku},
    outbox::{EventKind, Outbox},
    reserve::invalid,
    rows::{RowKey, Touched},
    settings::{Rules, TOTAL_MAX},
    stock::{Restock, Sale, Stock},
};
use crate::time::UnixMs;

/// The field of a document that changes how many units there are.
const TOTAL: &str = "total";
/// The field of a restock that does.
const DELTA: &str = "delta";

impl Sale {
    /// A sale with all its units available; folding its outbox from nothing gives them.
    pub(super) fn new(now: UnixMs, version: u64, born: u64, rules: &Rules) -> Self {
        let mut sale = Self::empty(now, version, born, rules);
        sale.take_rules(now, rules);
        sale
    }

    /// A sale that has no units yet.
    pub(super) fn empty(now: UnixMs, version: u64, born: u64, rules: &Rules) -> Self {
        Self {
            version,
            born,
            rules: Rules { items: BTreeMap::new(), ..rules.clone() },
            last: now,
            stock: BTreeMap::new(),
            buyers: BTreeMap::new(),
            records: BTreeMap::new(),
            due: std::collections::BTreeSet::new(),
            fading: std::collections::BTreeSet::new(),
            restocks: BTreeMap::new(),
            outbox: Outbox::default(),
            rewinds: Vec::new(),
            available: 0,
            held: 0,
            touched: Touched::default(),
        }
    }

    /// Changes the settings. A changed total restocks or withdraws the difference to the former document's.
    pub(super) fn configure(&mut self, now: UnixMs, version: u64, born: u64, rules: &Rules) -> (Outcome, bool) {
        if born != self.born || version <= self.version {
            return (Outcome::Done, false);
        }
        match self.consider(rules) {
            Err(refusal) => (Outcome::Refused(refusal), false),
            Ok(()) => {
                self.version = version;
                self.take_rules(now, rules);
                (Outcome::Done, true)
            }
        }
    }

    /// Whether `rules` can be taken: nothing that is held or sold may vanish, and available may not fall below zero.
    pub(super) fn consider(&self, rules: &Rules) -> Result<(), Refusal> {
        for (sku, stock) in &self.stock {
            let delta = match rules.items.get(sku) {
                Some(item) => signed(item.total) - signed(self.document_total(sku)),
                None if stock.held + stock.sold > 0 => {
                    return Err(Refusal::Conflict {
                        detail: format!("{sku} has units held or sold and can't be removed"),
                    });
                }
                None => continue,
            };
            check_delta(TOTAL, sku, stock, delta)?;
        }
        Ok(())
    }

    /// Adds units to a SKU, or withdraws some that are available. The same id again changes nothing.
    pub(super) fn restock(&mut self, now: UnixMs, id: ReservationId, sku: &Sku, delta: i64) -> (Outcome, bool) {
        match self.restocks.get(&id) {
            Some(seen) if seen.sku == *sku && seen.delta == delta => return (Outcome::Done, false),
            Some(_) => return (Outcome::Refused(Refusal::KeyReused), false),
            None => {}
        }
        let Some(stock) = self.stock.get(sku) else {
            return (Outcome::Refused(Refusal::UnknownSku { sku: sku.clone() }), false);
        };
        if delta == 0 || delta.unsigned_abs() > TOTAL_MAX {
            let detail = format!("must be from -{TOTAL_MAX} to {TOTAL_MAX}, and not 0");
            return (Outcome::Refused(invalid(DELTA, detail)), false);
        }
        if let Err(refusal) = check_delta(DELTA, sku, stock, delta) {
            return (Outcome::Refused(refusal), false);
        }
        self.touched.note(|| RowKey::Restock(id));
        self.restocks.insert(id, Restock { sku: sku.clone(), delta, at: now });
        self.fade(now, id);
        self.shift(now, sku, delta);
        (Outcome::Done, true)
    }

    fn document_total(&self, sku: &Sku) -> u64 {
        self.rules.items.get(sku).map_or(0, |item| item.total)
    }

    pub(super) fn take_rules(&mut self, now: UnixMs, rules: &Rules) {
        let gone: Vec<Sku> = self.stock.keys().filter(|sku| !rules.items.contains_key(*sku)).cloned().collect();
        for sku in gone {
            let left = self.stock.get(&sku).map_or(0, |stock| signed(stock.available));
            self.shift(now, &sku, -left);
            self.stock.remove(&sku);
            self.touched.note(|| RowKey::Stock(sku));
        }
        for (sku, item) in &rules.items {
            let delta = signed(item.total) - signed(self.document_total(sku));
            self.stock.entry(sku.clone()).or_default();
            self.touched.note(|| RowKey::Stock(sku.clone()));
            self.shift(now, sku, delta);
        }
        self.rules = rules.clone();
        self.touched.note(|| RowKey::Rules);
    }

    /// Changes total and available of a SKU by a delta that was checked.
    pub(super) fn shift(&mut self, now: UnixMs, sku: &Sku, delta: i64) {
        if delta == 0 {
            return;
        }
        let levels = self.levels(std::iter::once(sku));
        let Some(stock) = self.stock_mut(sku) else { return };
        stock.total = stock.total.saturating_add_signed(delta);
        stock.available = stock.available.saturating_add_signed(delta);
        self.available = self.available.saturating_add_signed(delta);
        self.emit(now, EventKind::Restocked { sku: sku.clone(), delta });
        self.tell_levels(now, levels);
    }
}

/// `field` is the one that `delta` came in.
fn check_delta(field: &str, sku: &Sku, stock: &Stock, delta: i64) -> Result<(), Refusal> {
    if signed(stock.available) + delta < 0 {
        let detail = format!("{sku}: only {} available to withdraw", stock.available);
        return Err(Refusal::Conflict { detail });
    }
    if signed(stock.total) + delta > signed(TOTAL_MAX) {
        return Err(invalid(field, format!("{sku}: the total would exceed {TOTAL_MAX}")));
    }
    Ok(())
}

/// Totals are bounded far below 2^63.
fn signed(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX)
}
