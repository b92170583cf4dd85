//! The embedded store: one engine thread that runs the rooms and journals to disk. The default, and the
//! executable specification of every other store.

use std::{path::Path, sync::Arc};

use super::{RoomReply, Store, StoreError, catalog};
use crate::{clock::Clock, id::RoomId, room, telemetry::Metrics};

/// A handle to the engine thread; cheap to clone.
#[derive(Clone)]
pub struct Embedded {}

/// Why a file could not be opened as a store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("not written yet")]
    Todo,
}

impl Embedded {
    /// A store in memory: everything is gone when the process ends.
    pub fn memory(_clock: Clock, _metrics: Arc<Metrics>) -> Self {
        todo!()
    }

    /// A durable store in the folder `path`, made if it does not exist: every batch is on disk before it is answered.
    ///
    /// # Errors
    /// The folder can't be used, is in use by another process, is damaged, or was written by a newer version.
    pub fn file(_path: &Path, _clock: Clock, _metrics: Arc<Metrics>) -> Result<Self, OpenError> {
        todo!()
    }

    /// Takes a last snapshot and ends the engine thread; later commands get `Unavailable`.
    pub async fn close(&self) -> Result<(), StoreError> {
        todo!()
    }
}

impl Store for Embedded {
    async fn room(&self, _id: RoomId, _commands: Vec<room::Command>) -> Result<RoomReply, StoreError> {
        todo!()
    }

    async fn catalog(&self, _commands: Vec<catalog::Command>) -> Result<Vec<catalog::Outcome>, StoreError> {
        todo!()
    }
}
