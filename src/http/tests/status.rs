//! The shared status.

use super::*;
use crate::{
    http::status::Status,
    room::{View, Void},
};

/// How many batches rooms have been sent so far.
fn batches(bench: &Bench) -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &bench.context.instance.metrics.registry).unwrap();
    let line = text.lines().find(|line| line.starts_with("dropgate_store_batch_size_count ")).unwrap();
    line.to_owned()
}

#[actix_web::test]
async fn it_says_what_the_contract_promises() {
    let bench = Bench::with_room(json!({ "rate_per_minute": 90, "burst": 1, "claim_window_seconds": 30 })).await;
    bench.join().await;
    bench.join().await;
    let status = bench.get("/v1/rooms/main/status").await;
    assert_eq!(status.status, 200);
    assert_eq!(status.header("content-type"), "application/json");
    assert_eq!(status.header("cache-control"), "public, max-age=1, s-maxage=1, stale-if-error=60");
    assert_eq!(status.header("cdn-cache-control"), "max-age=1, stale-while-revalidate=5");
    assert_eq!(status.header("vary"), "Accept-Encoding");
    assert_eq!(status.header("access-control-allow-origin"), "*");
    assert_eq!(status.header("set-cookie"), "");
    let mut body = status.body;
    let pace = body["pace_per_minute"].take();
    assert!(pace["low"].as_f64() < pace["high"].as_f64(), "{pace}");
    let expected = json!({
        "room": "main", "state": "running", "mode": "queue", "epoch": 1, "term": 0, "version": body["version"],
        "head": 1, "tail": 2, "waiting": 1, "inside": 0, "rate_per_minute": 90, "entering_per_minute": 0,
        "pace_per_minute": null, "held_back": null, "claim_window_seconds": 30,
        "poll_after_seconds": { "near": 2, "middle": 7, "far": 7 }, "updated_at": "2027-01-15T08:00:00Z",
    });
    assert_eq!(body, expected);
}

#[actix_web::test]
async fn modes_and_times_show() {
    let bench =
        Bench::with_room(json!({ "opens_at": "2027-01-15T09:00:00Z", "closes_at": "2027-01-15T10:00:00Z" })).await;
    let status = bench.get("/v1/rooms/main/status").await.body;
    assert_eq!(
        (&status["state"], &status["opens_at"], &status["closes_at"]),
        (&json!("scheduled"), &json!("2027-01-15T09:00:00Z"), &json!("2027-01-15T10:00:00Z"))
    );
    for (mode, state) in [("hold", "paused"), ("open", "free"), ("closed", "closed"), ("queue", "running")] {
        bench.patch_room(json!({ "mode": mode, "opens_at": null, "closes_at": null })).await;
        let status = bench.get("/v1/rooms/main/status").await.body;
        assert_eq!((&status["mode"], &status["state"]), (&json!(mode), &json!(state)));
    }
}

#[actix_web::test]
async fn status_page_and_early_claims_cost_no_store_call() {
    let bench = Bench::with_room(json!({ "mode": "hold" })).await;
    let ticket = bench.join().await;
    let before = batches(&bench);
    for _ in 0..50 {
        assert_eq!(bench.get("/v1/rooms/main/status").await.status, 200);
        assert_eq!(bench.get("/w/main").await.status, 200);
        assert_eq!(bench.claim(&ticket).await.status, 202);
        assert_eq!(bench.get("/v1/rooms/nobody/status").await.status, 404);
    }
    assert_eq!(batches(&bench), before);
    bench.join().await;
    assert_ne!(batches(&bench), before, "the counter counts");
}

#[actix_web::test]
async fn the_body_changes_only_when_the_room_does() {
    let bench = Bench::with_room(json!({ "mode": "hold" })).await;
    bench.join().await;
    let first = bench.get("/v1/rooms/main/status").await;
    let etag = first.header("etag").to_owned();
    bench.pass_ms(60_000);
    let room = bench.context.instance.room("main").unwrap();
    room.lane.submit(crate::room::Command::Tick).await.unwrap();
    let asked = TestRequest::get().uri("/v1/rooms/main/status").insert_header(("If-None-Match", etag.clone()));
    let same = bench.send(Surface::All, asked).await;
    assert_eq!((same.status, same.header("etag")), (304, etag.as_str()));
    assert_eq!(same.header("cache-control"), first.header("cache-control"));
    bench.join().await;
    let next = bench.get("/v1/rooms/main/status").await;
    assert_ne!(next.header("etag"), etag);
    assert_eq!((&next.body["tail"], &next.body["updated_at"]), (&json!(2), &json!("2027-01-15T08:01:00Z")));
}

#[actix_web::test]
async fn a_void_beyond_the_head_is_told_and_nobody_waits_in_it() {
    let bench = Bench::with_room(json!({ "mode": "hold" })).await;
    bench.join().await;
    let room = bench.context.instance.room("main").unwrap();
    let view = View::clone(&room.lane.view().unwrap());
    let voids = [Void { first: 2, last: 1001 }].into_iter().collect();
    let status = serde_json::to_value(Status::of(&room, &View { tail: 1003, voids, ..view })).unwrap();
    assert_eq!((&status["voids"], &status["waiting"]), (&json!([[2, 1001]]), &json!(3)));
}
