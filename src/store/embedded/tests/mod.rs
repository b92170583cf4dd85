mod crash;
mod faults;
mod replay;
mod rules;
mod sale_crash;
mod sale_rules;
mod sales;

use std::fs;

use redb::{Database, ReadableTable, TableDefinition};
use tempfile::TempDir;

use super::*;
use crate::{
    store::catalog::{Command, Expect, Kind, Outcome},
    time::UnixMs,
};

fn clock() -> Clock {
    Clock::new(|| UnixMs(1_000))
}

fn open(path: &Path) -> Result<Embedded, OpenError> {
    Embedded::file(path, clock(), Arc::new(Metrics::new()))
}

fn put(id: &str, body: &str) -> Command {
    Command::Put { kind: Kind::Room, id: id.to_owned(), body: body.to_owned(), expect: Expect::Any }
}

/// All documents of a store, as (id, body).
async fn documents(store: &Embedded) -> Vec<(String, String)> {
    let listed = store.catalog(vec![Command::List { known: u64::MAX }]).await.unwrap();
    let [Outcome::Listed { entries: Some(entries), .. }] = &listed[..] else { panic!("{listed:?}") };
    entries.iter().map(|entry| (entry.id.clone(), entry.body.clone())).collect()
}

/// A folder with a store of `count` documents, closed cleanly or left as a crash leaves it.
async fn store_of(count: usize, end: End) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    for n in 0..count {
        store.catalog(vec![put(&format!("room-{n}"), "{}")]).await.unwrap();
    }
    match end {
        End::Closed => store.close().await.unwrap(),
        End::Crashed => {
            // A copy taken while the store runs is what a crash leaves, but for the lock.
            let copy = tempfile::tempdir().unwrap();
            fs::copy(database(&folder), database(&copy)).unwrap();
            return copy;
        }
    }
    folder
}

#[derive(Clone, Copy)]
enum End {
    Closed,
    Crashed,
}

fn database(folder: &TempDir) -> std::path::PathBuf {
    folder.path().join(folder::DATABASE)
}

/// Opens the closed database of a store behind the store's back.
fn meddle(folder: &TempDir) -> Database {
    Database::open(database(folder)).unwrap()
}

fn refusal(folder: &TempDir) -> OpenError {
    open(folder.path()).err().expect("it opened")
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_close_and_after_a_crash() {
    for end in [End::Closed, End::Crashed] {
        let folder = store_of(20, end).await;
        let store = open(folder.path()).unwrap();
        assert_eq!(documents(&store).await.len(), 20);
        // And the numbers go on where they were.
        let again = store.catalog(vec![put("one-more", "{}")]).await.unwrap();
        assert!(matches!(&again[..], [Outcome::Put { entry, created: true }] if entry.version == 21), "{again:?}");
    }
}

#[tokio::test]
async fn what_changes_nothing_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let metrics = Arc::new(Metrics::new());
    let store = Embedded::file(folder.path(), clock(), Arc::clone(&metrics)).unwrap();
    store.catalog(vec![put("main", "{}")]).await.unwrap();
    let records = metrics.store.journal_records.get();
    for _ in 0..5 {
        store.catalog(vec![put("main", "{}"), Command::List { known: 0 }]).await.unwrap();
    }
    assert_eq!(metrics.store.journal_records.get(), records);
}

#[tokio::test]
async fn a_closed_store_says_so_and_lets_the_folder_go() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let refused = refusal(&folder);
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused}");
    store.close().await.unwrap();
    assert!(matches!(store.catalog(vec![]).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.close().await, Err(StoreError::Unavailable(_))));
    let again = open(folder.path()).unwrap();
    again.close().await.unwrap();
}

#[tokio::test]
async fn other_things_in_its_place_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a-file");
    fs::write(&file, "precious").unwrap();
    let refused = open(&file).err().unwrap();
    assert!(matches!(refused, OpenError::NotAStore { .. }), "{refused}");
    assert_eq!(fs::read(&file).unwrap(), b"precious");

    fs::write(database(&folder), "precious too").unwrap();
    let refused = refusal(&folder);
    assert!(matches!(refused, OpenError::Damaged { .. }), "{refused}");
    assert_eq!(fs::read(database(&folder)).unwrap(), b"precious too");

    fs::remove_file(database(&folder)).unwrap();
    const OTHER: TableDefinition<u64, u64> = TableDefinition::new("other");
    let other = Database::create(database(&folder)).unwrap();
    let write = other.begin_write().unwrap();
    write.open_table(OTHER).unwrap().insert(1, 1).unwrap();
    write.commit().unwrap();
    drop(other);
    let refused = refusal(&folder);
    assert!(matches!(refused, OpenError::NotAStore { .. }), "{refused}");
}

#[tokio::test]
async fn another_layout_is_refused() {
    let folder = store_of(3, End::Closed).await;
    let database = meddle(&folder);
    let write = database.begin_write().unwrap();
    write.open_table(journal::META).unwrap().insert(journal::META_LAYOUT, journal::LAYOUT + 1).unwrap();
    write.commit().unwrap();
    drop(database);
    let refused = refusal(&folder);
    assert!(
        matches!(refused, OpenError::OtherLayout { found, known: journal::LAYOUT, .. } if found == journal::LAYOUT + 1),
        "{refused}"
    );
}

#[tokio::test]
async fn a_journal_of_other_rules_is_refused_unless_a_snapshot_stands_at_its_end() {
    for (end, opens) in [(End::Crashed, false), (End::Closed, true)] {
        let folder = store_of(3, end).await;
        let database = meddle(&folder);
        let write = database.begin_write().unwrap();
        write.open_table(journal::META).unwrap().insert(journal::META_RULES, room::RULES_VERSION + 1).unwrap();
        write.commit().unwrap();
        drop(database);
        match open(folder.path()) {
            Ok(store) => {
                assert!(opens, "replayed under other rules");
                assert_eq!(documents(&store).await.len(), 3);
                // From here on it is of our rules, also after a crash.
                store.catalog(vec![put("more", "{}")]).await.unwrap();
                let copy = tempfile::tempdir().unwrap();
                fs::copy(super::tests::database(&folder), super::tests::database(&copy)).unwrap();
                assert_eq!(documents(&open(copy.path()).unwrap()).await.len(), 4);
            }
            Err(refused) => {
                assert!(!opens, "{refused}");
                assert!(matches!(refused, OpenError::OtherRules { records: 3, .. }), "{refused}");
            }
        }
    }
}

#[tokio::test]
async fn a_bad_record_or_a_gap_is_refused() {
    type Meddling = fn(&mut redb::Table<u64, &[u8]>);
    let meddlings: [(&str, Meddling); 4] = [
        ("cut", |journal| drop(journal.insert(2, [0_u8, 1].as_slice()).unwrap())),
        ("too long", |journal| {
            let long = [journal.get(2).unwrap().unwrap().value(), &[0]].concat();
            drop(journal.insert(2, long.as_slice()).unwrap());
        }),
        ("of nothing known", |journal| drop(journal.insert(2, [9_u8].as_slice()).unwrap())),
        ("missing", |journal| drop(journal.remove(2).unwrap())),
    ];
    for (what, meddling) in meddlings {
        let folder = store_of(3, End::Crashed).await;
        let database = meddle(&folder);
        let write = database.begin_write().unwrap();
        meddling(&mut write.open_table(journal::JOURNAL).unwrap());
        write.commit().unwrap();
        drop(database);
        let refused = refusal(&folder);
        assert!(matches!(refused, OpenError::Damaged { .. }), "{what}: {refused}");
    }
}

/// Wherever a file is cut or a byte of it is turned, it is refused, or holds all it held: it never opens as
/// something else. Only in a file that nobody closed can damage to the very last commit not be told from a
/// commit that a crash cut short, and that is left out as it should be.
#[tokio::test]
async fn a_damaged_file_never_opens_as_something_else() {
    for end in [End::Closed, End::Crashed] {
        let folder = store_of(10, end).await;
        let whole = fs::read(database(&folder)).unwrap();
        let expected = documents(&open(folder.path()).unwrap()).await;
        let mut refused = 0;
        let cuts = (0..40).map(|n| whole.len() * n / 40);
        let turns = (0..120).map(|n| whole.len() * n / 120 + n % 64);
        let damaged = cuts.map(|cut| whole[..cut].to_vec()).chain(turns.map(|at| {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x55;
            bytes
        }));
        for (n, bytes) in damaged.enumerate() {
            let copy = tempfile::tempdir().unwrap();
            fs::write(database(&copy), bytes).unwrap();
            match open(copy.path()) {
                Ok(store) => {
                    let found = documents(&store).await;
                    let but_the_last = matches!(end, End::Crashed) && found == expected[..expected.len() - 1];
                    assert!(found == expected || but_the_last, "damage {n}: {found:?}");
                }
                Err(OpenError::Damaged { .. } | OpenError::NotAStore { .. }) => refused += 1,
                Err(other) => panic!("damage {n}: {other}"),
            }
        }
        assert!(refused >= 40, "only {refused} refused");
    }
}

#[tokio::test]
async fn nobody_else_on_the_machine_reads_the_keys_in_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("data");
    open(&folder).unwrap().close().await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&folder.join(folder::DATABASE))), (0o700, 0o600));
}
