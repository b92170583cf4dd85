//! All the embedded store keeps: the rooms, the sales and the catalog, and how a batch changes them. The same code runs
//! a batch when it comes and when a restart replays it.

use std::{collections::BTreeMap, sync::Arc, thread};

use super::record::Key;
use crate::{
    id::{RoomId, SaleId},
    room::{Command, Outcome, Room},
    sale::{self, Sale},
    store::{
        RoomReply, SaleReply,
        catalog::{self, Catalog},
    },
    time::UnixMs,
};

/// The rooms, the sales and the catalog.
#[derive(Default)]
pub(super) struct State {
    pub rooms: BTreeMap<RoomId, Slot>,
    pub sales: BTreeMap<SaleId, SaleSlot>,
    pub catalog: Catalog,
    keeping: Keeping,
}

/// Whether somebody keeps what is here.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Keeping {
    #[default]
    Nobody,
    /// A journal, which wants to know what changes in a sale.
    Journal,
}

/// A room, and what the engine knows of it.
#[derive(Default)]
pub(super) struct Slot {
    pub room: Option<Room>,
    /// The time of its latest batch: a machine's clock may be set back, a room's time is not.
    pub now: UnixMs,
}

/// A sale, and what the engine knows of it.
#[derive(Default)]
pub(super) struct SaleSlot {
    pub sale: Option<Sale>,
    /// The time of its latest batch, which a sale keeps to like a room.
    pub now: UnixMs,
}

/// What came of a batch.
pub(super) struct Applied<T> {
    pub reply: T,
    /// Whether the state is another than before: only then is the batch written down.
    pub changed: bool,
}

impl State {
    /// Nothing as yet, and all that comes is journalled.
    pub fn journalled() -> Self {
        Self { keeping: Keeping::Journal, ..Self::default() }
    }

    /// Applies a batch to a room at `clock`, or at the room's own time if that is later.
    pub fn room(&mut self, id: &RoomId, clock: UnixMs, commands: &[Command]) -> Applied<RoomReply> {
        let mut slot = self.rooms.remove(id).unwrap_or_default();
        let now = clock.max(slot.now);
        slot.now = now;
        let mut changed = false;
        let outcomes: Vec<Outcome> = commands
            .iter()
            .map(|command| {
                let applied = Room::apply(&mut slot.room, now, command);
                changed |= applied.changed;
                applied.outcome
            })
            .collect();
        let view = slot.room.as_ref().map(|room| Arc::new(room.view(now)));
        // A room keeps to its own time where that is later still.
        let now = view.as_ref().map_or(now, |view| view.now);
        // A room that is gone leaves nothing behind, so that asking for unknown ids costs no memory.
        if slot.room.is_some() {
            self.rooms.insert(id.clone(), slot);
        }
        Applied { reply: RoomReply { now, view, outcomes }, changed }
    }

    /// Applies a batch to a sale at `clock`, or at the sale's own time if that is later.
    pub fn sale(&mut self, id: &SaleId, clock: UnixMs, commands: &[sale::Command]) -> Applied<SaleReply> {
        let mut slot = self.sales.remove(id).unwrap_or_default();
        let now = clock.max(slot.now);
        slot.now = now;
        let applied = Sale::apply(&mut slot.sale, now, commands);
        if let (Some(sale), Keeping::Journal) = (&mut slot.sale, self.keeping) {
            sale.note_changes();
        }
        take_apart(applied.removed);
        let header = slot.sale.as_ref().map(|sale| sale.header(now));
        let now = header.map_or(now, |header| header.now);
        if slot.sale.is_some() {
            self.sales.insert(id.clone(), slot);
        }
        Applied { reply: SaleReply { now, header, outcomes: applied.outcomes }, changed: applied.changed }
    }

    /// How many rows of a sale have changed since they were last taken; all there can be where the sale is new or gone,
    /// so that the rows of the one before it make way. 0 for what is not kept as rows.
    pub fn changed_rows(&self, key: &Key) -> usize {
        match key {
            Key::Sale(id) => match self.sales.get(id).and_then(|slot| slot.sale.as_ref()) {
                Some(sale) if !sale.is_new() => sale.changed_rows(),
                Some(_) | None => usize::MAX,
            },
            Key::Catalog | Key::Room(_) => 0,
        }
    }

    /// Forgets what `key` stands for in memory.
    pub fn remove(&mut self, key: &Key) {
        match key {
            Key::Room(id) => drop(self.rooms.remove(id)),
            Key::Sale(id) => drop(self.sales.remove(id)),
            Key::Catalog => {}
        }
    }

    /// Applies a batch to the catalog.
    pub fn catalog(&mut self, commands: &[catalog::Command]) -> Applied<Vec<catalog::Outcome>> {
        let before = self.catalog.revision();
        let reply = commands.iter().map(|command| self.catalog.apply(command)).collect();
        Applied { reply, changed: self.catalog.revision() != before }
    }
}

/// Takes sales apart that are gone: with a hundred thousand reservations a tenth of a second, in which the engine
/// answers others.
fn take_apart(removed: Vec<Sale>) {
    if !removed.is_empty() {
        // Where no thread can be had it is done here, as what was to be moved there is dropped.
        let _ = thread::Builder::new().name("sale-removal".to_owned()).spawn(move || drop(removed));
    }
}
