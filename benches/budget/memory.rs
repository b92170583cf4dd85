//! What a visitor waiting, a session and a hold take of memory, in the process and in Redis.

use serde_json::json;

use super::{
    claims,
    load::Median,
    paths::fill,
    report::{Report, Row},
    sender::{Pace, Stream, send},
    server::{Server, run_id},
    site::Site,
};

/// A visitor waiting is a number and nothing else until the claim, which is a bit.
const WAITING_MOST: f64 = 0.125;
/// A live session, in bytes.
const SESSION_MOST: f64 = 100.0;
/// A live reservation, in bytes.
const HOLD_MOST: f64 = 300.0;

/// What the first need is buffers and caches, not visitors.
const FEW: u64 = 1_000;
/// Sessions, and holds.
const MANY: u64 = 100_000;

/// Memory a visitor waiting, a session, a hold.
pub async fn of(site: &Site, waiting: u64, report: &mut Report) {
    let server = &site.server;
    for room in ["line", "warm"] {
        server.make_room(room, &json!({"rate_per_minute": 1, "burst": 1})).await;
    }
    claims::make_shop(server, "shop").await;
    let items = json!([{"sku": "s0", "name": "Kite", "total": 1_000_000_000}]);
    server.make_sale("drop", &items, &hour()).await;
    // A line beside the one that is measured, as long: what a million requests take of the allocator is none of the line's.
    fill(server, "warm", waiting).await;
    fill(server, "line", FEW).await;
    enter(server, FEW);
    hold(server, "drop", "s0", FEW);
    let mut before = [server.memory(), in_redis(site)];
    let mut each = |what: &str, count: u64, budget: f64| {
        let now = [server.memory(), in_redis(site)];
        let places = ["the process", "Redis"].into_iter().take(if site.redis.is_some() { 2 } else { 1 });
        for ((place, now), before) in places.zip(now).zip(before) {
            report.row(Row {
                what: format!("{what}, {}", site.store()),
                measure: format!("bytes in {place}"),
                figure: Median::from((now as f64 - before as f64) / count as f64),
                budget: Some(budget),
                at_most: true,
                note: format!("{count} of them: from {:.1} to {:.1} MB", before as f64 / 1e6, now as f64 / 1e6),
            });
        }
        before = now;
    };
    fill(server, "line", waiting).await;
    each("a visitor waiting", waiting - FEW, WAITING_MOST);
    enter(server, MANY);
    each("a session", MANY, SESSION_MOST);
    hold(server, "drop", "s0", MANY);
    each("a live hold", MANY, HOLD_MOST);
}

fn in_redis(site: &Site) -> u64 {
    site.redis.as_ref().map_or(0, super::redis::Redis::memory)
}

/// Lets as many visitors in, through the room `shop`.
fn enter(server: &Server, visitors: u64) {
    let tickets = claims::join(server, "shop", visitors);
    send(server.address(), &mut [claims::claims(server, "shop", &tickets)]);
}

/// Holds that last as long as the measurement.
pub fn hour() -> serde_json::Value {
    json!({"hold_seconds": 3600, "hold_max_seconds": 3600})
}

/// Takes `holds` units, each by another buyer.
pub fn hold(server: &Server, sale: &str, sku: &str, holds: u64) {
    send(server.address(), &mut [reservations(server, sale, sku, holds)]);
}

/// So many reservations of one unit, each by another buyer.
pub fn reservations<'a>(server: &'a Server, sale: &'a str, sku: &'a str, count: u64) -> Stream<'a> {
    let run = run_id();
    Stream::new(Pace::Count(count), move |n| server.reservation(sale, sku, &format!("{run}-{n}")))
}
