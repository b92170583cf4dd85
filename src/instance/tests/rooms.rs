use std::pin::pin;

use futures_util::FutureExt as _;
use serde_json::json;

use super::*;
use crate::room::{Command, Outcome, Tag};

fn document(changes: serde_json::Value) -> Document {
    let mut document = json!({"id": "main", "name": "Main", "shop_url": "https://shop.example/"});
    json_patch::merge(&mut document, &changes);
    read_document(document).unwrap()
}

async fn with_main(bench: &Bench) -> Arc<Instance> {
    let rooms = vec![document(json!({}))];
    bench.start(Options { rooms, ..bench.options() }).await.unwrap()
}

#[tokio::test]
async fn a_declared_room_is_made_once_and_then_left_alone() {
    let bench = Bench::new();
    let first = with_main(&bench).await;
    assert_eq!(first.room("main").unwrap().lane.view().unwrap().head, 0, "the line stands ready");
    first.patch_room("main", &json!({"mode": "hold"}), Expect::Any).await.unwrap();
    first.stop().await;
    let again = with_main(&bench).await;
    assert_eq!(again.room("main").unwrap().document.mode, crate::room::Mode::Hold, "the operator's pause stays");
}

#[tokio::test]
async fn a_declared_room_that_cannot_be_taken_stops_the_start() {
    let bench = Bench::new();
    let rooms = vec![document(json!({"rate_per_minute": 0}))];
    match bench.start(Options { rooms, ..bench.options() }).await {
        Err(StartError::Room { room, error }) => {
            assert_eq!((room.as_str(), error.field.as_str()), ("main", "rate_per_minute"));
        }
        other => panic!("{:?}", other.err()),
    }
}

#[tokio::test]
async fn a_put_needs_the_version_that_stands_and_the_same_document_changes_nothing() {
    let bench = Bench::new();
    let instance = bench.instance().await;
    let made = instance.put_room(&document(json!({})), Expect::Absent).await.unwrap();
    assert!(made.created);
    let version = made.room.version;
    let stale = instance.put_room(&document(json!({})), Expect::Absent).await.err();
    assert_eq!(stale, Some(OperateError::Stale { found: Some(version) }));
    let same = instance.put_room(&document(json!({})), Expect::Any).await.unwrap();
    assert_eq!((same.created, same.room.version), (false, version));
    let faster = document(json!({"rate_per_minute": 1200}));
    let changed = instance.put_room(&faster, Expect::Version(version)).await.unwrap();
    assert!(changed.room.version > version);
    assert_eq!(changed.room.lane.view().unwrap().version, changed.room.version, "the line obeys already");
    let stale = instance.put_room(&document(json!({})), Expect::Version(version)).await.err();
    assert_eq!(stale, Some(OperateError::Stale { found: Some(changed.room.version) }));
}

#[tokio::test]
async fn a_change_of_settings_keeps_the_line() {
    let bench = Bench::new();
    let instance = with_main(&bench).await;
    let before = instance.room("main").unwrap();
    before.lane.submit(Command::Join { count: 50 }).await.unwrap();
    let after = instance.patch_room("main", &json!({"rate_per_minute": 60}), Expect::Any).await.unwrap().room;
    let view = after.lane.view().unwrap();
    assert_eq!((view.tail, view.version), (50, after.version));
    assert!(Arc::ptr_eq(&before.lane, &after.lane), "callers of the old settings stand in the same queue");
}

#[tokio::test]
async fn a_bad_patch_names_the_field_and_changes_nothing() {
    let bench = Bench::new();
    let instance = with_main(&bench).await;
    let version = instance.room("main").unwrap().version;
    for (patch, field) in [
        (json!({"rate": 5}), "rate"),
        (json!({"rate_per_minute": 0}), "rate_per_minute"),
        (json!({"shop_url": null}), "shop_url"),
        (json!({"id": "other"}), "id"),
        (json!([]), ""),
    ] {
        match instance.patch_room("main", &patch, Expect::Any).await {
            Err(OperateError::Invalid(error)) => assert_eq!(error.field, field, "{patch}"),
            other => panic!("{patch}: {:?}", other.err()),
        }
    }
    assert_eq!(instance.room("main").unwrap().version, version);
    let stale = instance.patch_room("main", &json!({}), Expect::Version(version + 1)).await.err();
    assert_eq!(stale, Some(OperateError::Stale { found: Some(version) }));
}

#[tokio::test]
async fn a_patch_sees_what_another_instance_wrote_meanwhile() {
    let bench = Bench::new();
    let one = with_main(&bench).await;
    let other = bench.instance().await;
    one.patch_room("main", &json!({"name": "Renamed"}), Expect::Any).await.unwrap();
    other.patch_room("main", &json!({"rate_per_minute": 60}), Expect::Any).await.unwrap();
    let document = &other.room("main").unwrap().document;
    assert_eq!((document.name.as_str(), document.rate_per_minute), ("Renamed", 60));
}

#[tokio::test]
async fn a_room_made_again_starts_above_every_old_ticket() {
    let bench = Bench::new();
    let instance = with_main(&bench).await;
    instance.room("main").unwrap().lane.submit(Command::Join { count: 5 }).await.unwrap();
    instance.reset_room("main").await.unwrap();
    let epoch = instance.reset_room("main").await.unwrap().epoch;
    let stale = instance.delete_room("main", Expect::Version(999)).await.err();
    assert!(matches!(stale, Some(OperateError::Stale { .. })));
    instance.delete_room("main", Expect::Any).await.unwrap();
    assert!(instance.room("main").is_none());
    assert_eq!(instance.delete_room("main", Expect::Any).await, Err(OperateError::Unknown));
    assert_eq!(instance.reset_room("main").await.err(), Some(OperateError::Unknown));
    let again = instance.put_room(&document(json!({})), Expect::Absent).await.unwrap();
    let view = again.room.lane.view().unwrap();
    assert_eq!((again.created, view.tail), (true, 0));
    assert!(view.epoch > epoch, "{} after {epoch}", view.epoch);
}

#[tokio::test]
async fn operators_change_which_rooms_there_are_one_after_the_other() {
    let bench = Bench::new();
    let instance = with_main(&bench).await;
    let room = instance.room("main").unwrap();
    let another_at_it = instance.operating.lock().await;
    let faster = document(json!({"rate_per_minute": 60}));
    assert!(instance.put_room(&faster, Expect::Any).now_or_never().is_none());
    assert!(instance.reset_room("main").now_or_never().is_none());
    let mut deleting = pin!(instance.delete_room("main", Expect::Any));
    assert!(deleting.as_mut().now_or_never().is_none());
    // Whatever had been asked of the store would be done before it has answered this.
    for _ in 0..10 {
        instance.refresh().await.unwrap();
    }
    let view = room.lane.submit(Command::Tick).await.unwrap().view.unwrap();
    assert_eq!((view.version, view.epoch), (room.version, room.first_epoch), "nothing was begun");
    assert!(instance.room("main").is_some());
    drop(another_at_it);
    deleting.await.unwrap();
    assert!(instance.room("main").is_none());
}

#[tokio::test]
async fn a_room_whose_writer_died_is_told_its_settings_by_whoever_follows() {
    let bench = Bench::new();
    let instance = bench.instance().await;
    // The catalog was written, the room never told.
    instance.documents.put_room(&document(json!({})), Expect::Absent).await.unwrap();
    instance.refresh().await.unwrap();
    let room = instance.room("main").unwrap();
    assert_eq!(room.lane.view().unwrap().version, room.version);
}

#[tokio::test]
async fn rooms_are_ticked_while_time_moves_them_and_left_alone_otherwise() {
    let bench = Bench::new();
    let instance = with_main(&bench).await;
    instance.stop().await;
    instance.tick_rooms().await;
    let lane = &instance.room("main").unwrap().lane;
    let idle_since = lane.view().unwrap().now;
    bench.pass_ms(1_000);
    instance.tick_rooms().await;
    assert_eq!(lane.view().unwrap().now, idle_since, "nothing to do, so the store was left in peace");
    let head = lane.submit(Command::Join { count: 1_000 }).await.unwrap().view.unwrap().head;
    bench.pass_ms(1_000);
    instance.tick_rooms().await;
    assert!(lane.view().unwrap().head > head, "the line moved without a visitor's doing");
}

#[tokio::test]
async fn the_entries_of_the_last_minute_wear_off_in_a_room_that_nobody_uses() {
    let bench = Bench::new();
    let instance = with_main(&bench).await;
    instance.stop().await;
    let lane = &instance.room("main").unwrap().lane;
    let Outcome::Live(session) = lane.submit(Command::Admit { tag: Tag(7) }).await.unwrap().outcome else { panic!() };
    lane.submit(Command::Finish { session: session.name }).await.unwrap();
    let entering = || lane.view().unwrap().entering_per_minute;
    bench.pass_ms(15_000);
    instance.tick_rooms().await;
    assert_eq!(entering(), 1);
    bench.pass_ms(65_000);
    instance.tick_rooms().await;
    assert_eq!(entering(), 0, "nobody entered in the last minute");
}

#[tokio::test]
async fn an_empty_room_opens_and_closes_on_time() {
    let bench = Bench::new();
    let hours = json!({"opens_at": "2027-01-15T08:30:00Z", "closes_at": "2027-01-15T09:30:00Z"});
    let rooms = vec![document(hours)];
    let instance = bench.start(Options { rooms, ..bench.options() }).await.unwrap();
    instance.stop().await;
    let phase = || instance.room("main").unwrap().lane.view().unwrap().phase;
    assert_eq!(phase(), crate::room::Phase::Scheduled);
    bench.pass_ms(3_600_000);
    instance.tick_rooms().await;
    assert_eq!(phase(), crate::room::Phase::Running);
    bench.pass_ms(3_600_000);
    instance.tick_rooms().await;
    assert_eq!(phase(), crate::room::Phase::Closed);
}
