//! Group commit: while one batch of a room is in flight, the commands that arrive form the next one.

use std::sync::Arc;

use super::{Store, StoreError};
use crate::{
    id::RoomId,
    room::{Command, Outcome, View},
    telemetry::Metrics,
    time::UnixMs,
};

/// The way to one room: its queue, and the latest view of it that any batch brought back.
pub struct Lane<S> {
    store: S,
    room: RoomId,
}

/// The answer to one command.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The room's time at which the command was applied.
    pub now: UnixMs,
    /// The room after the batch; none if it does not exist.
    pub view: Option<Arc<View>>,
    pub outcome: Outcome,
}

impl<S: Store> Lane<S> {
    /// A lane to `room`. Batches are driven on `runtime`, so that they outlive the caller that started them.
    pub fn new(store: S, room: RoomId, _runtime: tokio::runtime::Handle, _metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { store, room })
    }

    /// Queues a command and waits for what came of it.
    ///
    /// # Errors
    /// [`StoreError::Overloaded`] at once when the queue is full; otherwise what the store says.
    pub async fn submit(self: &Arc<Self>, _command: Command) -> Result<Answer, StoreError> {
        todo!()
    }

    /// The latest view any batch brought back: no store call, no lock.
    pub fn view(&self) -> Option<Arc<View>> {
        todo!()
    }
}
