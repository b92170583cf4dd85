//! A sale as rows, for whoever keeps it: which of them have changed since they were last asked for, and how to make
//! the sale of them again.
//!
//! Rows hold only what can't be counted from others: whom a deadline or a limit concerns is found again from the
//! reservations, so that no two rows can disagree about it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::{
    command::{Buyer, ReservationId, Sku, State},
    outbox::{Event, Outbox},
    recovery::Rewind,
    settings::Rules,
    stock::{Count, Record, Restock, Sale, Stock},
};
use crate::time::UnixMs;

/// What a row is of, in the order in which rows are read back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowKey {
    /// What there is one of.
    Head,
    Rules,
    Stock(Sku),
    Restock(ReservationId),
    /// A reservation, by the time it was made: those made together change together, and so stand together.
    Record(UnixMs, ReservationId),
    Event(u64),
}

/// One row, to be kept and given back as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row(pub(super) Content);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Content {
    Head(Head),
    Rules {
        version: u64,
        born: u64,
        rules: Rules,
    },
    Stock {
        sku: Sku,
        stock: Stock,
    },
    Restock {
        id: ReservationId,
        restock: Restock,
    },
    /// `fades`: whether it is still to be forgotten, as a grant if it was confirmed, and whole if it was not.
    Record {
        id: ReservationId,
        record: Record,
        fades: bool,
    },
    Event(Event),
}

/// What holds all rows together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    last: UnixMs,
    /// The number of the last event.
    seq: u64,
    rewinds: Vec<Rewind>,
    /// How many events are kept: rows of older ones are left over.
    events: usize,
    records: usize,
    restocks: usize,
    skus: usize,
}

/// What has changed since it was last asked for.
#[derive(Debug)]
pub struct Changes {
    /// The rows asked for before are another sale's: all of them are to go.
    pub is_new: bool,
    /// Each row that changed, and what it is now; none if it is gone.
    pub rows: Vec<(RowKey, Option<Row>)>,
    /// The oldest event kept: rows of events before it are to go, when there is time.
    pub first_event: u64,
}

/// Why rows are no sale.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRows {
    #[error("the row of its {0} is missing")]
    Missing(&'static str),
    #[error("of its {what} there are {found}, not {told}")]
    Count { what: &'static str, told: usize, found: usize },
    #[error("event {0} is missing")]
    Gap(u64),
    #[error("{0}")]
    Books(String),
}

/// What has changed, as it is noted; nothing is while nobody keeps the sale. It is no part of the sale: two sales are
/// the same whatever was asked of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Touched(Option<Noted>);

#[derive(Clone, Debug)]
struct Noted {
    is_new: bool,
    keys: BTreeSet<RowKey>,
    /// The last event asked for.
    seq: u64,
}

impl PartialEq for Touched {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Touched {}

impl Touched {
    /// Notes that a row changes. Each is noted once, so that there are never more than the sale has, and those gone
    /// since.
    pub(super) fn note(&mut self, key: impl FnOnce() -> RowKey) {
        if let Some(noted) = &mut self.0 {
            noted.keys.insert(key());
        }
    }
}

impl Sale {
    /// From now on notes which rows change, for [`Sale::take_changes`]; to begin with, all of them. Does nothing if it
    /// does so already.
    pub fn note_changes(&mut self) {
        if self.touched.0.is_none() {
            let mut keys = BTreeSet::from([RowKey::Rules]);
            keys.extend(self.stock.keys().cloned().map(RowKey::Stock));
            keys.extend(self.restocks.keys().copied().map(RowKey::Restock));
            keys.extend(self.records.iter().map(|(id, record)| RowKey::Record(record.created, *id)));
            self.touched = Touched(Some(Noted { is_new: true, keys, seq: 0 }));
        }
    }

    /// The number of the oldest event kept; of the next one if none is.
    pub fn first_event(&self) -> u64 {
        self.outbox.first()
    }

    /// Whether nobody has asked for its rows yet.
    pub fn is_new(&self) -> bool {
        self.touched.0.as_ref().is_none_or(|noted| noted.is_new)
    }

    /// How many rows have changed since [`Sale::take_changes`].
    pub fn changed_rows(&self) -> usize {
        self.touched.0.as_ref().map_or(0, |noted| {
            let events = self.outbox.seq() - noted.seq;
            noted.keys.len() + usize::try_from(events).unwrap_or(usize::MAX).min(self.outbox.len())
        })
    }

    /// What has changed since this was last asked. Whoever asks keeps it: it is not told again.
    pub fn take_changes(&mut self) -> Changes {
        let seq = self.outbox.seq();
        let first_event = self.outbox.first();
        let Some(noted) = &mut self.touched.0 else { return Changes { is_new: false, rows: Vec::new(), first_event } };
        let is_new = std::mem::replace(&mut noted.is_new, false);
        let after = std::mem::replace(&mut noted.seq, seq);
        let keys = std::mem::take(&mut noted.keys);
        let mut rows = vec![(RowKey::Head, Some(Row(Content::Head(self.head()))))];
        rows.extend(keys.into_iter().map(|key| {
            let row = self.row(&key);
            (key, row)
        }));
        let events = self.outbox.after(after, usize::MAX).into_iter();
        rows.extend(events.map(|event| (RowKey::Event(event.seq), Some(Row(Content::Event(event))))));
        Changes { is_new, rows, first_event }
    }

    fn head(&self) -> Head {
        Head {
            last: self.last,
            seq: self.outbox.seq(),
            rewinds: self.rewinds.clone(),
            events: self.outbox.len(),
            records: self.records.len(),
            restocks: self.restocks.len(),
            skus: self.stock.len(),
        }
    }

    /// A row as it is now; none if there is no such row any more. Events are read from the outbox.
    fn row(&self, key: &RowKey) -> Option<Row> {
        let content = match key {
            RowKey::Head => Content::Head(self.head()),
            RowKey::Rules => Content::Rules { version: self.version, born: self.born, rules: self.rules.clone() },
            RowKey::Stock(sku) => Content::Stock { sku: sku.clone(), stock: *self.stock.get(sku)? },
            RowKey::Restock(id) => Content::Restock { id: *id, restock: self.restocks.get(id)?.clone() },
            RowKey::Record(created, id) => {
                // One of the same id may have been forgotten, and granted anew, since.
                let record = self.records.get(id).filter(|record| record.created == *created)?.clone();
                let fades = record.ended().is_some_and(|at| self.fades(at, *id));
                Content::Record { id: *id, record, fades }
            }
            RowKey::Event(_) => return None,
        };
        Some(Row(content))
    }
}

impl Row {
    /// What this row is of.
    pub fn key(&self) -> RowKey {
        match &self.0 {
            Content::Head(_) => RowKey::Head,
            Content::Rules { .. } => RowKey::Rules,
            Content::Stock { sku, .. } => RowKey::Stock(sku.clone()),
            Content::Restock { id, .. } => RowKey::Restock(*id),
            Content::Record { id, record, .. } => RowKey::Record(record.created, *id),
            Content::Event(event) => RowKey::Event(event.seq),
        }
    }
}

/// A sale being made of its rows, which come in the order of their keys.
#[derive(Default)]
pub struct Rebuild {
    head: Option<Head>,
    rules: Option<(u64, u64, Rules)>,
    stock: BTreeMap<Sku, Stock>,
    restocks: BTreeMap<ReservationId, Restock>,
    records: BTreeMap<ReservationId, Record>,
    due: BTreeSet<(UnixMs, ReservationId)>,
    fading: BTreeSet<(UnixMs, ReservationId)>,
    buyers: BTreeMap<Buyer, Count>,
    events: VecDeque<Event>,
}

impl Rebuild {
    /// Adds the next row.
    pub fn add(&mut self, row: Row) {
        match row.0 {
            Content::Head(head) => self.head = Some(head),
            Content::Rules { version, born, rules } => self.rules = Some((version, born, rules)),
            Content::Stock { sku, stock } => _ = self.stock.insert(sku, stock),
            Content::Restock { id, restock } => {
                self.fading.insert(Sale::fading_key(restock.at, id));
                self.restocks.insert(id, restock);
            }
            Content::Record { id, record, fades } => self.add_record(id, record, fades),
            Content::Event(event) => {
                let first = self.head.as_ref().map_or(0, Head::first_event);
                if event.seq >= first {
                    self.events.push_back(event);
                }
            }
        }
    }

    fn add_record(&mut self, id: ReservationId, record: Record, fades: bool) {
        let is_held = match &record.state {
            State::Held { deadline, .. } => self.due.insert((*deadline, id)),
            State::Confirmed { .. } | State::Released { .. } | State::Expired { .. } => false,
        };
        if let Some(at) = record.ended().filter(|_| fades) {
            self.fading.insert(Sale::fading_key(at, id));
        }
        if let Some(buyer) = &record.buyer {
            let count = self.buyers.entry(buyer.clone()).or_default();
            count.grants += u64::from(is_held || fades);
            if is_held || matches!(record.state, State::Confirmed { .. }) {
                for (sku, quantity) in &record.lines {
                    count.by_sku.add(sku, *quantity);
                    count.all += quantity;
                }
            }
        }
        self.records.insert(id, record);
    }

    /// The sale, which notes changes from now on.
    ///
    /// # Errors
    /// Rows are missing, or do not agree with each other.
    pub fn finish(self) -> Result<Sale, BadRows> {
        let head = self.head.ok_or(BadRows::Missing("head"))?;
        let (version, born, rules) = self.rules.ok_or(BadRows::Missing("rules"))?;
        let counts = [
            ("SKUs", head.skus, self.stock.len()),
            ("restocks", head.restocks, self.restocks.len()),
            ("reservations", head.records, self.records.len()),
            ("events", head.events, self.events.len()),
        ];
        if let Some((what, told, found)) = counts.into_iter().find(|(_, told, found)| told != found) {
            return Err(BadRows::Count { what, told, found });
        }
        if let Some((missing, _)) = (head.first_event()..).zip(&self.events).find(|(seq, event)| *seq != event.seq) {
            return Err(BadRows::Gap(missing));
        }
        let sale = Sale {
            version,
            born,
            rules,
            last: head.last,
            available: self.stock.values().map(|stock| stock.available).sum(),
            held: self.stock.values().map(|stock| stock.held).sum(),
            stock: self.stock,
            buyers: self.buyers,
            records: self.records,
            due: self.due,
            fading: self.fading,
            restocks: self.restocks,
            outbox: Outbox::of(head.seq, self.events),
            rewinds: head.rewinds,
            touched: Touched(Some(Noted { is_new: false, keys: BTreeSet::new(), seq: head.seq })),
        };
        match sale.walk().differences.first() {
            Some(difference) => Err(BadRows::Books(difference.to_string())),
            None => Ok(sale),
        }
    }
}

impl Head {
    fn first_event(&self) -> u64 {
        (self.seq + 1).saturating_sub(self.events as u64)
    }
}
