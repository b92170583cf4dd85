//! The rows of the budget: each path against a bare handler of the same bytes.

use reqwest::Method;
use serde_json::json;

use super::{
    Effort,
    load::{Ask, Median, interleaved},
    report::{Report, Row},
    server::{ADMIN_KEY, Server},
};

/// A line long enough that nothing in it is special.
const WAITING: u64 = 10_000;

/// Page, status and join on the store in memory.
pub async fn against_bare(effort: Effort, report: &mut Report) {
    let server = Server::in_memory();
    server.make_room("line", &json!({"rate_per_minute": 1, "burst": 1})).await;
    fill(&server, "line", WAITING).await;
    let gzip = [("Accept-Encoding", "gzip")];
    for (what, path, budget) in [("page", "/w/line", 0.9), ("status", "/v1/rooms/line/status", 0.9)] {
        let answer = server.answer(server.request(Method::GET, path).header("Accept-Encoding", "gzip")).await;
        let bare = Server::bare(&answer);
        let ask = Ask::get(path, &gzip);
        let [ours, yardstick] =
            interleaved(effort, || ask.measure(&server, effort.each), || ask.measure(&bare, effort.each));
        report.ratio(what, &ours, &yardstick, budget);
    }
    let path = "/v1/rooms/line/tickets";
    let answer = server.answer(server.request(Method::POST, path).json(&json!({}))).await;
    let bare = Server::bare(&answer);
    let ask = Ask::post(path, "{}");
    let [ours, yardstick] =
        interleaved(effort, || ask.measure(&server, effort.each), || ask.measure(&bare, effort.each));
    report.ratio("join, store in memory", &ours, &yardstick, 0.6);
}

/// What durability costs: joins and reservations with an fsync before each answer, against the store in memory.
pub async fn durable(effort: Effort, report: &mut Report) {
    let (memory, file) = (Server::in_memory(), Server::on_file());
    for server in [&memory, &file] {
        server.make_room("line", &json!({"rate_per_minute": 1, "burst": 1})).await;
        server.make_sale("drop", &json!([{"sku": "kite", "name": "Kite", "total": 1_000_000_000}]), &json!({})).await;
    }
    for (what, budget, ask) in [
        ("join on disk", None, Ask::post("/v1/rooms/line/tickets", "{}").over(256)),
        ("reserve on disk", Some(0.5), reservations("drop", "kite").over(256)),
    ] {
        let [disk, ram] = interleaved(effort, || ask.measure(&file, effort.each), || ask.measure(&memory, effort.each));
        let figure = Median::of(disk.iter().zip(&ram).map(|(disk, ram)| disk.per_second / ram.per_second));
        let rate = |samples: &[super::load::Sample]| Median::of(samples.iter().map(|sample| sample.per_second)).value;
        let note = format!("{:.0} against {:.0} a second over 256 connections", rate(&disk), rate(&ram));
        let measure = "share of the rate in memory";
        report.row(Row { what: what.to_owned(), measure, figure, budget, at_most: false, note });
    }
}

/// Reservations of one unit each, every one by another buyer.
pub fn reservations(sale: &str, sku: &str) -> Ask {
    // Each run of wrk has keys of its own: a key seen before would be answered without work.
    let script = format!(
        "local n, run = 0, tostring(os.time()) .. tostring(math.random(1, 1000000000))\n\
         math.randomseed(os.time() + math.floor(os.clock() * 1000000))\n\
         run = run .. tostring(math.random(1, 1000000000))\n\
         request = function()\n\
           n = n + 1\n\
           local key = run .. '-' .. n\n\
           local body = '{{\"lines\":[{{\"sku\":\"{sku}\",\"quantity\":1}}],\"buyer\":\"b' .. key .. '\"}}'\n\
           return wrk.format('POST', '/v1/sales/{sale}/reservations', {{['Content-Type'] = 'application/json', \
             ['Authorization'] = 'Bearer {ADMIN_KEY}', ['Idempotency-Key'] = key}}, body)\n\
         end\n"
    );
    Ask { path: format!("/v1/sales/{sale}/reservations"), connections: 64, script: Some(script) }
}

/// Puts `waiting` visitors into a room's line.
pub async fn fill(server: &Server, room: &str, waiting: u64) {
    /// Enough to keep a batch in flight and one forming.
    const AT_ONCE: usize = 256;
    let path = format!("/v1/rooms/{room}/tickets");
    let joins = futures_util::stream::iter(0..waiting);
    futures_util::StreamExt::for_each_concurrent(joins, AT_ONCE, async |_| {
        let response = server.request(Method::POST, &path).json(&json!({})).send().await.expect("an answer");
        assert_eq!(response.status(), 201, "a join");
    })
    .await;
}
