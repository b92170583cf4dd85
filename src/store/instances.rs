//! Which instances share a store: what each says of itself, and when it last did.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    id::{RoomId, SaleId},
    time::UnixMs,
};

/// What an instance says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    pub id: Uuid,
    pub build: String,
    pub started: UnixMs,
    /// The version of each room's settings that it obeys.
    pub rooms: Vec<(RoomId, u64)>,
    /// The same of each sale.
    pub sales: Vec<(SaleId, u64)>,
}

/// An instance that has announced itself and not left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceRow {
    pub announcement: Announcement,
    /// By the store's clock.
    pub last_seen: UnixMs,
}

/// The instances on a store that lives in this process: one, but for tests.
#[derive(Clone, Default)]
pub(super) struct Local(Arc<Mutex<BTreeMap<Uuid, InstanceRow>>>);

impl Local {
    pub fn announce(&self, announcement: Announcement, now: UnixMs) {
        self.rows().insert(announcement.id, InstanceRow { announcement, last_seen: now });
    }

    pub fn list(&self) -> Vec<InstanceRow> {
        self.rows().values().cloned().collect()
    }

    pub fn leave(&self, id: Uuid) {
        self.rows().remove(&id);
    }

    fn rows(&self) -> MutexGuard<'_, BTreeMap<Uuid, InstanceRow>> {
        // Nothing panics while the lock is held; if it ever did, the map would still be whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
