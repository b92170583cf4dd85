//! What one running process knows: the rooms and sales it serves with their latest views, the keys in force, the API
//! keys. It follows the catalog, ticks rooms and sales, and knows nothing of HTTP.
//!
//! Look-ups read one [`directory`] that is replaced as a whole, so that a request takes no lock and never sees half
//! a change. [`rooms`] and [`api_keys`] are what operators do, [`signing`] keeps keys to sign with, [`tasks`]
//! is what runs by itself.

pub mod api_key;
mod api_keys;
mod directory;
mod documents;
mod live;
mod live_sale;
mod options;
mod presence;
mod reading;
mod refresh;
mod rooms;
mod sales;
mod signing;
mod stock;
mod tasks;

use std::{
    ops::Deref,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
    time::Duration,
};

use arc_swap::{ArcSwap, Guard};
use tokio::{
    sync::{Mutex as AsyncMutex, watch},
    task::JoinHandle,
};
use uuid::Uuid;

use self::{
    api_key::ApiKey,
    directory::{Directory, Reader},
    documents::Documents,
};
pub use self::{
    api_keys::{CreatedKey, NewKey},
    live::{LiveRoom, Memo},
    live_sale::LiveSale,
    options::{DeclaredKey, Options, SigningPolicy},
    reading::read_document,
    rooms::PutRoom,
    sales::{LiveHolds, PutSale},
};
use crate::{
    clock::Clock,
    id::RoomId,
    room::{Document, settings::FieldError},
    sale,
    store::{
        Backend, StoreError,
        catalog::{Expect, Kind},
    },
    telemetry::Metrics,
    time::UnixMs,
    token::{KeyRing, ring::KeyError},
};

/// How long a store that is found empty may take to be told what others remember of it: they look every second, and may
/// have to find the server first.
const REMEMBERED_WITHIN: Duration = Duration::from_millis(1_500);

/// One running `dropgate serve`.
pub struct Instance {
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    /// This process, for as long as it runs.
    pub id: Uuid,
    pub started: UnixMs,
    options: Options,
    documents: Documents,
    directory: ArcSwap<Directory>,
    /// Held while the directory is brought up to the catalog, so that an older listing never replaces a newer one.
    following: AsyncMutex<()>,
    /// Held while an operator changes something here, one at a time: so that what two of them do at one place does not
    /// meet in the middle. Operators of other instances are met in the catalog, by versions, and in rooms and sales, by
    /// epoch and birth.
    operating: AsyncMutex<()>,
    followed: Mutex<stock::Followed>,
    /// The store did not answer when it was last followed.
    store_is_away: AtomicBool,
    stop: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// The signing keys in force when they were asked for.
pub struct Keys(Guard<Arc<Directory>>);

impl Deref for Keys {
    type Target = Arc<KeyRing>;

    fn deref(&self) -> &Arc<KeyRing> {
        &self.0.ring
    }
}

/// Why an instance did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A declared room can't be taken.
    #[error("room `{room}`: {error}")]
    Room { room: String, error: FieldError },
    /// A declared sale can't be taken.
    #[error("sale `{sale}`: {error}")]
    Sale { sale: String, error: FieldError },
    /// Two keys of one name, or a key that says nothing.
    #[error("key `{name}`: {detail}")]
    Key { name: String, detail: String },
    /// A signing key can't be read.
    #[error(transparent)]
    SigningKey(#[from] KeyError),
    #[error(transparent)]
    Operate(#[from] OperateError),
}

/// Why an operator's call did nothing, told apart by what the caller can do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperateError {
    /// The document can't be taken; nothing changed.
    #[error(transparent)]
    Invalid(#[from] FieldError),
    /// No such room or key.
    #[error("there is no such document")]
    Unknown,
    /// Another version stands there than the caller said (none: nothing stands there).
    #[error("another version stands there")]
    Stale { found: Option<u64> },
    /// It can't be done while things are as they are.
    #[error("{0}")]
    Conflict(String),
    /// The sale refused, and says why itself.
    #[error("the sale refused: {0:?}")]
    Refused(sale::Refusal),
    /// There are as many as there may be.
    #[error("there may be at most {limit} of them")]
    Full { limit: usize },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Instance {
    /// Loads the catalog, makes what is declared and not yet there, and starts following and ticking.
    ///
    /// # Errors
    /// What is declared can't be taken, or the store does not answer.
    pub async fn start(
        store: Backend,
        clock: Clock,
        metrics: Arc<Metrics>,
        options: Options,
    ) -> Result<Arc<Self>, StartError> {
        options.check()?;
        let id = store.instance_id();
        let documents = Documents { store };
        await_memories(&documents).await?;
        declare_rooms(&documents, &options.rooms).await?;
        declare_sales(&documents, &options.sales).await?;
        let directory = load(&documents, &options, &metrics, &clock).await?;
        let started = clock.now();
        let instance = Arc::new(Self {
            clock,
            metrics,
            id,
            started,
            options,
            documents,
            directory: ArcSwap::from_pointee(directory),
            following: AsyncMutex::default(),
            operating: AsyncMutex::default(),
            followed: Mutex::default(),
            store_is_away: AtomicBool::new(false),
            stop: watch::channel(false).0,
            tasks: Mutex::default(),
        });
        instance.refresh().await?;
        instance.introduce().await.map_err(OperateError::from)?;
        let tasks = tasks::spawn(&instance);
        *instance.tasks.lock().unwrap_or_else(PoisonError::into_inner) = tasks;
        Ok(instance)
    }

    /// The room of that id: a look-up in memory.
    pub fn room(&self, id: &str) -> Option<Arc<LiveRoom>> {
        self.directory.load().rooms.get(id).cloned()
    }

    /// Shows the room of that id to `look`, if there is one, without sharing it.
    pub fn with_room<R>(&self, id: &str, look: impl FnOnce(&LiveRoom) -> R) -> Option<R> {
        self.directory.load().rooms.get(id).map(|room| look(room))
    }

    /// The sale of that id: a look-up in memory.
    pub fn sale(&self, id: &str) -> Option<Arc<LiveSale>> {
        self.directory.load().sales.get(id).cloned()
    }

    /// All sales, ordered by id.
    pub fn sales(&self) -> Vec<Arc<LiveSale>> {
        self.directory.load().sales.values().cloned().collect()
    }

    /// The rooms whose visitors buy here, in no order: those whose passes the sale takes, which are all where it
    /// requires none.
    pub fn rooms_of_sale(&self, sale: &LiveSale) -> Vec<Arc<LiveRoom>> {
        let directory = self.directory.load();
        match sale.document.requires_pass.as_slice() {
            [] => directory.rooms.values().cloned().collect(),
            rooms => rooms.iter().filter_map(|id| directory.rooms.get(id).cloned()).collect(),
        }
    }

    /// The signing keys in force, lent.
    pub fn keys(&self) -> Keys {
        Keys(self.directory.load())
    }

    /// All rooms, ordered by id.
    pub fn rooms(&self) -> Vec<(RoomId, Arc<LiveRoom>)> {
        self.directory.load().rooms.iter().map(|(id, room)| (id.clone(), Arc::clone(room))).collect()
    }

    /// The API key of that secret: a look-up in memory.
    pub fn api_key(&self, secret: &str) -> Option<Arc<ApiKey>> {
        self.directory.load().api_keys.by_secret(secret)
    }

    /// The API key of that id, secret unseen: for a sign-in that was made with it before.
    pub fn api_key_by_id(&self, id: &str) -> Option<Arc<ApiKey>> {
        self.directory.load().api_keys.by_id(id)
    }

    /// `public_url` without a trailing slash: the issuer of our tokens.
    pub fn public_url(&self) -> &str {
        &self.options.public_url
    }

    /// The store that this instance speaks to.
    pub fn store(&self) -> &Backend {
        &self.documents.store
    }

    /// The version of this program.
    pub fn build(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    /// Asks the store for an answer, any answer.
    ///
    /// # Errors
    /// The store does not give one.
    pub async fn ready(&self) -> Result<(), StoreError> {
        let known = self.directory.load().revision;
        self.documents.list(known).await.map(|_| ())
    }

    /// Ends what runs by itself, waits for it, and tells the other instances. Look-ups and operator calls go on working.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a background task of the instance died");
            }
        }
        self.leave().await;
    }
}

/// A shared store that is empty is new, or has just lost everything: whoever remembers is given the time to tell it,
/// before rooms are made that an operator has changed since, and keys beside those in use.
async fn await_memories(documents: &Documents) -> Result<(), StartError> {
    let is_empty = async || Ok::<_, OperateError>(documents.list(0).await?.revision == 0);
    if documents.store.is_shared() && is_empty().await? {
        tokio::time::sleep(REMEMBERED_WITHIN).await;
    }
    Ok(())
}

/// Declared rooms that do not exist are created; those that do are left alone, because a restart must not undo what
/// an operator changed since.
async fn declare_rooms(documents: &Documents, rooms: &[Document]) -> Result<(), StartError> {
    for document in rooms {
        match documents.put_room(document, Expect::Absent).await {
            Ok(_) | Err(OperateError::Stale { .. }) => {}
            Err(OperateError::Invalid(error)) => {
                return Err(StartError::Room { room: document.id.to_string(), error });
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The same for declared sales.
async fn declare_sales(documents: &Documents, sales: &[sale::Document]) -> Result<(), StartError> {
    for document in sales {
        let id = document.id.to_string();
        document.validate().map_err(|error| StartError::Sale { sale: id.clone(), error })?;
        match documents.put(Kind::Sale, id, document, Expect::Absent).await {
            Ok(_) | Err(OperateError::Stale { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Everything as the catalog has it, once there is a signing key for every purpose.
async fn load(
    documents: &Documents,
    options: &Options,
    metrics: &Arc<Metrics>,
    clock: &Clock,
) -> Result<Directory, StartError> {
    let entries = documents.list(0).await.map_err(OperateError::from)?.entries.unwrap_or_default();
    let stored: Vec<_> =
        entries.iter().filter(|entry| entry.kind == Kind::SigningKey).filter_map(documents::read).collect();
    signing::keep(documents, options, &stored, clock.now()).await?;
    let listing = documents.list(0).await.map_err(OperateError::from)?;
    let reader = Reader { options, store: &documents.store, metrics, clock };
    Ok(reader.read(listing.revision, &listing.entries.unwrap_or_default(), None)?)
}

#[cfg(test)]
mod tests;
