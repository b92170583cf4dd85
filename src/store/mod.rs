//! Where rooms and sales live: the trait, the group-commit batcher in front of it, and the back ends.
//!
//! A command is atomic; a batch is applied in order, at one `now` that the store reads from its own clock.

pub mod audit;
pub mod batcher;
pub mod catalog;
pub mod embedded;
pub mod instances;
pub mod redis;
pub mod sale_lane;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use uuid::Uuid;

use self::{
    batcher::Gathering,
    instances::{Announcement, InstanceRow},
};
use crate::{
    id::{RoomId, SaleId},
    room::{self, View},
    sale::{self, view::Header},
    time::UnixMs,
};

/// Where rooms, sales and the catalog live.
pub trait Store: Clone + Send + Sync + 'static {
    /// Whether a call that began on one runtime can go on on another, because the call waits for neither timers nor sockets.
    fn is_portable(&self) -> bool {
        true
    }

    /// How commands under load gather for a batch, because it costs the store much whatever is in it; none where it does
    /// not. They wait on timers of the runtimes that call.
    fn gathering(&self) -> Option<Gathering> {
        None
    }

    /// Applies a batch of commands to one room, in order, at one `now`; durable before it answers where the store is.
    ///
    /// # Errors
    /// Nothing was applied, or it is not known whether it was: see [`StoreError`].
    fn room(
        &self,
        id: RoomId,
        commands: Vec<room::Command>,
    ) -> impl Future<Output = Result<RoomReply, StoreError>> + Send;

    /// Applies a batch of commands to one sale, in order, at one `now`; durable before it answers where the store is.
    ///
    /// # Errors
    /// As for [`Store::room`].
    fn sale(
        &self,
        id: SaleId,
        commands: Vec<sale::Command>,
    ) -> impl Future<Output = Result<SaleReply, StoreError>> + Send;

    /// Applies commands to the catalog, in order.
    ///
    /// # Errors
    /// As for [`Store::room`].
    fn catalog(
        &self,
        commands: Vec<catalog::Command>,
    ) -> impl Future<Output = Result<Vec<catalog::Outcome>, StoreError>> + Send;
}

/// The store of this process: one of the back ends. Closed, so that calls need no allocation and no `dyn`.
#[derive(Clone)]
pub enum Backend {
    Embedded(embedded::Embedded),
    Redis(redis::RedisStore),
}

impl Store for Backend {
    fn is_portable(&self) -> bool {
        match self {
            Self::Embedded(_) => true,
            Self::Redis(_) => false,
        }
    }

    fn gathering(&self) -> Option<Gathering> {
        match self {
            Self::Embedded(store) => store.gathering(),
            Self::Redis(store) => store.gathering(),
        }
    }

    async fn room(&self, id: RoomId, commands: Vec<room::Command>) -> Result<RoomReply, StoreError> {
        match self {
            Self::Embedded(store) => store.room(id, commands).await,
            Self::Redis(store) => store.room(id, commands).await,
        }
    }

    async fn sale(&self, id: SaleId, commands: Vec<sale::Command>) -> Result<SaleReply, StoreError> {
        match self {
            Self::Embedded(store) => store.sale(id, commands).await,
            Self::Redis(store) => store.sale(id, commands).await,
        }
    }

    async fn catalog(&self, commands: Vec<catalog::Command>) -> Result<Vec<catalog::Outcome>, StoreError> {
        match self {
            Self::Embedded(store) => store.catalog(commands).await,
            Self::Redis(store) => store.catalog(commands).await,
        }
    }
}

impl Backend {
    /// What an instance on this store calls itself.
    pub fn instance_id(&self) -> Uuid {
        match self {
            Self::Embedded(_) => Uuid::now_v7(),
            Self::Redis(store) => store.instance_id(),
        }
    }

    /// Whether other processes may use the same store.
    pub fn is_shared(&self) -> bool {
        match self {
            Self::Embedded(_) => false,
            Self::Redis(_) => true,
        }
    }

    /// Says that an instance is there and what it obeys: about once a second.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn announce(&self, me: Announcement) -> Result<(), StoreError> {
        match self {
            Self::Embedded(store) => store.announce(me),
            Self::Redis(store) => store.announce(me).await?,
        }
        Ok(())
    }

    /// The instances that share this store, as far as they were there in the last ten minutes and have not left.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn instances(&self) -> Result<Vec<InstanceRow>, StoreError> {
        match self {
            Self::Embedded(store) => Ok(store.instances()),
            Self::Redis(store) => store.instances().await,
        }
    }

    /// Says that an instance ends.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn leave(&self, id: Uuid) -> Result<(), StoreError> {
        match self {
            Self::Embedded(store) => store.leave(id),
            Self::Redis(store) => store.leave().await?,
        }
        Ok(())
    }
}

/// What a store answers to a batch for a room.
#[derive(Clone, Debug)]
pub struct RoomReply {
    /// The room's time at which the batch was applied.
    pub now: UnixMs,
    /// The room after the batch; none if it does not exist.
    pub view: Option<Arc<View>>,
    /// One a command, in order.
    pub outcomes: Vec<room::Outcome>,
}

/// What a store answers to a batch for a sale.
#[derive(Clone, Debug)]
pub struct SaleReply {
    /// The sale's time at which the batch was applied.
    pub now: UnixMs,
    /// The sale after the batch; none if it does not exist.
    pub header: Option<Header>,
    /// One a command, in order.
    pub outcomes: Vec<sale::Outcome>,
}

/// Why a store did not answer, told apart by what the caller can do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The bounded queue in front of the store is full; nothing was applied. Try again shortly.
    #[error("the store is overloaded")]
    Overloaded,
    /// The store is out of reach or could not write; whether the batch was applied is not known.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The store's own program failed at this command, which is a bug; nothing was applied.
    #[error("the store failed at it: {0}")]
    Failed(String),
    /// The store has lost something and is being told it by those who remember: a few seconds. Nothing was applied.
    #[error("the store is recovering")]
    Recovering,
    /// The store has lost the whole sale, or more of it than anybody remembers, and nothing is done before its operator
    /// has decided. Nothing was applied.
    #[error("the sale waits for its operator")]
    NeedsOperator,
}

impl StoreError {
    /// A store whose answer does not fit what it was asked: broken, whatever it says.
    fn misfit() -> Self {
        Self::Unavailable("the answer does not fit".to_owned())
    }

    /// The store failed at this one command.
    fn failed() -> Self {
        Self::Failed("at this command and at no other of its batch".to_owned())
    }
}
