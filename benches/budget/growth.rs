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

/// Status and join with a longer and longer line, and with more and more rooms.
pub async fn of_the_line(effort: Effort, report: &mut Report) {
    let server = Server::in_memory();
    server.make_room("line", &json!({"rate_per_minute": 1, "burst": 1})).await;
    let (mut status, mut join) = (Vec::new(), Vec::new());
    let mut waiting = 0;
    for size in [1, 1_000, 100_000, 1_000_000] {
        // Joins that were measured count too.
        waiting = line_length(&server).await.max(waiting);
        fill(&server, "line", size_left(size, waiting)).await;
        waiting = size;
        status.push((size, cost(effort, &Ask::get("/v1/rooms/line/status", &[]), &server)));
        join.push((size, cost(effort, &Ask::post("/v1/rooms/line/tickets", "{}"), &server)));
    }
    let (grows, unit) = ("visitors waiting, at least", "µs of processor a request");
    report.growth(Growth { what: "status", grows, unit, points: status });
    report.growth(Growth { what: "join", grows, unit, points: join });

    let mut points = Vec::new();
    let mut made = 1;
    for rooms in [1, 100] {
        for n in made..rooms {
            server.make_room(&format!("room-{n}"), &json!({})).await;
        }
        made = rooms;
        points.push((rooms, cost(effort, &Ask::post("/v1/rooms/line/tickets", "{}"), &server)));
    }
    report.growth(Growth { what: "join", grows: "rooms", unit, points });
}

/// Reserve with more and more live holds, and with more SKUs.
pub async fn of_the_stock(effort: Effort, report: &mut Report) {
    let unit = "µs of processor a request";
    for (what, skus) in [("reserve, 1 SKU", 1), ("reserve, 1 000 SKUs", 1_000)] {
        let server = Server::in_memory();
        let items: Vec<Value> =
            (0..skus).map(|n| json!({"sku": format!("s{n}"), "name": "Kite", "total": 1_000_000})).collect();
        let settings = json!({"hold_seconds": 3600, "hold_max_seconds": 3600});
        server.make_sale("drop", &json!(items), &settings).await;
        let mut points = Vec::new();
        for holds in [10, 100_000] {
            hold(&server, holds).await;
            points.push((holds, cost(effort, &reservations("drop", "s0"), &server)));
        }
        report.growth(Growth { what, grows: "live holds, at least", unit, points });
    }
}

/// Memory a visitor waiting, a position claimed, a hold.
pub async fn of_memory(report: &mut Report) {
    const VISITORS: u64 = 500_000;
    const HOLDS: u64 = 100_000;
    let server = Server::in_memory();
    server.make_room("line", &json!({"rate_per_minute": 1, "burst": 1})).await;
    server.make_sale("drop", &json!([{"sku": "s0", "name": "Kite", "total": 1_000_000_000}]), &json!({})).await;
    // What the first thousands need is buffers and caches, not visitors.
    fill(&server, "line", 20_000).await;
    hold(&server, 1_000).await;
    let before = server.memory();
    fill(&server, "line", VISITORS).await;
    let waiting = server.memory();
    hold(&server, HOLDS).await;
    let holding = server.memory();
    let each = |more: u64, less: u64, count: u64| Median {
        value: more.saturating_sub(less) as f64 / count as f64,
        spread: 0.0,
    };
    let unit = "bytes of the process's memory";
    report.growth(Growth {
        what: "a visitor waiting",
        grows: "visitors",
        unit,
        points: vec![(VISITORS, each(waiting, before, VISITORS))],
    });
    report.growth(Growth {
        what: "a live hold",
        grows: "holds",
        unit,
        points: vec![(HOLDS, each(holding, waiting, HOLDS))],
    });
}

fn cost(effort: Effort, ask: &Ask, server: &Server) -> Median {
    let samples: Vec<Sample> = (0..effort.rounds).map(|_| ask.measure(server, effort.each)).collect();
    Median::of(samples.iter().map(|sample| sample.cpu_us))
}

fn size_left(size: u64, waiting: u64) -> u64 {
    size.saturating_sub(waiting)
}

async fn line_length(server: &Server) -> u64 {
    let response = server.request(Method::GET, "/v1/rooms/line/status").send().await.expect("an answer");
    let status: Value = response.json().await.expect("the status is JSON");
    status["tail"].as_u64().unwrap_or(0)
}

/// Takes `holds` units, each by another buyer.
async fn hold(server: &Server, holds: u64) {
    const AT_ONCE: usize = 256;
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
