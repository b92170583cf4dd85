//! The engine thread.

use std::sync::{Arc, mpsc::Receiver};

use tokio::sync::oneshot;

use super::state::State;
use crate::{
    clock::Clock,
    id::RoomId,
    room,
    store::{RoomReply, StoreError, catalog},
    telemetry::Metrics,
};

/// The way back to whoever asked.
pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the engine is asked for.
pub(super) enum Request {
    Room { id: RoomId, commands: Vec<room::Command>, reply: Reply<RoomReply> },
    Catalog { commands: Vec<catalog::Command>, reply: Reply<Vec<catalog::Outcome>> },
    Close { reply: Reply<()> },
}

/// What the engine thread owns.
pub(super) struct Engine {
    state: State,
    clock: Clock,
    _metrics: Arc<Metrics>,
}

impl Engine {
    /// An engine without a journal.
    pub fn memory(clock: Clock, metrics: Arc<Metrics>) -> Self {
        Self { state: State::default(), clock, _metrics: metrics }
    }

    /// Serves requests until asked to close, or until nobody is left to ask.
    pub fn run(mut self, requests: &Receiver<Request>) {
        while let Ok(request) = requests.recv() {
            match request {
                Request::Room { id, commands, reply } => {
                    let applied = self.state.room(&id, self.clock.now(), &commands);
                    let _ = reply.send(Ok(applied.reply));
                }
                Request::Catalog { commands, reply } => {
                    let applied = self.state.catalog(&commands);
                    let _ = reply.send(Ok(applied.reply));
                }
                Request::Close { reply } => {
                    let _ = reply.send(Ok(()));
                    return;
                }
            }
        }
    }
}
