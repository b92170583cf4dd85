//! What grows with what: the same path with more waiting, more rooms, more holds.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    Effort,
    load::{Ask, Median, Sample},
    paths::{fill, reservations},
    report::{Growth, Report},
    server::Server,
};

/// Requests under way at once: enough to keep a batch in flight and one forming.
const AT_ONCE: usize = 256;
const CPU: &str = "µs of processor a request";
const MEMORY: &str = "bytes of the process's memory";

/// Status and join with a longer and longer line.
pub async fn of_the_line(effort: Effort, report: &mut Report) {
    let server = Server::in_memory();
    server.make_room("line", &json!({"rate_per_minute": 1, "burst": 1})).await;
    let (mut status, mut join) = (Vec::new(), Vec::new());
    for size in [1, 1_000, 100_000, 1_000_000] {
        fill(&server, "line", size).await;
        status.push((size, cost(effort, &Ask::get("/v1/rooms/line/status", &[]), &server)));
        // Measured last, because it makes the line longer.
        join.push((size, cost(effort, &Ask::post("/v1/rooms/line/tickets", "{}"), &server)));
    }
    let grows = "visitors waiting, at least";
    report.growth(Growth { what: "status", grows, unit: CPU, points: status });
    report.growth(Growth { what: "join", grows, unit: CPU, points: join });
}

/// Status and join spread over more and more rooms, each with its line.
pub async fn of_the_rooms(effort: Effort, report: &mut Report) {
    let server = Server::in_memory();
    let (mut status, mut join) = (Vec::new(), Vec::new());
    let mut made = 0;
    for rooms in [1, 100] {
        for n in made..rooms {
            server.make_room(&format!("room-{n}"), &json!({"rate_per_minute": 1, "burst": 1})).await;
            fill(&server, &format!("room-{n}"), 100).await;
        }
        made = rooms;
        status.push((rooms, cost(effort, &everywhere(rooms, "GET", "status"), &server)));
        join.push((rooms, cost(effort, &everywhere(rooms, "POST", "tickets"), &server)));
    }
    report.growth(Growth { what: "status", grows: "rooms", unit: CPU, points: status });
    report.growth(Growth { what: "join", grows: "rooms", unit: CPU, points: join });
}

/// The same call of room after room.
fn everywhere(rooms: u64, method: &str, call: &str) -> Ask {
    let script = format!(
        "local n = 0\n\
         request = function()\n\
           n = n + 1\n\
           return wrk.format('{method}', '/v1/rooms/room-' .. n % {rooms} .. '/{call}')\n\
         end\n"
    );
    Ask { path: "/".to_owned(), connections: 64, script: Some(script) }
}

/// Reserve with more and more live holds, and with more SKUs.
pub async fn of_the_stock(effort: Effort, report: &mut Report) {
    for (what, skus) in [("reserve, 1 SKU", 1), ("reserve, 1 000 SKUs", 1_000)] {
        let server = Server::in_memory();
        let items: Vec<Value> =
            (0..skus).map(|n| json!({"sku": format!("s{n}"), "name": "Kite", "total": 1_000_000})).collect();
        server.make_sale("drop", &json!(items), &hour()).await;
        let mut points = Vec::new();
        for holds in [10, 100_000] {
            hold(&server, holds).await;
            points.push((holds, cost(effort, &reservations("drop", "s0"), &server)));
        }
        report.growth(Growth { what, grows: "live holds, at least", unit: CPU, points });
    }
}

/// Memory a visitor waiting, a session, a hold.
pub async fn of_memory(report: &mut Report) {
    const FEW: u64 = 1_000;
    const VISITORS: u64 = 1_000_000;
    const MANY: u64 = 100_000;
    let server = Server::in_memory();
    server.make_room("line", &json!({"rate_per_minute": 1, "burst": 1})).await;
    server.make_room("shop", &json!({"rate_per_minute": 1_000_000, "burst": 100_000, "session_seconds": 3_600})).await;
    server.make_sale("drop", &json!([{"sku": "s0", "name": "Kite", "total": 1_000_000_000}]), &hour()).await;
    // What the first thousands need is buffers and caches, not visitors: a line beside the one that is measured.
    server.make_room("warm", &json!({"rate_per_minute": 1, "burst": 1})).await;
    fill(&server, "warm", 100_000).await;
    enter(&server, FEW).await;
    hold(&server, FEW).await;
    fill(&server, "line", FEW).await;
    let mut before = server.memory();
    let mut each = |what, grows, count| {
        let now = server.memory();
        let figure = Median::from((now as f64 - before as f64) / count as f64);
        before = now;
        report.growth(Growth { what, grows, unit: MEMORY, points: vec![(count, figure)] });
    };
    fill(&server, "line", VISITORS).await;
    each("a visitor waiting", "visitors", VISITORS - FEW);
    enter(&server, MANY).await;
    each("a session", "sessions", MANY);
    hold(&server, MANY).await;
    each("a live hold", "holds", MANY);
}

/// Holds that last as long as the measurement.
fn hour() -> Value {
    json!({"hold_seconds": 3600, "hold_max_seconds": 3600})
}

fn cost(effort: Effort, ask: &Ask, server: &Server) -> Median {
    let samples: Vec<Sample> = (0..effort.rounds).map(|_| ask.measure(server, effort.each)).collect();
    Median::of(samples.iter().map(|sample| sample.cpu_us))
}

/// Lets as many visitors in, through the room `shop`.
async fn enter(server: &Server, visitors: u64) {
    let all = futures_util::stream::iter(0..visitors);
    futures_util::StreamExt::for_each_concurrent(all, AT_ONCE, async |_| {
        let joined = server.request(Method::POST, "/v1/rooms/shop/tickets").send().await.expect("an answer");
        let joined: Value = joined.json().await.expect("a place is JSON");
        let ticket = joined["ticket"].as_str().expect("a place has a ticket");
        let claim = server.request(Method::POST, "/v1/rooms/shop/passes").header("X-Dropgate-Ticket", ticket);
        assert_eq!(claim.send().await.expect("an answer").status(), 200, "a pass");
    })
    .await;
}

/// Takes `holds` units, each by another buyer.
async fn hold(server: &Server, holds: u64) {
    let run = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let all = futures_util::stream::iter(0..holds);
    futures_util::StreamExt::for_each_concurrent(all, AT_ONCE, async |n| {
        let body = json!({"lines": [{"sku": "s0", "quantity": 1}], "buyer": format!("b{run}-{n}")});
        let request = server.request(Method::POST, "/v1/sales/drop/reservations").bearer_auth(super::server::ADMIN_KEY);
        let response =
            request.header("Idempotency-Key", format!("{run}-{n}")).json(&body).send().await.expect("an answer");
        assert_eq!(response.status(), 201, "a reservation");
    })
    .await;
}
