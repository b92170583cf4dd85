//! The store on Redis: the same commands as the embedded one, in scripts, for as many instances as there are.
//!
//! A batch is one call of a script that runs whole or not at all ([`scripted`], `lua/`). The [`link`] finds the server
//! that has the keys; a [`sender`] numbers the batches of its room or sale, and tells again what it remembers
//! ([`memory`]) when a server has taken over that lacks the last moments.

mod catalog;
mod instances;
pub mod link;
mod memory;
mod room;
mod sale;
mod scripted;
mod sender;
mod senders;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod wire;

use std::{
    sync::{
        Arc, LazyLock, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use futures_util::{StreamExt, stream};
use tokio::sync::Notify;
use uuid::Uuid;

use self::{
    catalog::Remembered,
    instances::Instances,
    link::{Link, Script},
    memory::Budget,
    senders::Senders,
    wire::Args,
};
use super::{
    RoomReply, SaleReply, Store, StoreError,
    batcher::Gathering,
    catalog as catalog_machine,
    instances::{Announcement, InstanceRow},
};
use crate::{
    clock::Clock,
    id::{RoomId, SaleId},
    room::{Command as RoomCommand, Room},
    sale::{Command as SaleCommand, Sale},
    time::UnixMs,
};

/// How often the rooms and sales that changed of late are looked at, though nobody asks anything of them: so a loss is
/// noticed by all who may remember what was lost.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// How many are looked at, or left, at a time.
const AT_ONCE: usize = 32;

/// How commands under load gather for a call. Redis takes some 150 microseconds for any, and up to 30 more for each command
/// in it: shared by 32, the former are the smaller part. Each instance gathers for itself.
const GATHERING: Gathering = Gathering { lasts: Duration::from_millis(2), enough: 32 };

static CATALOG: LazyLock<Script> = LazyLock::new(|| Script::new(&[catalog::SOURCE]));
static INSTANCES: LazyLock<Script> = LazyLock::new(|| Script::new(&[instances::SOURCE]));
static ROOM: LazyLock<Script> = LazyLock::new(|| Script::new(&scripted::source::<Room>()));
static SALE: LazyLock<Script> = LazyLock::new(|| Script::new(&scripted::source::<Sale>()));

/// A handle to the store; cheap to clone.
#[derive(Clone)]
pub struct RedisStore {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Shared,
    rooms: Senders<RoomId, Room>,
    sales: Senders<SaleId, Sale>,
    catalog: Remembered,
    instances: Instances,
}

/// What all senders have in common.
struct Shared {
    link: Link,
    /// This process, in the store's books.
    id: Uuid,
    instance: String,
    /// The last batch: they are numbered over all rooms and sales.
    number: AtomicU64,
    budget: Budget,
    /// The other instances, as last heard of.
    peers: ArcSwap<String>,
    /// The time, where a test gives it.
    given: Option<Clock>,
    loss: Notify,
}

impl Shared {
    /// The time that a test gives instead of the server's.
    fn given_time(&self) -> Option<UnixMs> {
        self.given.as_ref().map(Clock::now)
    }

    fn next_number(&self) -> u64 {
        self.number.fetch_add(1, Relaxed) + 1
    }

    /// Calls one of the scripts that are no room's and no sale's.
    async fn ask(&self, script: &Script, keys: &[&str], args: Args) -> Result<Vec<u8>, StoreError> {
        let keys: Vec<_> = keys.iter().map(ToString::to_string).collect();
        let called = self.link.call(script, &keys, vec![args.pack()]).await;
        called.map_err(|error| StoreError::Unavailable(error.to_string()))
    }

    fn peers(&self) -> Arc<String> {
        self.peers.load_full()
    }

    /// Somebody has met a store that lost something: everybody is to look.
    fn noticed_loss(&self) {
        self.loss.notify_one();
    }
}

impl RedisStore {
    /// A store on what `link` leads to. It looks after itself on the runtime this is called on, until the last handle is
    /// gone.
    pub fn new(link: Link) -> Self {
        Self::with_time(link, None)
    }

    /// The same, with the time given.
    fn with_time(link: Link, given: Option<Clock>) -> Self {
        let id = Uuid::now_v7();
        let shared = Shared {
            link,
            id,
            instance: id.to_string(),
            number: AtomicU64::new(0),
            budget: Budget::default(),
            peers: ArcSwap::default(),
            given,
            loss: Notify::new(),
        };
        let inner = Arc::new(Inner {
            shared,
            rooms: Senders::new(&ROOM),
            sales: Senders::new(&SALE),
            catalog: Remembered::default(),
            instances: Instances::default(),
        });
        tokio::spawn(watch(Arc::downgrade(&inner)));
        Self { inner }
    }

    /// This process, in the store's books.
    pub fn instance_id(&self) -> Uuid {
        self.inner.shared.id
    }

    /// Says that this instance is there, and learns who else is: their memories are to be heard after a loss.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn announce(&self, me: Announcement) -> Result<(), StoreError> {
        let Inner { shared, instances, .. } = &*self.inner;
        instances.announce(me, |args| shared.ask(&INSTANCES, &instances::KEYS, args)).await?;
        let peers: Vec<_> = instances.peers().iter().map(Uuid::to_string).collect();
        shared.peers.store(Arc::new(peers.join(" ")));
        Ok(())
    }

    /// All that have announced themselves of late and not left.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn instances(&self) -> Result<Vec<InstanceRow>, StoreError> {
        let Inner { shared, instances, .. } = &*self.inner;
        instances.list(|args| shared.ask(&INSTANCES, &instances::KEYS, args)).await
    }

    /// Says that this instance ends.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn leave(&self) -> Result<(), StoreError> {
        let Inner { shared, instances, .. } = &*self.inner;
        instances.leave(shared.id, |args| shared.ask(&INSTANCES, &instances::KEYS, args)).await
    }

    /// Ends in order: nobody waits for this instance's memories any more.
    ///
    /// # Errors
    /// The store does not answer: it will wait for this instance in vain after a loss, some seconds at most.
    pub async fn close(&self) -> Result<(), StoreError> {
        let inner = &*self.inner;
        let rooms = stream::iter(inner.rooms.all()).map(async |sender| sender.leave(&inner.shared).await);
        let sales = stream::iter(inner.sales.all()).map(async |sender| sender.leave(&inner.shared).await);
        let mut left: Vec<_> = rooms.buffer_unordered(AT_ONCE).collect().await;
        left.extend(sales.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await);
        left.into_iter().collect()
    }
}

impl Store for RedisStore {
    fn gathering(&self) -> Option<Gathering> {
        Some(GATHERING)
    }

    async fn room(&self, id: RoomId, commands: Vec<RoomCommand>) -> Result<RoomReply, StoreError> {
        let sender = self.inner.rooms.of(&self.inner.shared, &id);
        sender.send(&self.inner.shared, &commands).await
    }

    async fn sale(&self, id: SaleId, commands: Vec<SaleCommand>) -> Result<SaleReply, StoreError> {
        let sender = self.inner.sales.of(&self.inner.shared, &id);
        sender.send(&self.inner.shared, &commands).await
    }

    async fn catalog(
        &self,
        commands: Vec<catalog_machine::Command>,
    ) -> Result<Vec<catalog_machine::Outcome>, StoreError> {
        let Inner { shared, catalog, .. } = &*self.inner;
        catalog.apply(&commands, |args| shared.ask(&CATALOG, &catalog::KEYS, args)).await
    }
}

/// Looks at rooms and sales once in a while, and at all of them when somebody has noticed a loss.
async fn watch(inner: Weak<Inner>) {
    loop {
        let after_loss = {
            let Some(inner) = inner.upgrade() else { return };
            tokio::select! {
                () = inner.shared.loss.notified() => true,
                () = tokio::time::sleep(WATCH_EVERY) => false,
            }
        };
        let Some(inner) = inner.upgrade() else { return };
        let shared = &inner.shared;
        let rooms = stream::iter(inner.rooms.to_watch(after_loss));
        rooms.for_each_concurrent(AT_ONCE, async |sender| drop(sender.touch(shared).await)).await;
        let sales = stream::iter(inner.sales.to_watch(after_loss));
        sales.for_each_concurrent(AT_ONCE, async |sender| drop(sender.touch(shared).await)).await;
    }
}
