//! The rows of sales on disk. A sale's rows stand together under a number of its own, which its snapshot names; rows
//! under a number that no snapshot names are left over, and swept away step by step, as are those of events that a
//! sale has forgotten.

use std::collections::{BTreeMap, VecDeque};

use redb::{ReadableTable, Table, TableDefinition};

use super::{error::JournalError, record};
use crate::{
    id::SaleId,
    sale::{
        Sale,
        rows::{Changes, Rebuild, Row, RowKey},
    },
};

pub(super) const ROWS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("sale_rows");

/// The number under which the rows of one sale stand.
pub(super) type Shelf = u64;

/// Where the rows of all sales stand, and what is left over.
#[derive(Default)]
pub(super) struct Shelves {
    of: BTreeMap<SaleId, Place>,
    /// The number no rows stand under yet.
    next: Shelf,
    leftover: VecDeque<Leftover>,
}

struct Place {
    shelf: Shelf,
    /// The oldest event kept; rows of older ones are left over.
    first_event: u64,
}

/// Rows to be swept away, from a key to before another.
#[derive(Debug)]
struct Leftover {
    from: Vec<u8>,
    to: Vec<u8>,
}

/// Rows to be written; no bytes where one is to go.
pub(super) type RowWrites = Vec<(Vec<u8>, Option<Vec<u8>>)>;

impl Shelves {
    /// Reads a sale's rows back.
    pub fn load(
        &mut self,
        table: &impl ReadableTable<&'static [u8], &'static [u8]>,
        id: &SaleId,
        shelf: Shelf,
    ) -> Result<Sale, JournalError> {
        let mut rebuild = Rebuild::default();
        for row in table.range(start_of(shelf).as_slice()..start_of(shelf + 1).as_slice())? {
            let (key, bytes) = row?;
            let row: Row = record::decode(&format!("a row of the sale {id}"), bytes.value())?;
            if key_of(shelf, &row.key()) != key.value() {
                return Err(JournalError::Record(format!("a row of the sale {id} stands in another's place")));
            }
            rebuild.add(row);
        }
        let sale = rebuild.finish().map_err(|error| JournalError::Record(format!("the sale {id}: {error}")))?;
        let first_event = sale.first_event();
        self.leftover.push_back(Leftover::events(shelf, first_event));
        self.of.insert(id.clone(), Place { shelf, first_event });
        Ok(sale)
    }

    /// Finds what is left over, once all sales are loaded.
    pub fn find_leftovers(
        &mut self,
        table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    ) -> Result<(), JournalError> {
        while let Some(row) = table.range(start_of(self.next).as_slice()..)?.next() {
            let (key, _) = row?;
            let shelf = shelf_of(key.value())?;
            if self.of.values().all(|place| place.shelf != shelf) {
                self.leftover.push_back(Leftover::shelf(shelf));
            }
            self.next = shelf + 1;
        }
        Ok(())
    }

    /// What to write for the changes of a sale, and the shelf they go to: a new sale gets a new one.
    pub fn write(&mut self, id: &SaleId, changes: Changes) -> Result<(Shelf, RowWrites), JournalError> {
        if changes.is_new {
            self.clear(id);
            self.of.insert(id.clone(), Place { shelf: self.next, first_event: changes.first_event });
            self.next += 1;
        }
        let place = self.of.get_mut(id);
        let place = place.ok_or_else(|| JournalError::Record(format!("the sale {id} has rows, and no place")))?;
        if changes.first_event > place.first_event {
            place.first_event = changes.first_event;
            self.leftover.push_back(Leftover::events(place.shelf, changes.first_event));
        }
        let mut writes = RowWrites::with_capacity(changes.rows.len());
        for (key, row) in &changes.rows {
            writes.push((key_of(place.shelf, key), row.as_ref().map(record::encode).transpose()?));
        }
        Ok((place.shelf, writes))
    }

    /// Leaves over whatever rows a sale has: it is gone.
    pub fn clear(&mut self, id: &SaleId) {
        if let Some(place) = self.of.remove(id) {
            self.leftover.push_back(Leftover::shelf(place.shelf));
        }
    }

    /// Sweeps away up to `budget` rows of what is left over.
    pub fn sweep(
        &mut self,
        table: &mut Table<&'static [u8], &'static [u8]>,
        mut budget: usize,
    ) -> Result<(), JournalError> {
        while budget > 0
            && let Some(leftover) = self.leftover.front_mut()
        {
            let keys = table.range(leftover.from.as_slice()..leftover.to.as_slice())?.take(budget);
            let keys = keys.map(|row| Ok(row?.0.value().to_vec())).collect::<Result<Vec<_>, JournalError>>()?;
            for key in &keys {
                table.remove(key.as_slice())?;
            }
            budget -= keys.len();
            match keys.into_iter().next_back() {
                // There may be more behind it.
                Some(last) if budget == 0 => leftover.from = last,
                _ => drop(self.leftover.pop_front()),
            }
        }
        Ok(())
    }

    /// Whether anything is left over.
    pub fn has_leftovers(&self) -> bool {
        !self.leftover.is_empty()
    }
}

impl Leftover {
    fn shelf(shelf: Shelf) -> Self {
        Self { from: start_of(shelf), to: start_of(shelf + 1) }
    }

    /// The events before `first`.
    fn events(shelf: Shelf, first: u64) -> Self {
        Self { from: key_of(shelf, &RowKey::Event(0)), to: key_of(shelf, &RowKey::Event(first)) }
    }
}

fn start_of(shelf: Shelf) -> Vec<u8> {
    shelf.to_be_bytes().to_vec()
}

fn shelf_of(key: &[u8]) -> Result<Shelf, JournalError> {
    let number = key.first_chunk().ok_or_else(|| JournalError::Record("a row of no sale".to_owned()))?;
    Ok(Shelf::from_be_bytes(*number))
}

/// Where a row stands: in the order of its key.
fn key_of(shelf: Shelf, key: &RowKey) -> Vec<u8> {
    let mut bytes = start_of(shelf);
    match key {
        RowKey::Head => bytes.push(0),
        RowKey::Rules => bytes.push(1),
        RowKey::Stock(sku) => {
            bytes.push(2);
            bytes.extend(sku.as_str().bytes());
        }
        RowKey::Restock(id) => {
            bytes.push(3);
            bytes.extend(id.0.to_be_bytes());
        }
        RowKey::Record(created, id) => {
            bytes.push(4);
            bytes.extend(created.0.to_be_bytes());
            bytes.extend(id.0.to_be_bytes());
        }
        RowKey::Event(seq) => {
            bytes.push(5);
            bytes.extend(seq.to_be_bytes());
        }
    }
    bytes
}
