//! The engine: it takes whatever batches of all rooms have come, applies them, writes them down in one transaction with
//! one fsync, and only then answers. With a disk it has a thread of its own.
//!
//! **When writing fails** the state in memory is ahead of what is on disk, and it is not known whether the
//! last records are there. So nobody of the group gets another answer than `Unavailable`, the state in memory
//! is thrown away, and nothing is answered until the file has been opened anew and says itself what it holds.
//! With a full disk, which an operator cures by making room, the engine tries that by itself every
//! second. After any other error (a failing disk, a damaged file) it is for a person to look first: the store
//! stays `Unavailable` until the process is started again.
//!
//! **When a room or sale panics**, which is a bug, its batch is not written down and its half-changed state not used
//! again: the room is `Unavailable`, and a file store reads everything back from disk as soon as a second has
//! passed since it last did. The other rooms go on.

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc::Receiver},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{
    error::{JournalError, OpenError},
    folder::Folder,
    journal::{Due, Journal},
    record::{self, Entry, Key},
    state::{Applied, State},
};
use crate::{
    clock::Clock,
    id::{RoomId, SaleId},
    room, sale,
    store::{RoomReply, SaleReply, StoreError, catalog},
    telemetry::Metrics,
    time::UnixMs,
};

/// The most commands that share one fsync: a few milliseconds of work, so that no answer waits long for the others'.
const GROUP_MAX: usize = 4_096;

/// Reading the store back takes up to about a second, so more often would leave no time for anything else.
const RELOAD_PAUSE: Duration = Duration::from_secs(1);

/// The way back to whoever asked.
pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the engine is asked for.
pub(super) enum Request {
    Room { id: RoomId, commands: Vec<room::Command>, reply: Reply<RoomReply> },
    Sale { id: SaleId, commands: Vec<sale::Command>, reply: Reply<SaleReply> },
    Catalog { commands: Vec<catalog::Command>, reply: Reply<Vec<catalog::Outcome>> },
    Close { reply: Reply<()> },
}

/// What runs the rooms and sales.
pub(super) struct Engine {
    state: State,
    disk: Disk,
    /// Rooms and sales that panicked: what is in memory of them is not to be used.
    broken: BTreeSet<Key>,
    clock: Clock,
    metrics: Arc<Metrics>,
    /// Between two attempts to read the store back from disk.
    pub(super) reload_pause: Duration,
}

/// Where the state lives besides memory.
enum Disk {
    Nowhere,
    Open { folder: Folder, journal: Journal, loaded: Instant },
    Failed { folder: Folder, fault: Fault },
}

/// Why nothing can be written.
struct Fault {
    reason: String,
    /// When to open the file anew; never, where a person has to look first.
    retry: Option<Instant>,
}

/// Batches that share one fsync.
#[derive(Default)]
struct Group {
    commands: usize,
    entries: Vec<Entry>,
    answers: Vec<Answer>,
    fault: Option<JournalError>,
    /// Somebody was refused: it is time to mend, however much load there is.
    refused: bool,
    closing: Option<Reply<()>>,
}

/// An answer that waits for the fsync.
enum Answer {
    Room(Reply<RoomReply>, RoomReply),
    Sale(Reply<SaleReply>, SaleReply),
    Catalog(Reply<Vec<catalog::Outcome>>, Vec<catalog::Outcome>),
}

impl Engine {
    /// An engine without a journal.
    pub fn memory(clock: Clock, metrics: Arc<Metrics>) -> Self {
        Self::new(State::default(), Disk::Nowhere, clock, metrics)
    }

    /// An engine that goes on where the store in `folder` ended.
    pub fn file(folder: Folder, clock: Clock, metrics: Arc<Metrics>) -> Result<Self, OpenError> {
        let (journal, state) = folder.load(&metrics)?;
        let disk = Disk::Open { folder, journal, loaded: Instant::now() };
        Ok(Self::new(state, disk, clock, metrics))
    }

    fn new(state: State, disk: Disk, clock: Clock, metrics: Arc<Metrics>) -> Self {
        Self { state, disk, broken: BTreeSet::new(), clock, metrics, reload_pause: RELOAD_PAUSE }
    }

    /// Serves requests until asked to close, or until nobody is left to ask.
    pub fn run(mut self, requests: &Receiver<Request>) {
        while let Ok(first) = requests.recv() {
            if let Some(reply) = self.serve(first, || requests.try_recv().ok()) {
                let _ = reply.send(self.close());
                return;
            }
        }
        if let Err(error) = self.close() {
            tracing::error!(%error, "the store could not take its last snapshot");
        }
    }

    /// Serves a request, and with it whatever else has come by then; the way back to whoever asks to close.
    pub fn serve(&mut self, first: Request, more: impl Fn() -> Option<Request>) -> Option<Reply<()>> {
        self.mend();
        let mut group = Group::default();
        let mut next = Some(first);
        while let Some(request) = next {
            self.take(request, &mut group);
            next = if self.is_full(&group) { None } else { more() };
        }
        let closing = group.closing.take();
        self.finish(group);
        closing
    }

    /// Whether a group goes to disk as it is. Without a disk nobody has to wait for anybody.
    fn is_full(&self, group: &Group) -> bool {
        let ends = group.closing.is_some() || group.refused;
        ends || group.commands >= GROUP_MAX || matches!(self.disk, Disk::Nowhere)
    }

    /// Applies a request and puts its answer into the group, or refuses it.
    fn take(&mut self, request: Request, group: &mut Group) {
        match request {
            Request::Room { id, commands, reply } => match self.apply_room(&id, &commands) {
                Err(refused) => group.refuse(reply, refused),
                Ok(applied) => {
                    group.commands += commands.len();
                    let now = applied.reply.now;
                    group.write(self.is_written(applied.changed), || record::of_room(id, now, &commands));
                    group.answers.push(Answer::Room(reply, applied.reply));
                }
            },
            Request::Sale { id, commands, reply } => match self.apply_sale(&id, &commands) {
                Err(refused) => group.refuse(reply, refused),
                Ok(applied) => {
                    group.commands += commands.len();
                    let now = applied.reply.now;
                    group.write(self.is_written(applied.changed), || record::of_sale(id, now, &commands));
                    group.answers.push(Answer::Sale(reply, applied.reply));
                }
            },
            Request::Catalog { commands, reply } => match self.fault() {
                Some(refused) => group.refuse(reply, refused),
                None => {
                    group.commands += commands.len();
                    let applied = self.state.catalog(&commands);
                    group.write(self.is_written(applied.changed), || record::of_catalog(&commands));
                    group.answers.push(Answer::Catalog(reply, applied.reply));
                }
            },
            Request::Close { reply } => group.closing = Some(reply),
        }
    }

    fn apply_room(&mut self, id: &RoomId, commands: &[room::Command]) -> Result<Applied<RoomReply>, StoreError> {
        self.guarded(Key::Room(id.clone()), |state, now| state.room(id, now, commands))
    }

    fn apply_sale(&mut self, id: &SaleId, commands: &[sale::Command]) -> Result<Applied<SaleReply>, StoreError> {
        self.guarded(Key::Sale(id.clone()), |state, now| state.sale(id, now, commands))
    }

    /// Applies a batch to what `key` stands for; one that panics is not used again until it is read back.
    fn guarded<T>(&mut self, key: Key, apply: impl FnOnce(&mut State, UnixMs) -> T) -> Result<T, StoreError> {
        if let Some(refused) = self.fault() {
            return Err(refused);
        }
        if self.broken.contains(&key) {
            return Err(broken(&key));
        }
        catch_unwind(AssertUnwindSafe(|| apply(&mut self.state, self.clock.now()))).map_err(|_| {
            tracing::error!("{key} panicked; its batch is dropped");
            self.state.remove(&key);
            let refused = broken(&key);
            self.broken.insert(key);
            refused
        })
    }

    fn is_written(&self, changed: bool) -> bool {
        changed && matches!(self.disk, Disk::Open { .. })
    }

    fn fault(&self) -> Option<StoreError> {
        match &self.disk {
            Disk::Failed { fault, .. } => Some(StoreError::Unavailable(fault.reason.clone())),
            Disk::Nowhere | Disk::Open { .. } => None,
        }
    }

    /// Makes a group durable and answers it.
    fn finish(&mut self, group: Group) {
        let written = match group.fault {
            Some(error) => Err(error),
            None => self.commit(group.entries),
        };
        let result = written.map_err(|error| self.fail(&error));
        for answer in group.answers {
            answer.send(result.as_ref().err());
        }
    }

    fn commit(&mut self, entries: Vec<Entry>) -> Result<(), JournalError> {
        let Disk::Open { journal, .. } = &mut self.disk else { return Ok(()) };
        if entries.is_empty() {
            return Ok(());
        }
        self.metrics.store.journal_commit_batches.observe(entries.len() as f64);
        // A snapshot must not make the loss of a room's state last.
        let due = if self.broken.is_empty() { Due::Overdue } else { Due::Nothing };
        let state = &mut self.state;
        catch_unwind(AssertUnwindSafe(|| journal.commit(state, entries, due))).unwrap_or(Err(JournalError::Panicked))
    }

    /// Gives up journal and state, see above.
    fn fail(&mut self, error: &JournalError) -> StoreError {
        let retry = (error.is_full_disk() || matches!(error, JournalError::Panicked))
            .then(|| Instant::now() + self.reload_pause);
        let remedy = if retry.is_some() { "trying again" } else { "look at the disk, then start again" };
        let reason = format!("the store can't write: {error}; {remedy}");
        tracing::error!(reason, "the store stopped");
        self.state = State::default();
        self.disk = match std::mem::replace(&mut self.disk, Disk::Nowhere) {
            Disk::Open { folder, .. } | Disk::Failed { folder, .. } => {
                Disk::Failed { folder, fault: Fault { reason: reason.clone(), retry } }
            }
            Disk::Nowhere => Disk::Nowhere,
        };
        StoreError::Unavailable(reason)
    }

    /// Reads the store back from disk if there is a reason to and the last time is long enough ago.
    fn mend(&mut self) {
        let now = Instant::now();
        let due = match &self.disk {
            Disk::Nowhere => false,
            Disk::Open { loaded, .. } => !self.broken.is_empty() && now.duration_since(*loaded) >= self.reload_pause,
            Disk::Failed { fault, .. } => fault.retry.is_some_and(|retry| now >= retry),
        };
        if !due {
            return;
        }
        let folder = match std::mem::replace(&mut self.disk, Disk::Nowhere) {
            // The old journal is dropped here: a database is open once at a time.
            Disk::Open { folder, .. } | Disk::Failed { folder, .. } => folder,
            Disk::Nowhere => return,
        };
        self.state = State::default();
        self.disk = match folder.load(&self.metrics) {
            Ok((journal, state)) => {
                tracing::info!("the store was read back from disk");
                self.state = state;
                self.broken.clear();
                Disk::Open { folder, journal, loaded: now }
            }
            Err(error) => {
                let retry = matches!(error, OpenError::Folder { .. } | OpenError::InUse { .. })
                    .then(|| now + self.reload_pause);
                let reason = error.to_string();
                tracing::error!(reason, "the store can't be read back");
                Disk::Failed { folder, fault: Fault { reason, retry } }
            }
        };
    }

    /// Takes the last snapshot and lets the folder go.
    pub fn close(&mut self) -> Result<(), StoreError> {
        match std::mem::replace(&mut self.disk, Disk::Nowhere) {
            Disk::Nowhere => Ok(()),
            Disk::Failed { fault, .. } => Err(StoreError::Unavailable(fault.reason)),
            Disk::Open { journal, folder, .. } if self.broken.is_empty() => {
                let state = &mut self.state;
                let closed = catch_unwind(AssertUnwindSafe(|| journal.close(state)));
                drop(folder);
                closed
                    .unwrap_or(Err(JournalError::Panicked))
                    .map_err(|error| StoreError::Unavailable(format!("no snapshot could be taken: {error}")))
            }
            Disk::Open { .. } => Err(StoreError::Unavailable("no snapshot of a room that panicked".to_owned())),
        }
    }
}

impl Group {
    fn refuse<T>(&mut self, reply: Reply<T>, refused: StoreError) {
        self.refused = true;
        let _ = reply.send(Err(refused));
    }

    /// Adds a record, if the batch is to be written down.
    fn write(&mut self, is_written: bool, record: impl FnOnce() -> Result<Entry, JournalError>) {
        if is_written {
            match record() {
                Ok(entry) => self.entries.push(entry),
                Err(error) => self.fault = Some(error),
            }
        }
    }
}

impl Answer {
    /// Sends it, or the error that came instead. That the caller has gone meanwhile is no error.
    fn send(self, error: Option<&StoreError>) {
        match self {
            Self::Room(to, reply) => drop(to.send(error.cloned().map_or(Ok(reply), Err))),
            Self::Sale(to, reply) => drop(to.send(error.cloned().map_or(Ok(reply), Err))),
            Self::Catalog(to, outcomes) => drop(to.send(error.cloned().map_or(Ok(outcomes), Err))),
        }
    }
}

fn broken(key: &Key) -> StoreError {
    StoreError::Unavailable(format!("{key} failed and is not used until it is read back"))
}
