//! Latency at a fixed arrival rate, not only at saturation.

use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use super::{
    Effort,
    arrivals::{Arrivals, send},
    load::{Ask, Median},
    report::{Report, Row},
    server::Server,
};

/// The most that the slowest percent at six tenths may take, as a multiple of the middle at a tenth.
const P99_MOST: f64 = 5.0;

/// Joins at a tenth and at six tenths of what the server can take.
pub async fn at_fixed_rates(effort: Effort, report: &mut Report) {
    let server = Server::in_memory();
    server.make_room("line", &json!({"rate_per_minute": 1, "burst": 1})).await;
    let capacity = client_capacity(&server, effort).await;
    let (quiet, p50_quiet) = at(0.1, capacity, effort, &server).await;
    let (busy, _) = at(0.6, capacity, effort, &server).await;
    let share = |figure: Median| Median { value: figure.value / p50_quiet, spread: figure.spread };
    let measure = "p99 as multiple of the p50 at 10 %";
    for ((p99, what, note), budget) in [(quiet, None), (busy, Some(P99_MOST))] {
        report.row(Row { what, measure, figure: share(p99), budget, at_most: true, note });
    }
}

/// The p99 at this share of the capacity with its name and all percentiles in words, and the p50.
async fn at(share: f64, capacity: f64, effort: Effort, server: &Server) -> ((Median, String, String), f64) {
    let rate = capacity * share;
    let request = server.request(Method::POST, "/v1/rooms/line/tickets").json(&json!({}));
    let mut rounds: Vec<Arrivals> = Vec::new();
    for _ in 0..effort.rounds {
        rounds.push(send(rate, effort.each, |_| request.try_clone().expect("a body in memory")).await);
    }
    let percentile = |at: f64| Median::of(rounds.iter().map(|r| r.answered.value_at_quantile(at) as f64 / 1000.0));
    let (p50, p99, p999) = (percentile(0.5), percentile(0.99), percentile(0.999));
    let late = Median::of(rounds.iter().map(|round| round.late.value_at_quantile(0.99) as f64 / 1000.0));
    let note = format!(
        "{rate:.0} a second; p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms; the sender's own p99 {:.2} ms",
        p50.value, p99.value, p999.value, late.value
    );
    ((p99, format!("join at {:.0} % of capacity", share * 100.0), note), p50.value)
}

/// What can be had with this client on this machine, half of which is the client's: the most a fixed rate may be a
/// share of.
pub async fn client_capacity(server: &Server, effort: Effort) -> f64 {
    let wrk = Ask::post("/v1/rooms/line/tickets", "{}").measure(server, effort.each).per_second;
    let joins = Arc::new(Mutex::new(0_u64));
    let until = Instant::now() + effort.each;
    let mut workers = JoinSet::new();
    for _ in 0..64 {
        let (request, joins) =
            (server.request(Method::POST, "/v1/rooms/line/tickets").json(&json!({})), Arc::clone(&joins));
        workers.spawn(async move {
            while Instant::now() < until {
                let sent = request.try_clone().expect("a body in memory").send().await.expect("an answer");
                assert_eq!(sent.status(), 201, "a join");
                sent.bytes().await.expect("a body");
                *joins.lock().expect("nobody panics in it") += 1;
            }
        });
    }
    workers.join_all().await;
    let joins = *joins.lock().expect("nobody panics in it");
    (joins as f64 / effort.each.as_secs_f64()).min(wrk)
}
