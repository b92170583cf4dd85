//! The books as the event feed tells them, kept by somebody who sees nothing else: not the sale, not the shop.
//! What does not add up is noted as it is met.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Deserialize;

use super::{
    goods::{PER_BUYER, PER_SIZE},
    shop::till::{Stock, Units},
};

/// What doesn't add up, kept; more of it would say no more.
const BROKEN_MAX: usize = 5;

/// One event of the feed, as far as the books need it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Event {
    pub seq: u64,
    #[serde(flatten)]
    pub kind: Kind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type")]
pub enum Kind {
    #[serde(rename = "reservation.held")]
    Held { reservation: String, buyer: Option<String>, lines: Vec<Line> },
    #[serde(rename = "reservation.confirmed")]
    Confirmed { reservation: String, order: String, lines: Vec<Line>, returned: Vec<Line> },
    #[serde(rename = "reservation.released")]
    Released { reservation: String, lines: Vec<Line> },
    #[serde(rename = "reservation.expired")]
    Expired { reservation: String, lines: Vec<Line> },
    #[serde(rename = "reservation.paid_too_late")]
    PaidTooLate { reservation: String, order: String },
    #[serde(rename = "item.restocked")]
    Restocked { sku: String, delta: i64 },
    #[serde(rename = "item.all_held")]
    AllHeld { sku: String },
    #[serde(rename = "item.sold_out")]
    SoldOut { sku: String },
    #[serde(rename = "item.returned")]
    Returned { sku: String },
    #[serde(rename = "sale.checkpoint")]
    Checkpoint { items: Vec<Stock> },
}

/// Units of one SKU.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Line {
    pub sku: String,
    pub quantity: u64,
}

/// The books.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    seq: u64,
    columns: BTreeMap<String, Columns>,
    live: HashMap<String, Hold>,
    /// Units of each buyer, held and bought.
    buyers: HashMap<String, BTreeMap<String, i64>>,
    /// What each order bought.
    pub bought: HashMap<String, Units>,
    /// Orders that were paid too late.
    pub too_late: BTreeSet<String>,
    pub counts: EventCounts,
    pub broken: Vec<String>,
}

/// How often what happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventCounts {
    pub held: u64,
    pub confirmed: u64,
    pub released: u64,
    pub expired: u64,
    pub paid_too_late: u64,
    /// Units that came back from a basket, for others.
    pub units_back: u64,
}

/// One SKU's columns, signed: a wrong event shows as a wrong number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Columns {
    total: i64,
    available: i64,
    held: i64,
    sold: i64,
}

#[derive(Clone, Debug)]
struct Hold {
    buyer: Option<String>,
    units: Units,
}

impl Ledger {
    /// The number of the last event; 0 before the first.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Units sold.
    pub fn sold(&self) -> i64 {
        self.columns.values().map(|columns| columns.sold).sum()
    }

    /// Units sold beyond what there was, of all SKUs.
    pub fn oversold(&self) -> i64 {
        self.columns.values().map(|columns| (columns.sold - columns.total).max(0)).sum()
    }

    /// Units there are or were.
    pub fn total(&self) -> i64 {
        self.columns.values().map(|columns| columns.total).sum()
    }

    /// Folds one event in.
    pub fn fold(&mut self, event: &Event) {
        if event.seq != self.seq + 1 {
            self.note(format!("after event {} came event {}", self.seq, event.seq));
        }
        self.seq = event.seq;
        match &event.kind {
            Kind::Held { reservation, buyer, lines } => self.hold(reservation, buyer.as_ref(), units_of(lines)),
            Kind::Confirmed { reservation, order, lines, returned } => {
                self.confirm(reservation, order, units_of(lines), &units_of(returned));
            }
            Kind::Released { reservation, lines } => {
                self.counts.released += 1;
                self.give_back(reservation, &units_of(lines));
            }
            Kind::Expired { reservation, lines } => {
                self.counts.expired += 1;
                self.give_back(reservation, &units_of(lines));
            }
            Kind::PaidTooLate { order, .. } => {
                self.counts.paid_too_late += 1;
                self.too_late.insert(order.clone());
            }
            Kind::Restocked { sku, delta } => {
                let columns = self.columns.entry(sku.clone()).or_default();
                columns.total += delta;
                columns.available += delta;
            }
            Kind::Checkpoint { items } => self.compare(items),
            Kind::AllHeld { .. } | Kind::SoldOut { .. } | Kind::Returned { .. } => {}
        }
    }

    /// Notes where the books differ from the stock.
    pub fn compare(&mut self, items: &[Stock]) {
        let signed = |units| i64::try_from(units).unwrap_or(i64::MAX);
        for item in items {
            let told = self.columns.get(&item.sku).copied().unwrap_or_default();
            let stock = Columns {
                total: signed(item.total),
                available: signed(item.available),
                held: signed(item.held),
                sold: signed(item.sold),
            };
            if told != stock {
                self.note(format!("{}: the events give {told:?}, the sale says {stock:?}", item.sku));
            }
        }
    }

    fn hold(&mut self, reservation: &str, buyer: Option<&String>, units: Units) {
        self.counts.held += 1;
        self.each(&units, |columns, units| {
            columns.available -= units;
            columns.held += units;
        });
        if let Some(buyer) = buyer {
            self.count(buyer, &units, 1);
        }
        if self.live.insert(reservation.to_owned(), Hold { buyer: buyer.cloned(), units }).is_some() {
            self.note(format!("reservation {reservation} was granted twice"));
        }
    }

    fn confirm(&mut self, reservation: &str, order: &str, units: Units, returned: &Units) {
        self.counts.confirmed += 1;
        self.counts.units_back += returned.values().sum::<u64>();
        let mut all = units.clone();
        for (sku, quantity) in returned {
            *all.entry(sku.clone()).or_default() += quantity;
        }
        let buyer = self.end(reservation, &all);
        self.each(&all, |columns, units| columns.held -= units);
        self.each(&units, |columns, units| columns.sold += units);
        self.each(returned, |columns, units| columns.available += units);
        if let Some(buyer) = buyer {
            self.count(&buyer, returned, -1);
        }
        if self.bought.insert(order.to_owned(), units).is_some() {
            self.note(format!("order {order} was confirmed twice"));
        }
    }

    fn give_back(&mut self, reservation: &str, units: &Units) {
        self.counts.units_back += units.values().sum::<u64>();
        if let Some(buyer) = self.end(reservation, units) {
            self.count(&buyer, units, -1);
        }
        self.each(units, |columns, units| {
            columns.held -= units;
            columns.available += units;
        });
    }

    /// Takes a hold off the live ones: it must be there, with these units. Its buyer, if it had one.
    fn end(&mut self, reservation: &str, units: &Units) -> Option<String> {
        match self.live.remove(reservation) {
            Some(hold) if hold.units == *units => hold.buyer,
            Some(hold) => {
                self.note(format!("reservation {reservation} held {:?} and ended with {units:?}", hold.units));
                hold.buyer
            }
            None => {
                self.note(format!("reservation {reservation} ended and was not held"));
                None
            }
        }
    }

    /// Changes a buyer's count, which may never be above what a person gets.
    fn count(&mut self, buyer: &str, units: &Units, sign: i64) {
        let has = self.buyers.entry(buyer.to_owned()).or_default();
        for (sku, quantity) in units {
            *has.entry(sku.clone()).or_default() += sign * i64::try_from(*quantity).unwrap_or(i64::MAX);
        }
        let (most, all) = (has.values().copied().max().unwrap_or(0), has.values().sum::<i64>());
        if most > i64::try_from(PER_SIZE).unwrap_or(i64::MAX) || all > i64::try_from(PER_BUYER).unwrap_or(i64::MAX) {
            self.note(format!("buyer {buyer} had {most} of a size and {all} in all"));
        }
    }

    fn each(&mut self, units: &Units, change: impl Fn(&mut Columns, i64)) {
        for (sku, quantity) in units {
            let columns = self.columns.entry(sku.clone()).or_default();
            change(columns, i64::try_from(*quantity).unwrap_or(i64::MAX));
            let columns = *columns;
            if columns.available < 0 || columns.held < 0 || columns.sold > columns.total {
                self.note(format!("{sku}: {columns:?} after event {}", self.seq));
            }
        }
    }

    fn note(&mut self, what: String) {
        if self.broken.len() < BROKEN_MAX {
            self.broken.push(what);
        }
    }
}

fn units_of(lines: &[Line]) -> Units {
    lines.iter().map(|line| (line.sku.clone(), line.quantity)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn told(events: &[Value]) -> Ledger {
        let mut ledger = Ledger::default();
        for (seq, event) in (1..).zip(events) {
            let mut event = event.clone();
            event["seq"] = json!(seq);
            ledger.fold(&serde_json::from_value(event).unwrap());
        }
        ledger
    }

    fn lines(quantity: u64) -> Value {
        json!([{ "sku": "a", "quantity": quantity }])
    }

    fn stocked() -> Value {
        json!({ "type": "item.restocked", "sku": "a", "delta": 3 })
    }

    fn held(id: &str, quantity: u64) -> Value {
        json!({ "type": "reservation.held", "cursor": "0.1", "reservation": id, "buyer": "me", "lines": lines(quantity) })
    }

    fn confirmed(id: &str, sold: u64, returned: u64) -> Value {
        let returned = if returned == 0 { json!([]) } else { lines(returned) };
        json!({ "type": "reservation.confirmed", "reservation": id, "order": id, "lines": lines(sold), "returned": returned })
    }

    fn expired(id: &str, quantity: u64) -> Value {
        json!({ "type": "reservation.expired", "reservation": id, "lines": lines(quantity) })
    }

    #[test]
    fn a_part_sold_and_an_expired_hold_add_up() {
        let mut ledger = told(&[stocked(), held("x", 2), confirmed("x", 1, 1), held("y", 1), expired("y", 1)]);
        let stock = |sold| Stock { sku: "a".to_owned(), total: 3, available: 3 - sold, held: 0, sold };
        ledger.compare(&[stock(1)]);
        assert_eq!(ledger.broken, Vec::<String>::new());
        assert_eq!((ledger.sold(), ledger.oversold(), ledger.counts.units_back), (1, 0, 2));
        ledger.compare(&[stock(2)]);
        assert!(ledger.broken[0].contains("the sale says"), "{:?}", ledger.broken);
    }

    #[test]
    fn an_oversold_unit_is_seen() {
        let events = [held("x", 2), confirmed("x", 2, 0), held("y", 2), confirmed("y", 2, 0)];
        let ledger = told(&[vec![stocked()], events.to_vec()].concat());
        assert_eq!(ledger.oversold(), 1);
        assert!(!ledger.broken.is_empty());
    }

    #[test]
    fn what_ends_twice_or_was_never_held_is_seen() {
        for events in [
            vec![stocked(), held("x", 1), expired("x", 1), confirmed("x", 1, 0)],
            vec![stocked(), held("x", 1), held("x", 1)],
            vec![stocked(), held("x", 2), expired("x", 1)],
            vec![stocked(), confirmed("x", 1, 0)],
        ] {
            assert!(!told(&events).broken.is_empty(), "{events:?}");
        }
    }

    #[test]
    fn a_missing_event_and_a_buyer_with_too_much_are_seen() {
        let mut ledger = told(&[stocked()]);
        ledger.fold(&Event { seq: 3, kind: Kind::AllHeld { sku: "a".to_owned() } });
        assert_eq!(ledger.broken, ["after event 1 came event 3"]);
        let ledger = told(&[stocked(), held("x", 2), held("y", 1)]);
        assert!(ledger.broken[0].contains("buyer me had 3 of a size"), "{:?}", ledger.broken);
    }
}
