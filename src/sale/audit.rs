//! The fold of the outbox: from the beginning or any checkpoint it gives the stock, or something is wrong.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::{
    command::{Buyer, ReservationId, Sku},
    outbox::{Event, EventKind},
    units::Units,
    view::Item,
};

/// The books as the events tell them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// The number of the last event folded; 0 before the first.
    seq: u64,
    books: BTreeMap<Sku, Books>,
}

/// One SKU's columns, signed so that a wrong event shows as a wrong number and not as a panic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Books {
    total: i64,
    available: i64,
    held: i64,
    sold: i64,
}

/// What is wrong with an outbox, or with the books.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Difference {
    #[error("after event {after} comes event {found}: events are missing")]
    Gap { after: u64, found: u64 },
    #[error("{sku}: the events say {told} {column}, the stock says {found}")]
    Item { sku: Sku, column: Column, told: i64, found: i64 },
    #[error("the events end at {told}, the stock is at {found}")]
    End { told: u64, found: u64 },
    #[error(
        "{}: {} available, {} held and {} sold are not {} in all",
        item.sku, item.available, item.held, item.sold, item.total
    )]
    Unbalanced { item: Item },
    #[error("{sku}: the reservations say {told} {column}, the stock says {found}")]
    Reservations { sku: Sku, column: Column, told: u64, found: u64 },
    #[error("the SKUs together have {told} {column}, their sum says {found}")]
    Sum { column: Column, told: u64, found: u64 },
    #[error("the buyer {buyer} has {told} units, the count says {found}, or of other SKUs")]
    Buyer { buyer: Buyer, told: u64, found: u64 },
    #[error("the deadline of the reservation {:032x} is not the one it is watched by", id.0)]
    Deadline { id: ReservationId },
}

/// A column of the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Column {
    Total,
    Available,
    Held,
    Sold,
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Total => "in all",
            Self::Available => "available",
            Self::Held => "held",
            Self::Sold => "sold",
        })
    }
}

impl Ledger {
    /// The number of the last event folded; 0 before the first.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Folds one event in. A first event that is a checkpoint starts the books there.
    ///
    /// # Errors
    /// The event does not follow the last, or is a checkpoint that differs from the fold.
    pub fn fold(&mut self, event: &Event) -> Result<(), Difference> {
        let starts_here = self.seq == 0 && matches!(event.kind, EventKind::Checkpoint { .. });
        if event.seq != self.seq + 1 && !starts_here {
            return Err(Difference::Gap { after: self.seq, found: event.seq });
        }
        self.seq = event.seq;
        match &event.kind {
            EventKind::Held { lines, .. } => self.each(lines, |books, units| {
                books.available -= units;
                books.held += units;
            }),
            EventKind::Released { lines, .. } | EventKind::Expired { lines, .. } => self.give_back(lines),
            EventKind::Confirmed { lines, returned, .. } => {
                self.each(lines, |books, units| {
                    books.held -= units;
                    books.sold += units;
                });
                self.give_back(returned);
            }
            EventKind::Restocked { sku, delta } => {
                let books = self.books.entry(sku.clone()).or_default();
                books.total += delta;
                books.available += delta;
            }
            EventKind::Checkpoint { items } if starts_here => self.books = items.iter().map(Books::of).collect(),
            EventKind::Checkpoint { items } => return self.compare(event.seq, items),
            EventKind::PaidTooLate { .. }
            | EventKind::Lost { .. }
            | EventKind::Rewound { .. }
            | EventKind::AllHeld { .. }
            | EventKind::SoldOut { .. }
            | EventKind::Returned { .. } => {}
        }
        Ok(())
    }

    /// Compares the fold with the stock as of event `seq`.
    ///
    /// # Errors
    /// The first difference.
    pub fn compare(&self, seq: u64, items: &[Item]) -> Result<(), Difference> {
        if seq != self.seq {
            return Err(Difference::End { told: self.seq, found: seq });
        }
        let found: BTreeMap<Sku, Books> = items.iter().map(Books::of).collect();
        for sku in self.books.keys().chain(found.keys()) {
            let told = self.books.get(sku).copied().unwrap_or_default();
            let stock = found.get(sku).copied().unwrap_or_default();
            let columns = [
                (Column::Total, told.total, stock.total),
                (Column::Available, told.available, stock.available),
                (Column::Held, told.held, stock.held),
                (Column::Sold, told.sold, stock.sold),
            ];
            if let Some((column, told, found)) = columns.into_iter().find(|(_, told, found)| told != found) {
                return Err(Difference::Item { sku: sku.clone(), column, told, found });
            }
        }
        Ok(())
    }

    fn give_back(&mut self, lines: &Units) {
        self.each(lines, |books, units| {
            books.held -= units;
            books.available += units;
        });
    }

    fn each(&mut self, lines: &Units, change: impl Fn(&mut Books, i64)) {
        for (sku, units) in lines {
            change(self.books.entry(sku.clone()).or_default(), i64::try_from(*units).unwrap_or(i64::MAX));
        }
    }
}

impl Books {
    fn of(item: &Item) -> (Sku, Self) {
        let signed = |units| i64::try_from(units).unwrap_or(i64::MAX);
        let books = Self {
            total: signed(item.total),
            available: signed(item.available),
            held: signed(item.held),
            sold: signed(item.sold),
        };
        (item.sku.clone(), books)
    }
}
