//! The embedded store: one engine thread that runs rooms and sales and journals to disk. The default, and the
//! executable specification of every other store.
//!
//! [`engine`] is the thread: it takes whatever batches of all rooms and sales have come, applies them, makes them
//! durable in one transaction with one fsync, and only then answers.

mod engine;
mod error;
mod folder;
mod journal;
mod record;
mod rows;
mod state;
#[cfg(test)]
mod tests;

use std::{
    path::Path,
    sync::{
        Arc,
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
};

use tokio::sync::oneshot;
use uuid::Uuid;

use self::{
    engine::{Engine, Reply, Request},
    folder::Folder,
};
pub use self::{error::OpenError, folder::is_store};
use super::{
    RoomReply, SaleReply, Store, StoreError, catalog,
    instances::{Announcement, InstanceRow, Local},
};
use crate::{
    clock::Clock,
    id::{RoomId, SaleId},
    room, sale,
    telemetry::Metrics,
};

/// The most batches that wait for the engine: one a room and one a sale (the lanes send no more, and there are at
/// most 1 000 of either), and as many calls of the catalog.
const QUEUE_MAX: usize = 3_000;

/// A handle to the engine thread; cheap to clone. The thread ends with [`Embedded::close`], or when the last
/// handle is gone.
#[derive(Clone)]
pub struct Embedded {
    requests: SyncSender<Request>,
    clock: Clock,
    instances: Local,
}

impl Embedded {
    /// A store in memory: everything is gone when the process ends.
    ///
    /// # Errors
    /// The engine thread can't be started.
    pub fn memory(clock: Clock, metrics: Arc<Metrics>) -> Result<Self, OpenError> {
        Self::start(Engine::memory(clock.clone(), metrics), clock)
    }

    /// A durable store in the folder `path`, made if it does not exist: every batch is on disk before it is answered.
    ///
    /// # Errors
    /// The folder can't be used, is in use by another process, is damaged, or was written by another version.
    pub fn file(path: &Path, clock: Clock, metrics: Arc<Metrics>) -> Result<Self, OpenError> {
        Self::start(Engine::file(Folder::take(path)?, clock.clone(), metrics)?, clock)
    }

    fn start(engine: Engine, clock: Clock) -> Result<Self, OpenError> {
        let (requests, queue) = sync_channel(QUEUE_MAX);
        std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || engine.run(&queue))
            .map_err(OpenError::Thread)?;
        Ok(Self { requests, clock, instances: Local::default() })
    }

    /// Takes a last snapshot and ends the engine thread; later commands get `Unavailable`.
    ///
    /// # Errors
    /// The snapshot could not be written; what was acknowledged is in the journal all the same.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.ask(|reply| Request::Close { reply }).await
    }

    /// Says that an instance is there.
    pub(super) fn announce(&self, me: Announcement) {
        self.instances.announce(me, self.clock.now());
    }

    /// The instances on this store.
    pub(super) fn instances(&self) -> Vec<InstanceRow> {
        self.instances.list()
    }

    /// Says that an instance ends.
    pub(super) fn leave(&self, id: Uuid) {
        self.instances.leave(id);
    }

    /// Sends the engine a request made around the way back, and waits for the answer.
    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.requests.try_send(request(reply)).map_err(|refused| match refused {
            TrySendError::Full(_) => StoreError::Overloaded,
            TrySendError::Disconnected(_) => stopped(),
        })?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }
}

fn stopped() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}

impl Store for Embedded {
    async fn room(&self, id: RoomId, commands: Vec<room::Command>) -> Result<RoomReply, StoreError> {
        self.ask(|reply| Request::Room { id, commands, reply }).await
    }

    async fn sale(&self, id: SaleId, commands: Vec<sale::Command>) -> Result<SaleReply, StoreError> {
        self.ask(|reply| Request::Sale { id, commands, reply }).await
    }

    async fn catalog(&self, commands: Vec<catalog::Command>) -> Result<Vec<catalog::Outcome>, StoreError> {
        self.ask(|reply| Request::Catalog { commands, reply }).await
    }
}
