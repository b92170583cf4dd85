//! Several instances on one store, each with its own memory of it.

use serde_json::json;

use super::*;
use crate::{
    room::{Command, Outcome},
    store::{Store as _, catalog},
};

fn room(changes: serde_json::Value) -> Document {
    let mut document = json!({"id": "main", "name": "Main", "shop_url": "https://shop.example/"});
    json_patch::merge(&mut document, &changes);
    read_document(document).unwrap()
}

fn sale(total: u64) -> sale::Document {
    read_document(json!({"id": "drop", "name": "Drop", "items": [{"sku": "a", "name": "Ay", "total": total}]})).unwrap()
}

/// Two instances that do nothing by themselves: here only the test says when they look.
async fn two(bench: &Bench) -> (Arc<Instance>, Arc<Instance>) {
    let (one, other) = (bench.instance().await, bench.instance().await);
    one.stop().await;
    other.stop().await;
    (one, other)
}

async fn entry(bench: &Bench, kind: Kind, id: &str) -> Option<catalog::Entry> {
    let listed = bench.store.catalog(vec![catalog::Command::List { known: u64::MAX }]).await.unwrap().remove(0);
    let catalog::Outcome::Listed { entries: Some(entries), .. } = listed else { panic!("{listed:?}") };
    entries.into_iter().find(|entry| (entry.kind, entry.id.as_str()) == (kind, id))
}

async fn join(instance: &Instance) -> Outcome {
    instance.room("main").unwrap().lane.submit(Command::Join { count: 1 }).await.unwrap().outcome
}

#[tokio::test]
async fn each_knows_all_until_one_ends() {
    let bench = Bench::new();
    let (one, other) = (bench.instance().await, bench.instance().await);
    one.put_room(&room(json!({})), Expect::Absent).await.unwrap();
    other.refresh().await.unwrap();
    other.announce().await.unwrap();
    let rows = one.instances().await.unwrap();
    let mut ids: Vec<_> = rows.iter().map(|row| row.announcement.id).collect();
    ids.sort();
    assert_eq!(ids, [one.id, other.id]);
    let version = one.room("main").unwrap().version;
    assert!(rows.iter().all(|row| row.announcement.rooms == [(one.room("main").unwrap().id.clone(), version)]));
    one.stop().await;
    let rows = other.instances().await.unwrap();
    assert_eq!(rows.iter().map(|row| row.announcement.id).collect::<Vec<_>>(), [other.id]);
}

#[tokio::test]
async fn an_operator_may_go_from_one_to_the_other_without_waiting() {
    let bench = Bench::new();
    let (one, other) = two(&bench).await;
    let made = one.put_room(&room(json!({})), Expect::Absent).await.unwrap().room;
    let patched = other.patch_room("main", &json!({"mode": "hold"}), Expect::Version(made.version)).await.unwrap().room;
    // The one has not heard of it, and yet neither undoes it nor takes the version for a wrong one.
    let faster = json!({"rate_per_minute": 1200});
    let again = one.patch_room("main", &faster, Expect::Version(patched.version)).await.unwrap().room;
    assert_eq!((again.document.mode, again.document.rate_per_minute), (crate::room::Mode::Hold, 1200));
    other.patch_room("main", &json!({"burst": 9}), Expect::Any).await.unwrap();
    let stale = one.patch_room("main", &faster, Expect::Version(again.version)).await;
    assert!(matches!(stale, Err(OperateError::Stale { .. })));
    one.put_sale(&sale(5), Expect::Absent).await.unwrap();
    let more = other.patch_sale("drop", &json!({"hold_seconds": 9}), Expect::Any).await.unwrap();
    one.delete_sale("drop", Expect::Version(more.sale.version), LiveHolds::Respect).await.unwrap();
    other.reset_room("main").await.unwrap();
    other.delete_room("main", Expect::Any).await.unwrap();
    assert_eq!(one.delete_room("main", Expect::Any).await, Err(OperateError::Unknown));
}

#[tokio::test]
async fn a_deletion_that_comes_late_does_not_take_the_next_room_with_it() {
    let bench = Bench::new();
    let (one, other) = two(&bench).await;
    one.put_room(&room(json!({})), Expect::Absent).await.unwrap();
    other.refresh().await.unwrap();
    join(&one).await;
    // The one deletes, and its last word to the store is slow.
    let gone = one.room("main").unwrap();
    let last_epoch = gone.lane.view().unwrap().epoch + 1;
    one.documents.delete(Kind::Room, "main".to_owned(), Expect::Any, last_epoch).await.unwrap();
    other.put_room(&room(json!({})), Expect::Absent).await.unwrap();
    let first = join(&other).await;
    gone.lane.submit(Command::Delete { last_epoch }).await.unwrap();
    let second = join(&other).await;
    let epoch = last_epoch + 1;
    assert_eq!(
        [first, second],
        [Outcome::Joined { epoch, first: 1, count: 1 }, Outcome::Joined { epoch, first: 2, count: 1 }]
    );
}

#[tokio::test]
async fn a_line_that_begins_elsewhere_is_soon_shown_and_sooner_where_somebody_looks() {
    let bench = Bench::new();
    let (one, other) = two(&bench).await;
    one.put_room(&room(json!({"mode": "hold"})), Expect::Absent).await.unwrap();
    other.refresh().await.unwrap();
    other.tick_rooms().await;
    let shown = || other.room("main").unwrap().lane.view().unwrap().tail;
    join(&one).await;
    bench.pass_ms(4_999);
    other.tick_rooms().await;
    assert_eq!(shown(), 0, "an idle room is left in peace");
    bench.pass_ms(1);
    other.tick_rooms().await;
    assert_eq!(shown(), 1);
    one.reset_room("main").await.unwrap();
    bench.pass_ms(1_000);
    other.tick_rooms().await;
    assert_eq!(shown(), 0);
    join(&one).await;
    other.room("main").unwrap().note_look();
    bench.pass_ms(999);
    other.tick_rooms().await;
    assert_eq!(shown(), 0);
    bench.pass_ms(1);
    other.tick_rooms().await;
    assert_eq!(shown(), 1);
}

#[tokio::test]
async fn a_document_that_the_catalog_lost_leaves_no_room_deaf() {
    let bench = Bench::new();
    let (one, other) = two(&bench).await;
    let made = one.put_room(&room(json!({})), Expect::Absent).await.unwrap().room;
    one.put_sale(&sale(5), Expect::Absent).await.unwrap();
    // Whoever wrote these is dead, and the catalog has forgotten them.
    let rules = room(json!({"rate_per_minute": 77})).rules();
    let later = Command::Configure { version: made.version + 50, first_epoch: made.first_epoch, rules };
    made.lane.submit(later).await.unwrap();
    other.refresh().await.unwrap();
    other.tick_rooms().await;
    other.refresh().await.unwrap();
    let lifted = other.room("main").unwrap();
    assert!(lifted.version > made.version + 50);
    let view = lifted.lane.view().unwrap();
    assert_eq!((view.version, view.rate_per_minute), (lifted.version, 600), "the document that stands is obeyed");
    other.put_room(&room(json!({"rate_per_minute": 60})), Expect::Version(lifted.version)).await.unwrap();
    assert_eq!(lifted.lane.view().unwrap().rate_per_minute, 60);
}

#[tokio::test]
async fn that_a_sale_was_made_is_known_everywhere_and_changes_no_version() {
    let bench = Bench::new();
    let (one, other) = two(&bench).await;
    let made = one.put_sale(&sale(5), Expect::Absent).await.unwrap().sale;
    let noted = entry(&bench, Kind::Sale, "drop").await.unwrap();
    assert_eq!((noted.made, noted.version), (true, made.version));
    other.refresh().await.unwrap();
    assert!(other.sale("drop").unwrap().is_made());
    other.put_sale(&sale(6), Expect::Version(made.version)).await.unwrap();
    assert!(entry(&bench, Kind::Sale, "drop").await.unwrap().made, "it is the same sale");
    one.delete_sale("drop", Expect::Any, LiveHolds::Respect).await.unwrap();
    one.put_sale(&sale(5), Expect::Absent).await.unwrap();
    other.refresh().await.unwrap();
    assert!(other.sale("drop").unwrap().is_made());
    assert!(other.sale("drop").unwrap().born > made.born);
}
