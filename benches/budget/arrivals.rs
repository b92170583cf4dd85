//! Requests sent when they are due, whether the last ones were answered or not, and measured from when they were due,
//! so that a pause of the server is seen by everyone it would have met.

use std::{
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use tokio::{sync::mpsc, task::JoinSet};

/// Requests under way at most; one that is due beyond it is a miss of the machine, and told.
const IN_FLIGHT_MAX: usize = 4_096;

/// The longest wait told apart from longer ones: a minute, beyond which the client gives up.
const LONGEST_MICROS: u64 = 60_000_000;

/// What came of the requests of one rate, in microseconds.
pub struct Arrivals {
    /// From when each was due to the end of its answer.
    pub answered: Histogram<u64>,
    /// From when each was due to when the sender got to it: what of the time above is none of the server's.
    pub late: Histogram<u64>,
}

impl Arrivals {
    fn new() -> Self {
        // With its bounds said: one that grows by itself does not grow for `saturating_record`, and would show every
        // pause as two milliseconds.
        let empty = || Histogram::new_with_bounds(1, LONGEST_MICROS, 3).expect("three digits are allowed");
        Self { answered: empty(), late: empty() }
    }
}

/// Sends what `make` makes, the number of the request given, at `rate` a second for `each`.
///
/// # Panics
/// An answer was an error, or the machine does not keep up with the rate.
pub async fn send(rate: f64, each: Duration, mut make: impl FnMut(u64) -> reqwest::RequestBuilder) -> Arrivals {
    let arrivals = Arc::new(Mutex::new(Arrivals::new()));
    let mut due_times = clockwork(rate, each);
    let mut under_way = JoinSet::new();
    let mut number = 0;
    while let Some(due) = due_times.recv().await {
        while under_way.try_join_next().is_some() {}
        assert!(under_way.len() < IN_FLIGHT_MAX, "the machine does not keep up with {rate:.0} a second");
        let (request, arrivals) = (make(number), Arc::clone(&arrivals));
        number += 1;
        under_way.spawn(async move {
            let late = micros(due);
            let response = request.send().await.expect("an answer");
            assert!(response.status().is_success(), "{} was answered {}", response.url(), response.status());
            response.bytes().await.expect("a body");
            let mut arrivals = arrivals.lock().expect("nobody panics in it");
            arrivals.answered.saturating_record(micros(due));
            arrivals.late.saturating_record(late);
        });
    }
    under_way.join_all().await;
    Arc::into_inner(arrivals).expect("all are done").into_inner().expect("nobody panics in it")
}

/// Tells the moments at which requests are due. In a thread of its own that sleeps in the kernel: the runtime's timers
/// know whole milliseconds only, and so would every latency.
fn clockwork(rate: f64, each: Duration) -> mpsc::UnboundedReceiver<Instant> {
    let (tell, told) = mpsc::unbounded_channel();
    let started = Instant::now();
    thread::spawn(move || {
        for n in 0..(rate * each.as_secs_f64()) as u64 {
            let due = started + Duration::from_secs_f64(n as f64 / rate);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if tell.send(due).is_err() {
                break;
            }
        }
    });
    told
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}
