//! What the store does when the disk or a room fails it: nothing that is not on disk is ever built upon.

use std::{
    io,
    sync::Mutex,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    time::Duration,
};

use redb::{StorageBackend, backends::FileBackend};

use super::*;
use crate::store::tests::{JOIN, configure, id, position};

/// A file on a disk that fails as told.
#[derive(Debug)]
struct Disk {
    file: FileBackend,
    fault: Fault,
}

/// What every write meets, if anything.
#[derive(Clone, Debug, Default)]
pub(super) struct Fault(Arc<Mutex<Option<io::ErrorKind>>>);

impl Fault {
    pub(super) fn set(&self, kind: Option<io::ErrorKind>) {
        *self.0.lock().unwrap() = kind;
    }

    fn meet(&self) -> io::Result<()> {
        self.0.lock().unwrap().map_or(Ok(()), |kind| Err(kind.into()))
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.fault.meet()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.fault.meet()?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.fault.meet()?;
        self.file.write(offset, data)
    }
}

/// A store on such a disk, with a clock that can be made to panic.
pub(super) fn store_on(folder: &TempDir, fault: &Fault, clock: Clock, reload_pause: Duration) -> Embedded {
    let fault = fault.clone();
    let open = move |path: &Path| {
        let file = fs::OpenOptions::new().read(true).write(true).open(path)?;
        folder::builder().create_with_backend(Disk { file: FileBackend::new(file)?, fault: fault.clone() })
    };
    let folder = Folder::take_with(folder.path(), Box::new(open)).unwrap();
    let mut engine = Engine::file(folder, clock.clone(), Arc::new(Metrics::new())).unwrap();
    engine.reload_pause = reload_pause;
    Embedded::start(engine, clock).unwrap()
}

async fn join(store: &Embedded) -> Result<u64, StoreError> {
    store.room(id("main"), vec![JOIN]).await.map(|reply| position(&reply))
}

pub(super) fn is_unavailable<T>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Unavailable(_)))
}

#[tokio::test]
async fn a_full_disk_stops_the_store_until_there_is_room_again() {
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
        let (folder, fault) = (tempfile::tempdir().unwrap(), Fault::default());
        let store = store_on(&folder, &fault, clock(), Duration::ZERO);
        configure(&store, "main", 1).await;
        assert_eq!(join(&store).await, Ok(1));
        fault.set(Some(kind));
        let all = futures_util::future::join_all((0..20).map(|_| join(&store))).await;
        assert!(all.into_iter().all(is_unavailable), "acknowledged without a disk");
        assert!(is_unavailable(store.room(id("main"), vec![]).await), "read what may not be on disk");
        assert!(is_unavailable(store.catalog(vec![]).await));
        fault.set(None);
        // It goes on from what is on disk: what nobody was told of may count, what was told does.
        let next = join(&store).await.unwrap();
        assert!((2..=22).contains(&next), "{next}");
        assert_eq!(join(&store).await, Ok(next + 1));
        store.close().await.unwrap();
        assert_eq!(join(&open(folder.path()).unwrap()).await, Ok(next + 2));
    }
}

#[tokio::test]
async fn between_two_attempts_to_open_a_full_disk_there_is_a_pause() {
    let (folder, fault) = (tempfile::tempdir().unwrap(), Fault::default());
    let store = store_on(&folder, &fault, clock(), Duration::from_secs(3_600));
    configure(&store, "main", 1).await;
    fault.set(Some(io::ErrorKind::StorageFull));
    assert!(is_unavailable(join(&store).await));
    fault.set(None);
    assert!(is_unavailable(join(&store).await));
}

#[tokio::test]
async fn a_failing_disk_stops_the_store_until_it_is_started_again() {
    let (folder, fault) = (tempfile::tempdir().unwrap(), Fault::default());
    let store = store_on(&folder, &fault, clock(), Duration::ZERO);
    configure(&store, "main", 1).await;
    assert_eq!(join(&store).await, Ok(1));
    fault.set(Some(io::ErrorKind::Other));
    assert!(is_unavailable(join(&store).await));
    fault.set(None);
    assert!(is_unavailable(join(&store).await), "went on after an error that may have lost anything");
    assert!(is_unavailable(store.close().await));
    let again = open(folder.path()).unwrap();
    let next = join(&again).await.unwrap();
    assert!((2..=3).contains(&next), "{next}");
}

#[tokio::test]
async fn a_close_that_can_not_write_says_so_and_loses_nothing() {
    let (folder, fault) = (tempfile::tempdir().unwrap(), Fault::default());
    let store = store_on(&folder, &fault, clock(), Duration::ZERO);
    configure(&store, "main", 1).await;
    assert_eq!(join(&store).await, Ok(1));
    fault.set(Some(io::ErrorKind::StorageFull));
    assert!(is_unavailable(store.close().await));
    assert_eq!(join(&open(folder.path()).unwrap()).await, Ok(2));
}

/// A clock that panics when told to: the one way into the engine from outside.
pub(super) fn trap() -> (Clock, Arc<AtomicU64>) {
    let armed = Arc::new(AtomicU64::new(0));
    let trap = Arc::clone(&armed);
    let clock = Clock::new(move || match trap.swap(0, SeqCst) {
        0 => UnixMs(1_000),
        _ => panic!("a room panics, as told"),
    });
    (clock, armed)
}

#[tokio::test]
async fn a_room_that_panics_is_read_back_and_loses_nothing() {
    let (folder, (clock, trap)) = (tempfile::tempdir().unwrap(), trap());
    let store = store_on(&folder, &Fault::default(), clock, Duration::ZERO);
    configure(&store, "main", 1).await;
    for expected in 1..=3 {
        assert_eq!(join(&store).await, Ok(expected));
        trap.store(1, SeqCst);
        assert!(is_unavailable(join(&store).await));
    }
    assert_eq!(join(&store).await, Ok(4));
}

#[tokio::test]
async fn a_room_that_panicked_is_not_used_and_the_others_go_on() {
    let (folder, (clock, trap)) = (tempfile::tempdir().unwrap(), trap());
    let store = store_on(&folder, &Fault::default(), clock, Duration::from_secs(3_600));
    configure(&store, "main", 1).await;
    configure(&store, "other", 1).await;
    assert_eq!(join(&store).await, Ok(1));
    trap.store(1, SeqCst);
    assert!(is_unavailable(join(&store).await));
    assert!(is_unavailable(join(&store).await), "half a room was used");
    // Enough of the others to make snapshots due, of which none may forget the room.
    for _ in 0..12 {
        let joins = (0..1_800).map(|_| store.room(id("other"), vec![JOIN]));
        futures_util::future::join_all(joins).await.into_iter().for_each(|reply| drop(reply.unwrap()));
    }
    assert!(is_unavailable(store.close().await), "a snapshot of half a room");
    let again = open(folder.path()).unwrap();
    assert_eq!(join(&again).await, Ok(2));
    assert_eq!(position(&again.room(id("other"), vec![JOIN]).await.unwrap()), 21_601);
}

#[tokio::test]
async fn in_memory_a_room_that_panicked_stays_away_and_the_others_go_on() {
    let (clock, trap) = trap();
    let store = Embedded::memory(clock, Arc::new(Metrics::new()));
    configure(&store, "main", 1).await;
    configure(&store, "other", 1).await;
    trap.store(1, SeqCst);
    assert!(is_unavailable(join(&store).await));
    assert!(is_unavailable(join(&store).await));
    assert_eq!(position(&store.room(id("other"), vec![JOIN]).await.unwrap()), 1);
}
