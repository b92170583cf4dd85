//! Latency at a fixed arrival rate: requests are sent when they are due, whether the last ones were answered or not, and
//! measured from when they were due, so that a pause of the server is seen by everyone it would have met.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use hdrhistogram::Histogram;
use reqwest::Method;
use serde_json::json;
use tokio::{task::JoinSet, time::Instant};

use super::{
    Effort,
    load::{Ask, Median},
    report::{Report, Row},
    server::Server,
};

/// Requests under way at most; one that is due beyond it is a miss of the machine, and told.
const IN_FLIGHT_MAX: usize = 4_096;

/// Joins at a tenth and at six tenths of what the server can take, k times over.
pub async fn at_fixed_rates(effort: Effort, report: &mut Report) {
    let server = Server::in_memory();
    server.make_room("line", &json!({"rate_per_minute": 1, "burst": 1})).await;
    let capacity = client_capacity(&server, effort).await;
    let mut p50_idle = 0.0;
    for share in [0.1, 0.6] {
        let mut rounds: Vec<Histogram<u64>> = Vec::new();
        for _ in 0..effort.rounds {
            rounds.push(send(&server, capacity * share, effort.each).await);
        }
        let percentile = |at: f64| Median::of(rounds.iter().map(|round| round.value_at_quantile(at) as f64 / 1000.0));
        let (p50, p99, p999) = (percentile(0.5), percentile(0.99), percentile(0.999));
        let note = format!(
            "{:.0} a second; p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms",
            capacity * share,
            p50.value,
            p99.value,
            p999.value
        );
        let what = format!("join at {:.0} % of capacity", share * 100.0);
        if p50_idle == 0.0 {
            p50_idle = p50.value;
            report.row(Row { what, measure: "p99, ms", figure: p99, budget: None, at_most: true, note });
        } else {
            let figure = Median { value: p99.value / p50_idle, spread: p99.spread };
            report.row(Row {
                what,
                measure: "p99 as multiple of p50 at 10 %",
                figure,
                budget: Some(5.0),
                at_most: true,
                note,
            });
        }
    }
}

/// What can be had with this client on this machine, half of which is the client's: the most a fixed rate may be a
/// share of.
async fn client_capacity(server: &Server, effort: Effort) -> f64 {
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

/// Sends joins at `rate` a second for `each`: the latencies in microseconds.
async fn send(server: &Server, rate: f64, each: Duration) -> Histogram<u64> {
    let histogram = Arc::new(Mutex::new(Histogram::<u64>::new(3).expect("three digits are allowed")));
    let request = server.request(Method::POST, "/v1/rooms/line/tickets").json(&json!({}));
    let started = Instant::now();
    let mut under_way = JoinSet::new();
    for n in 0..(rate * each.as_secs_f64()) as u64 {
        let due = started + Duration::from_secs_f64(n as f64 / rate);
        tokio::time::sleep_until(due).await;
        while under_way.try_join_next().is_some() {}
        assert!(under_way.len() < IN_FLIGHT_MAX, "the machine does not keep up with {rate:.0} a second");
        let (request, histogram) = (request.try_clone().expect("a body in memory"), Arc::clone(&histogram));
        under_way.spawn(async move {
            let response = request.send().await.expect("an answer");
            assert_eq!(response.status(), 201, "a join");
            response.bytes().await.expect("a body");
            let micros = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
            histogram.lock().expect("nobody panics in it").saturating_record(micros);
        });
    }
    under_way.join_all().await;
    Arc::try_unwrap(histogram).expect("all are done").into_inner().expect("nobody panics in it")
}
