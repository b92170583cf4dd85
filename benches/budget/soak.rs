//! Minutes of everything at once, and no pause in it: polls, joins and reservations at a fixed rate while calls lapse,
//! holds expire and the journal is rewritten.

use std::{
    fs::File,
    io::Write as _,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use serde_json::json;

use super::{
    Effort,
    latency::{capacity, joins, pauses_of_the_machine, reserves},
    paths::fill,
    report::{Pauses, Report, Row},
    sender::{Arrivals, Pace, Stream, send},
    server::{Server, folder},
};

/// The longest that anybody may wait.
const PAUSE_MOST_MS: f64 = 50.0;
/// The bounds of the histogram, in milliseconds.
const BOUNDS_MS: [u64; 9] = [1, 2, 3, 5, 10, 20, 50, 100, 500];
/// How much of the capacity is asked for, over all: a busy server, not a drowning one.
const LOAD: f64 = 0.3;
/// Who waits when it begins.
const WAITING: u64 = 100_000;

/// The soak, on the store on disk: the one with most to pause for.
pub async fn of(duration: Duration, effort: Effort, report: &mut Report) {
    pauses_of_the_machine(effort, report);
    pauses_of_the_disk(effort, report);
    let server = Server::on_file();
    // Calls that nobody claims, and holds that nobody pays: both end all the time.
    server.make_room("line", &json!({"rate_per_minute": 6_000, "claim_window_seconds": 30})).await;
    let settings = json!({"hold_seconds": 10, "hold_max_seconds": 60});
    server.make_sale("drop", &json!([{"sku": "kite", "name": "Kite", "total": 1_000_000_000}]), &settings).await;
    fill(&server, "line", WAITING).await;
    let mut join = joins(&server);
    let rate = capacity(&mut || join(0), &server, effort).value * LOAD / 3.0;
    let pace = Pace::Rate(rate, duration);
    let poll = server.bytes("GET", "/v1/rooms/line/status", &[], "");
    let mut streams =
        [Stream::new(pace, |_| poll.clone()), Stream::new(pace, join), Stream::new(pace, reserves(&server))];
    let arrivals = send(server.address(), &mut streams);
    report.refusals("in the soak", arrivals.iter().map(|arrivals| arrivals.refused).sum());
    for (what, arrivals) in ["status", "join", "reserve"].into_iter().zip(&arrivals) {
        row(what, rate, duration, arrivals, report);
    }
}

/// How long the disk takes at most to keep what a commit writes, with nothing else running: no answer that waits for it is
/// sooner.
fn pauses_of_the_disk(effort: Effort, report: &mut Report) {
    let commit = vec![7; 65_536];
    let folder = folder();
    let mut file = File::create(folder.path().join("written")).expect("the folder can be written");
    let mut syncs = Histogram::<u64>::new(3).expect("three digits are allowed");
    let started = Instant::now();
    while started.elapsed() < effort.each * effort.rounds {
        let began = Instant::now();
        file.write_all(&commit).and_then(|()| file.sync_data()).expect("the disk takes it");
        syncs.record(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX)).expect("it grows");
    }
    let ms = |micros: u64| micros as f64 / 1000.0;
    let at = |quantile| ms(syncs.value_at_quantile(quantile));
    report.row(Row {
        what: "pauses of the disk itself: 64 kB written and synced".to_owned(),
        measure: "ms at most".to_owned(),
        figure: ms(syncs.max()).into(),
        budget: None,
        at_most: true,
        note: format!("p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms", at(0.5), at(0.99), at(0.999)),
    });
}

fn row(what: &str, rate: f64, duration: Duration, arrivals: &Arrivals, report: &mut Report) {
    let ms = |micros: u64| micros as f64 / 1000.0;
    let answered = &arrivals.answered;
    let at = |quantile| ms(answered.value_at_quantile(quantile));
    let note = format!(
        "{rate:.0} a second for {} s, {} refused; p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms; the sender itself was late by {:.1} ms at most",
        duration.as_secs(),
        arrivals.refused,
        at(0.5),
        at(0.99),
        at(0.999),
        ms(arrivals.late.max()),
    );
    report.row(Row {
        what: format!("longest wait for {what} in the soak"),
        measure: "ms".to_owned(),
        figure: ms(answered.max()).into(),
        budget: Some(PAUSE_MOST_MS),
        at_most: true,
        note,
    });
    let mut counted = 0;
    let mut counts = Vec::new();
    for bound in BOUNDS_MS.into_iter().chain([u64::MAX / 1000]) {
        // From the beginning, less what was counted: a bucket that reaches over a bound stands once.
        let up_to = answered.count_between(0, bound * 1000);
        counts.push((bound.min(BOUNDS_MS[BOUNDS_MS.len() - 1] + 1), up_to - counted));
        counted = up_to;
    }
    report.pauses(Pauses { what: what.to_owned(), counts });
}
