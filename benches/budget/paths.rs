//! The rows of the budget: each path against a bare handler of the same bytes.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    Effort,
    load::{Ask, Median, interleaved},
    report::{Report, Row},
    sender::{Pace, Stream, send},
    server::{ADMIN_KEY, Server},
};

/// The share of a bare handler's answers that page and status have to reach …
const PAGE_LEAST: f64 = 0.9;
/// … and joins.
const JOIN_LEAST: f64 = 0.6;
/// What is left of the rate in memory when every answer waits for the disk.
const DURABLE_LEAST: f64 = 0.5;

/// A line long enough that nothing in it is special.
const WAITING: u64 = 10_000;

/// Page, status, join and reserve on the store in memory.
pub async fn against_bare(effort: Effort, report: &mut Report) {
    let server = Server::in_memory();
    server.make_room("line", &json!({"rate_per_minute": 1, "burst": 1})).await;
    fill(&server, "line", WAITING).await;
    let gzip = [("Accept-Encoding", "gzip")];
    for (what, path, budget) in [("page", "/w/line", PAGE_LEAST), ("status", "/v1/rooms/line/status", PAGE_LEAST)] {
        let answer = server.answer(server.request(Method::GET, path).header("Accept-Encoding", "gzip")).await;
        let bare = Server::bare(&answer);
        let ask = Ask::get(path, &gzip);
        let [ours, yardstick] =
            interleaved(effort, || ask.measure(&server, effort.each), || ask.measure(&bare, effort.each));
        report.ratio(what, &ours, &yardstick, Some(budget));
    }
    let tickets = "/v1/rooms/line/tickets";
    let join = server.request(Method::POST, tickets).json(&json!({}));
    server.make_sale("drop", &json!([{"sku": "kite", "name": "Kite", "total": 1_000_000_000}]), &json!({})).await;
    let body = json!({"lines": [{"sku": "kite", "quantity": 1}], "buyer": "first"});
    let reserve = server.request(Method::POST, "/v1/sales/drop/reservations").bearer_auth(ADMIN_KEY).json(&body);
    for (what, request, ask, budget) in [
        ("join, store in memory", join, Ask::post(tickets, "{}"), Some(JOIN_LEAST)),
        ("reserve, store in memory", reserve.header("Idempotency-Key", "first"), reservations("drop", "kite"), None),
    ] {
        let bare = Server::bare(&server.answer(request).await);
        let [ours, yardstick] =
            interleaved(effort, || ask.measure(&server, effort.each), || ask.measure(&bare, effort.each));
        report.ratio(what, &ours, &yardstick, budget);
    }
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
        ("reserve on disk", Some(DURABLE_LEAST), reservations("drop", "kite").over(256)),
    ] {
        let [disk, ram] = interleaved(effort, || ask.measure(&file, effort.each), || ask.measure(&memory, effort.each));
        let figure = Median::of(disk.iter().zip(&ram).map(|(disk, ram)| disk.per_second / ram.per_second));
        let rate = |samples: &[super::load::Sample]| Median::of(samples.iter().map(|sample| sample.per_second)).value;
        let note = format!("{:.0} against {:.0} a second over 256 connections", rate(&disk), rate(&ram));
        let measure = "share of the rate in memory".to_owned();
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

/// Puts as many visitors into a room's line as are missing to `waiting`.
pub async fn fill(server: &Server, room: &str, waiting: u64) {
    let missing = waiting.saturating_sub(line_length(server, room).await);
    send(server.address(), &mut [joins(server, room, missing)]);
}

/// So many joins.
pub fn joins<'a>(server: &Server, room: &str, count: u64) -> Stream<'a> {
    let request = server.bytes("POST", &format!("/v1/rooms/{room}/tickets"), &[], "{}");
    Stream::new(Pace::Count(count), move |_| request.clone())
}

/// How many positions a room has issued.
pub async fn line_length(server: &Server, room: &str) -> u64 {
    let response = server.request(Method::GET, &format!("/v1/rooms/{room}/status")).send().await.expect("an answer");
    let status: Value = response.json().await.expect("the status is JSON");
    status["tail"].as_u64().unwrap_or(0)
}
