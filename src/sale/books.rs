//! The books held against the reservations: what each column must be, counted anew from every record.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    audit::{Column, Difference},
    command::{Buyer, ReservationId, Sku, State},
    stock::{Record, Sale},
    units::Units,
};

/// What a walk over all reservations of a sale found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walk {
    /// How many are held.
    pub held: u64,
    /// How many are confirmed.
    pub confirmed: u64,
    /// How many were released or expired and are still remembered.
    pub ended: u64,
    /// What does not agree with the books, if anything.
    pub differences: Vec<Difference>,
}

/// What the records say.
#[derive(Default)]
struct Counted {
    held: BTreeMap<Sku, u64>,
    sold: BTreeMap<Sku, u64>,
    buyers: BTreeMap<Buyer, Units>,
    deadlines: BTreeSet<ReservationId>,
}

impl Sale {
    /// Counts everything anew. It looks at every record: for audits and tests, not for a sale in service.
    pub fn walk(&self) -> Walk {
        let (mut walk, mut counted) = (Walk::default(), Counted::default());
        for (id, record) in &self.records {
            match &record.state {
                State::Held { deadline, .. } => {
                    walk.held += 1;
                    counted.take(record, |counted| &mut counted.held);
                    if self.due.contains(&(*deadline, *id)) {
                        counted.deadlines.insert(*id);
                    } else {
                        walk.differences.push(Difference::Deadline { id: *id });
                    }
                }
                State::Confirmed { .. } => {
                    walk.confirmed += 1;
                    counted.take(record, |counted| &mut counted.sold);
                }
                State::Released { .. } | State::Expired { .. } => walk.ended += 1,
            }
        }
        self.compare_items(&counted, &mut walk.differences);
        self.compare_buyers(&counted, &mut walk.differences);
        let strays = self.due.iter().filter(|(_, id)| !counted.deadlines.contains(id));
        walk.differences.extend(strays.map(|(_, id)| Difference::Deadline { id: *id }));
        walk
    }

    fn compare_items(&self, counted: &Counted, differences: &mut Vec<Difference>) {
        for item in self.items() {
            if item.available + item.held + item.sold != item.total {
                differences.push(Difference::Unbalanced { item: item.clone() });
            }
            let columns = [(Column::Held, &counted.held, item.held), (Column::Sold, &counted.sold, item.sold)];
            for (column, told, found) in columns {
                let told = told.get(&item.sku).copied().unwrap_or(0);
                if told != found {
                    differences.push(Difference::Reservations { sku: item.sku.clone(), column, told, found });
                }
            }
        }
        let sums = [
            (Column::Available, self.stock.values().map(|stock| stock.available).sum::<u64>(), self.available),
            (Column::Held, self.stock.values().map(|stock| stock.held).sum::<u64>(), self.held),
        ];
        for (column, told, found) in sums {
            if told != found {
                differences.push(Difference::Sum { column, told, found });
            }
        }
    }

    fn compare_buyers(&self, counted: &Counted, differences: &mut Vec<Difference>) {
        let nothing = Units::new();
        let buyers: BTreeSet<&Buyer> = self.buyers.keys().chain(counted.buyers.keys()).collect();
        for buyer in buyers {
            let told = counted.buyers.get(buyer).unwrap_or(&nothing);
            let count = self.buyers.get(buyer);
            let (found, all) = count.map_or((&nothing, 0), |count| (&count.by_sku, count.all));
            if told != found || told.values().sum::<u64>() != all {
                let (told, found) = (told.values().sum(), all);
                differences.push(Difference::Buyer { buyer: buyer.clone(), told, found });
            }
        }
    }
}

impl Counted {
    /// Adds a record's units to a column and to what its buyer has.
    fn take(&mut self, record: &Record, column: impl FnOnce(&mut Self) -> &mut BTreeMap<Sku, u64>) {
        let column = column(self);
        for (sku, quantity) in &record.lines {
            *column.entry(sku.clone()).or_default() += quantity;
        }
        let Some(buyer) = &record.buyer else { return };
        let units = self.buyers.entry(buyer.clone()).or_default();
        for (sku, quantity) in &record.lines {
            units.add(sku, *quantity);
        }
    }
}
