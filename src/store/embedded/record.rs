//! What records and snapshots look like as bytes: postcard, the key first, so that a record can be passed over
//! without reading the commands of other rules.

use std::fmt;

use redb::ReadableTable;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    error::JournalError,
    rows::{RowWrites, Shelf, Shelves},
    state::{SaleSlot, Slot, State},
};
use crate::{
    id::{RoomId, SaleId},
    room::{self, Room},
    sale,
    store::catalog,
    time::UnixMs,
};

/// What a record or a snapshot is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, serde::Deserialize)]
pub(super) enum Key {
    Catalog,
    Room(RoomId),
    Sale(SaleId),
}

/// A snapshot ready to be written.
pub(super) struct Snapshot {
    pub name: String,
    /// None where what it was of is gone.
    pub bytes: Option<Vec<u8>>,
    /// The rows of a sale that changed.
    pub rows: RowWrites,
}

/// A record ready to be written.
pub(super) struct Entry {
    pub key: Key,
    pub bytes: Vec<u8>,
}

impl Snapshot {
    /// In bytes.
    pub fn size(&self) -> usize {
        let rows = self.rows.iter().map(|(key, row)| key.len() + row.as_ref().map_or(0, Vec::len));
        self.bytes.as_ref().map_or(0, Vec::len) + rows.sum::<usize>()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Catalog => f.write_str("the catalog"),
            Self::Room(id) => write!(f, "the room {id}"),
            Self::Sale(id) => write!(f, "the sale {id}"),
        }
    }
}

impl Key {
    /// The name a snapshot stands under. No id contains a slash.
    pub fn name(&self) -> String {
        match self {
            Self::Catalog => "catalog".to_owned(),
            Self::Room(id) => format!("room/{id}"),
            Self::Sale(id) => format!("sale/{id}"),
        }
    }

    /// The key of that name.
    pub fn parse(name: &str) -> Result<Self, JournalError> {
        match name.split_once('/') {
            None if name == "catalog" => Ok(Self::Catalog),
            Some(("room", id)) if let Ok(id) = RoomId::parse(id) => Ok(Self::Room(id)),
            Some(("sale", id)) if let Ok(id) = SaleId::parse(id) => Ok(Self::Sale(id)),
            _ => Err(JournalError::Record(format!("a snapshot of something unknown, {name:?}"))),
        }
    }
}

/// The record of a room's batch.
pub(super) fn of_room(id: RoomId, now: UnixMs, commands: &[room::Command]) -> Result<Entry, JournalError> {
    let key = Key::Room(id);
    let bytes = encode(&(&key, now, commands))?;
    Ok(Entry { key, bytes })
}

/// The record of a sale's batch.
pub(super) fn of_sale(id: SaleId, now: UnixMs, commands: &[sale::Command]) -> Result<Entry, JournalError> {
    let key = Key::Sale(id);
    let bytes = encode(&(&key, now, commands))?;
    Ok(Entry { key, bytes })
}

/// The record of a catalog's batch.
pub(super) fn of_catalog(commands: &[catalog::Command]) -> Result<Entry, JournalError> {
    let bytes = encode(&(Key::Catalog, commands))?;
    Ok(Entry { key: Key::Catalog, bytes })
}

/// The key of a record, and the rest of its bytes.
pub(super) fn read_key(seq: u64, bytes: &[u8]) -> Result<(Key, &[u8]), JournalError> {
    postcard::take_from_bytes(bytes).map_err(|error| unreadable(&format!("record {seq}"), error))
}

/// Does again what a record says.
pub(super) fn replay(seq: u64, key: &Key, body: &[u8], state: &mut State) -> Result<(), JournalError> {
    let what = || format!("record {seq}");
    match key {
        Key::Catalog => drop(state.catalog(&decode::<Vec<catalog::Command>>(&what(), body)?)),
        Key::Room(id) => {
            let (now, commands): (UnixMs, Vec<room::Command>) = decode(&what(), body)?;
            state.room(id, now, &commands);
        }
        Key::Sale(id) => {
            let (now, commands): (UnixMs, Vec<sale::Command>) = decode(&what(), body)?;
            state.sale(id, now, &commands);
        }
    }
    Ok(())
}

/// Takes a snapshot of what `key` stands for, as of record `seq`. Of a sale it is the rows that changed since the last
/// one: all of it would be tens of megabytes.
///
/// The records of a room that is gone may stay in the journal for a while, without their beginning. To
/// replay them does no harm: the last of them is the one that deleted the room.
pub(super) fn snapshot(
    key: &Key,
    seq: u64,
    state: &mut State,
    shelves: &mut Shelves,
) -> Result<Snapshot, JournalError> {
    let (bytes, rows) = match key {
        Key::Catalog => (Some(encode(&(seq, &state.catalog))?), RowWrites::new()),
        Key::Room(id) => {
            let slot = state.rooms.get(id).and_then(|slot| Some((slot.now, slot.room.as_ref()?)));
            (slot.map(|(now, room)| encode(&(seq, now, room))).transpose()?, RowWrites::new())
        }
        Key::Sale(id) => match state.sales.get_mut(id).and_then(|slot| Some((slot.now, slot.sale.as_mut()?))) {
            Some((now, sale)) => {
                let (shelf, rows) = shelves.write(id, sale.take_changes())?;
                (Some(encode(&(seq, now, shelf))?), rows)
            }
            None => {
                shelves.clear(id);
                (None, RowWrites::new())
            }
        },
    };
    Ok(Snapshot { name: key.name(), bytes, rows })
}

/// Puts a snapshot into the state; gives the number of the last record in it.
pub(super) fn read_snapshot(
    key: &Key,
    bytes: &[u8],
    state: &mut State,
    shelves: &mut Shelves,
    rows: &impl ReadableTable<&'static [u8], &'static [u8]>,
) -> Result<u64, JournalError> {
    let what = format!("the snapshot of {}", key.name());
    match key {
        Key::Catalog => {
            let (seq, catalog) = decode(&what, bytes)?;
            state.catalog = catalog;
            Ok(seq)
        }
        Key::Room(id) => {
            let (seq, now, room): (u64, UnixMs, Room) = decode(&what, bytes)?;
            state.rooms.insert(id.clone(), Slot { room: Some(room), now });
            Ok(seq)
        }
        Key::Sale(id) => {
            let (seq, now, shelf): (u64, UnixMs, Shelf) = decode(&what, bytes)?;
            let sale = shelves.load(rows, id, shelf)?;
            state.sales.insert(id.clone(), SaleSlot { sale: Some(sale), now });
            Ok(seq)
        }
    }
}

pub(super) fn encode(value: &impl Serialize) -> Result<Vec<u8>, JournalError> {
    postcard::to_stdvec(value).map_err(|error| JournalError::Record(format!("could not be encoded: {error}")))
}

/// The whole of `bytes` as a value: what is left over is damage too.
pub(super) fn decode<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, JournalError> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err(JournalError::Record(format!("{what} is longer than it should be"))),
        Err(error) => Err(unreadable(what, error)),
    }
}

fn unreadable(what: &str, error: postcard::Error) -> JournalError {
    JournalError::Record(format!("{what} can't be read: {error}"))
}
