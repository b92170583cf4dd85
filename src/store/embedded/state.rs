//! All the embedded store keeps: the rooms and the catalog, and how a batch changes them. The same code runs
//! a batch when it comes and when a restart replays it.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    id::RoomId,
    room::{Command, Outcome, Room},
    store::{
        RoomReply,
        catalog::{self, Catalog},
    },
    time::UnixMs,
};

/// The rooms and the catalog.
#[derive(Default)]
pub(super) struct State {
    pub rooms: BTreeMap<RoomId, Slot>,
    pub catalog: Catalog,
}

/// A room, and what the engine knows of it.
#[derive(Default)]
pub(super) struct Slot {
    pub room: Option<Room>,
    /// The time of its latest batch: a machine's clock may be set back, a room's time is not.
    pub now: UnixMs,
}

/// What came of a batch.
pub(super) struct Applied<T> {
    pub reply: T,
    /// Whether the state is another than before: only then is the batch written down.
    pub changed: bool,
}

impl State {
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

    /// Applies a batch to the catalog.
    pub fn catalog(&mut self, commands: &[catalog::Command]) -> Applied<Vec<catalog::Outcome>> {
        let before = self.catalog.revision();
        let reply = commands.iter().map(|command| self.catalog.apply(command)).collect();
        Applied { reply, changed: self.catalog.revision() != before }
    }
}
