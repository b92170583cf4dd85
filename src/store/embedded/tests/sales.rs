//! Sales on disk: their rows, and what becomes of them when disk or sale fail.

use std::{io, sync::atomic::Ordering::SeqCst, time::Duration};

use redb::{ReadableDatabase, ReadableTableMetadata};

use super::{
    faults::{Fault, is_unavailable, store_on, trap},
    *,
};
use crate::{
    sale::{Command as Ask, Outcome as Told, ReservationId},
    store::{
        audit::audit_sale,
        tests::sales::{id, reserve, sale_rules},
    },
};

async fn ask(store: &Embedded, sale: &str, batch: Vec<Ask>) -> Vec<Told> {
    store.sale(id(sale), batch).await.unwrap().outcomes
}

async fn is_clean(store: &Embedded, sale: &str) -> bool {
    audit_sale(store, id(sale)).await.unwrap().unwrap().is_clean()
}

/// Reserves and releases so often, fifty a batch, from that id on.
async fn turn_over(store: &Embedded, sale: &str, ids: std::ops::Range<u128>) {
    for from in ids.clone().step_by(50) {
        let some = from..ids.end.min(from + 50);
        ask(store, sale, some.clone().map(|n| reserve(n, "red", 1)).collect()).await;
        ask(store, sale, some.map(|n| Ask::Release { id: ReservationId(n) }).collect()).await;
    }
}

fn copy_of(folder: &TempDir) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    fs::copy(database(folder), database(&copy)).unwrap();
    copy
}

/// How many rows of sales a closed or copied store has.
fn rows(folder: &TempDir) -> u64 {
    meddle(folder).begin_read().unwrap().open_table(rows::ROWS).unwrap().len().unwrap()
}

#[tokio::test]
async fn rows_are_written_in_small_steps_and_a_restart_finds_them() {
    let folder = tempfile::tempdir().unwrap();
    let metrics = Arc::new(Metrics::new());
    let store = Embedded::file(folder.path(), clock(), Arc::clone(&metrics)).unwrap();
    ask(&store, "drop", vec![sale_rules(1, &[("red", 100_000), ("blue", 5)])]).await;
    turn_over(&store, "drop", 0..3_000).await;
    ask(&store, "drop", (10_000..12_000).map(|n| reserve(n, "red", 1)).collect()).await;
    // Long before there are as many records as a restart may replay.
    assert!(metrics.store.journal_records.get() < 100, "{} records", metrics.store.journal_records.get());
    let copy = copy_of(&folder);
    assert!(rows(&copy) > 10_000);
    let again = open(copy.path()).unwrap();
    let (here, there) = (ask(&store, "drop", vec![Ask::Items]).await, ask(&again, "drop", vec![Ask::Items]).await);
    assert_eq!(here, there);
    assert!(is_clean(&again, "drop").await);
}

#[tokio::test]
async fn events_that_are_forgotten_and_sales_that_are_deleted_leave_no_rows() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    for sale in ["drop", "other"] {
        ask(&store, sale, vec![sale_rules(1, &[("red", 100_000)])]).await;
    }
    turn_over(&store, "drop", 0..60_000).await;
    let kept = rows(&copy_of(&folder));
    // A record each, the events that are kept, and few that wait to be swept away.
    assert!((145_000..175_000).contains(&kept), "{kept} rows");
    let copy = copy_of(&folder);
    assert!(is_clean(&open(copy.path()).unwrap(), "drop").await);
    // One of the same id takes its place at once, and its rows are another's.
    let again = vec![Ask::Delete { born: 1 }, sale_rules(2, &[("red", 7)]), reserve(1, "red", 2)];
    ask(&store, "drop", again).await;
    turn_over(&store, "other", 0..600).await;
    // What a crash leaves in the midst of it is swept away by the next.
    let copy = copy_of(&folder);
    assert!((10_000..kept).contains(&rows(&copy)), "{} rows", rows(&copy));
    let next = open(copy.path()).unwrap();
    turn_over(&next, "other", 1_000..9_000).await;
    assert!(is_clean(&next, "drop").await && is_clean(&next, "other").await);
    assert_eq!(ask(&next, "drop", vec![reserve(1, "red", 2)]).await.len(), 1);
    next.close().await.unwrap();
    assert!(rows(&copy) < 30_000, "{} rows", rows(&copy));
    let end = open(copy.path()).unwrap();
    let Told::Items(view) = ask(&end, "drop", vec![Ask::Items]).await.remove(0) else { panic!() };
    assert_eq!((view.items[0].total, view.items[0].held), (7, 2));
}

#[tokio::test]
async fn rows_that_are_missing_misplaced_or_cut_are_refused() {
    type Meddling = fn(&mut redb::Table<&[u8], &[u8]>, &[u8], &[u8]);
    let meddlings: [(&str, Meddling); 3] = [
        ("missing", |table, key, _| drop(table.remove(key).unwrap())),
        ("cut", |table, key, row| drop(table.insert(key, &row[..row.len() - 1]).unwrap())),
        ("misplaced", |table, key, row| {
            let other = [&key[..key.len() - 1], &[key[key.len() - 1] ^ 0x55]].concat();
            table.remove(key).unwrap();
            table.insert(other.as_slice(), row).unwrap();
        }),
    ];
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    ask(&store, "drop", vec![sale_rules(1, &[("red", 100)]), reserve(1, "red", 1), reserve(2, "red", 2)]).await;
    ask(
        &store,
        "drop",
        vec![Ask::Restock { id: ReservationId(9), sku: crate::sale::Sku::parse("red").unwrap(), delta: 1 }],
    )
    .await;
    store.close().await.unwrap();
    let database = meddle(&folder);
    let read = database.begin_read().unwrap();
    let all: Vec<(Vec<u8>, Vec<u8>)> = read
        .open_table(rows::ROWS)
        .unwrap()
        .range::<&[u8]>(..)
        .unwrap()
        .map(|row| row.map(|(key, row)| (key.value().to_vec(), row.value().to_vec())).unwrap())
        .collect();
    drop((read, database));
    assert!(all.len() > 8, "{} rows", all.len());
    for (what, meddling) in meddlings {
        for (key, row) in &all {
            let copy = copy_of(&folder);
            let database = meddle(&copy);
            let write = database.begin_write().unwrap();
            meddling(&mut write.open_table(rows::ROWS).unwrap(), key, row);
            write.commit().unwrap();
            drop(database);
            let refused = refusal(&copy);
            assert!(matches!(refused, OpenError::Damaged { .. }), "{what} {key:?}: {refused}");
        }
    }
    assert!(is_clean(&open(folder.path()).unwrap(), "drop").await);
}

#[tokio::test]
async fn a_sale_on_a_full_disk_acknowledges_nothing_and_loses_nothing() {
    let (folder, fault) = (tempfile::tempdir().unwrap(), Fault::default());
    let store = store_on(&folder, &fault, clock(), Duration::ZERO);
    ask(&store, "drop", vec![sale_rules(1, &[("red", 50_000)])]).await;
    turn_over(&store, "drop", 0..400).await;
    let held = ask(&store, "drop", vec![reserve(1_000, "red", 1)]).await;
    fault.set(Some(io::ErrorKind::StorageFull));
    // Enough to make rows due in the midst of it.
    let asks = (2_000..3_500).map(|n| store.sale(id("drop"), vec![reserve(n, "red", 1)]));
    assert!(futures_util::future::join_all(asks).await.into_iter().all(is_unavailable));
    assert!(is_unavailable(audit_sale(&store, id("drop")).await));
    fault.set(None);
    assert_eq!(ask(&store, "drop", vec![reserve(1_000, "red", 1)]).await, held);
    turn_over(&store, "drop", 4_000..5_000).await;
    assert!(is_clean(&store, "drop").await);
    store.close().await.unwrap();
    let again = open(folder.path()).unwrap();
    assert_eq!(ask(&again, "drop", vec![reserve(1_000, "red", 1)]).await, held);
    assert!(is_clean(&again, "drop").await);
}

#[tokio::test]
async fn a_sale_that_panics_is_read_back_and_loses_nothing() {
    let (folder, (clock, trap)) = (tempfile::tempdir().unwrap(), trap());
    let store = store_on(&folder, &Fault::default(), clock, Duration::ZERO);
    ask(&store, "drop", vec![sale_rules(1, &[("red", 50_000)])]).await;
    for round in 0..3 {
        turn_over(&store, "drop", round * 1_000..round * 1_000 + 600).await;
        let held = ask(&store, "drop", vec![reserve(round * 1_000 + 999, "red", 1)]).await;
        trap.store(1, SeqCst);
        assert!(is_unavailable(store.sale(id("drop"), vec![reserve(90_000 + round, "red", 1)]).await));
        assert_eq!(ask(&store, "drop", vec![reserve(round * 1_000 + 999, "red", 1)]).await, held);
    }
    let Told::Items(view) = ask(&store, "drop", vec![Ask::Items]).await.remove(0) else { panic!() };
    assert_eq!(view.items[0].held, 3);
    assert!(is_clean(&store, "drop").await);
}
