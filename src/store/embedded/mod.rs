//! The embedded store: one engine that runs rooms and sales and journals to disk. The default, and the executable
//! specification of every other store.
//!
//! [`engine`] takes whatever batches of all rooms and sales have come, applies them, makes them durable in one
//! transaction with one fsync, and only then answers. Where there is a disk to wait for it has a thread of its own; in
//! memory it runs where it is asked, one asker at a time.

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
        Arc, Mutex,
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    time::Duration,
};

use tokio::sync::oneshot;
use uuid::Uuid;

use self::{
    engine::{Engine, Reply, Request},
    folder::Folder,
};
pub use self::{error::OpenError, folder::is_store};
use super::{
    RoomReply, SaleReply, Store, StoreError,
    batcher::Gathering,
    catalog,
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

/// How commands under load gather for a commit, which writes some ten pages and syncs whatever is in it. A joiner adds
/// nothing and a reservation a tenth of a page or two, so that sixteen are as cheap each as more would be.
const GATHERING: Gathering = Gathering { lasts: Duration::from_millis(2), enough: 16 };

/// A handle to the engine; cheap to clone. The engine ends with [`Embedded::close`], or when the last handle is gone.
#[derive(Clone)]
pub struct Embedded {
    way: Way,
    clock: Clock,
    instances: Local,
}

/// The way to the engine.
#[derive(Clone)]
enum Way {
    /// A thread that may wait for the disk.
    Thread(SyncSender<Request>),
    /// Whoever asks runs it: without a disk a batch takes microseconds, less than to wake a thread for it and to be woken
    /// by it. None once it is closed. A std mutex: held for a batch, never across an await.
    Here(Arc<Mutex<Option<Engine>>>),
}

impl Embedded {
    /// A store in memory: everything is gone when the process ends.
    pub fn memory(clock: Clock, metrics: Arc<Metrics>) -> Self {
        let engine = Engine::memory(clock.clone(), metrics);
        Self { way: Way::Here(Arc::new(Mutex::new(Some(engine)))), clock, instances: Local::default() }
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
        Ok(Self { way: Way::Thread(requests), clock, instances: Local::default() })
    }

    /// Takes a last snapshot and ends the engine; later commands get `Unavailable`.
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
        match &self.way {
            Way::Thread(requests) => requests.try_send(request(reply)).map_err(|refused| match refused {
                TrySendError::Full(_) => StoreError::Overloaded,
                TrySendError::Disconnected(_) => stopped(),
            })?,
            Way::Here(engine) => serve_here(engine, request(reply)),
        }
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }
}

/// Has the engine serve a request on this thread. One that is closed drops it, which tells whoever asked, and so does one
/// that panicked outside of any room or sale: its thread would have ended with it.
fn serve_here(engine: &Mutex<Option<Engine>>, request: Request) {
    let Ok(mut here) = engine.lock() else { return };
    let closing = here.as_mut().and_then(|engine| engine.serve(request, || None));
    if let Some(reply) = closing
        && let Some(mut engine) = here.take()
    {
        let _ = reply.send(engine.close());
    }
}

fn stopped() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}

impl Store for Embedded {
    fn gathering(&self) -> Option<Gathering> {
        match self.way {
            Way::Thread(_) => Some(GATHERING),
            Way::Here(_) => None,
        }
    }

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
