//! Latency at a fixed arrival rate, not only at saturation. A server can be no steadier than the machine under it, so the
//! machine's own pauses are shown, and what a bare handler makes of the same rates.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{
    Effort,
    cores::Cores,
    load::Median,
    redis::Redis,
    report::{Latency, Report, Row},
    sender::{Arrivals, Make, Pace, Stream, send},
    server::{Server, run_id},
};

/// The most that the slowest percent at six tenths may take, as a multiple of the middle at a tenth.
const P99_MOST: f64 = 5.0;
/// The shares of the capacity that are asked for: a quiet server and a busy one.
const QUIET: f64 = 0.1;
const BUSY: f64 = 0.6;

/// Joins and reservations on the store in memory, and a bare handler at the same shares of what it can do itself: what is
/// left of both is the kernel's and the sender's. First with cores of the server's own, where the budget is to be met, then
/// with all cores for both: where server and sender want more threads than there are cores, whoever is wanted waits for
/// another's slice of time.
pub async fn in_memory(effort: Effort, report: &mut Report) {
    pauses_of_the_machine(effort, report);
    let apart = Cores::apart().map(|cores| (cores, "cores of its own"));
    let shared = (Cores::shared(), "cores shared with the sender");
    for (cores, which) in apart.into_iter().chain([shared]) {
        let server = cores.serve(Server::in_memory);
        furnish(&server).await;
        let ours = of_path(&format!("join in memory, {which}"), &mut joins(&server), &server, cores, effort, report);
        of_path(&format!("reserve in memory, {which}"), &mut reserves(&server), &server, cores, effort, report);
        let join = server.request(reqwest::Method::POST, "/v1/rooms/line/tickets").json(&json!({}));
        let answer = server.answer(join).await;
        drop(server);
        let server = cores.serve(|| Server::bare(&answer));
        let bare = of_path(&format!("a bare handler, {which}"), &mut joins(&server), &server, cores, effort, report);
        for (what, [quiet, busy], budget) in [("join in memory", ours, Some(P99_MOST)), ("a bare handler", bare, None)]
        {
            let what = format!("{what} at 60 % of capacity, {which}");
            report.refusals(&what, busy.refused);
            report.row(Row {
                what,
                measure: "p99 as multiple of the p50 at 10 %".to_owned(),
                figure: busy.p99.over(quiet.p50),
                budget,
                at_most: true,
                note: format!("{:.2} against {:.2} ms", busy.p99.value, quiet.p50.value),
            });
        }
    }
}

/// The same with Redis, which shares the cores as well.
pub async fn on_redis(effort: Effort, report: &mut Report) {
    let redis = Redis::start();
    let server = Server::on_redis(&redis.url());
    furnish(&server).await;
    let cores = Cores::shared();
    of_path("join with Redis", &mut joins(&server), &server, cores, effort, report);
    of_path("reserve with Redis", &mut reserves(&server), &server, cores, effort, report);
}

async fn furnish(server: &Server) {
    server.make_room("line", &json!({"rate_per_minute": 1, "burst": 1})).await;
    server.make_sale("drop", &json!([{"sku": "kite", "name": "Kite", "total": 1_000_000_000}]), &json!({})).await;
}

/// Joins of the room `line`.
pub fn joins(server: &Server) -> Make<'_> {
    let join = server.bytes("POST", "/v1/rooms/line/tickets", &[], "{}");
    Box::new(move |_| join.clone())
}

/// Reservations of one unit in the sale `drop`, each by another buyer.
pub fn reserves(server: &Server) -> Make<'_> {
    let run = run_id();
    Box::new(move |n| server.reservation("drop", "kite", &format!("{run}-{n}")))
}

/// A path at both shares of its capacity.
fn of_path(
    what: &str,
    make: &mut Make<'_>,
    server: &Server,
    cores: Cores,
    effort: Effort,
    report: &mut Report,
) -> [Latency; 2] {
    // Numbers go on, so that no key is seen twice.
    let mut numbers = 0..;
    let mut next = move || make(numbers.next().unwrap_or_default());
    cores.send(|| {
        let (capacity, busy) = cores.busy(server, || capacity(&mut next, server, effort));
        report.row(Row {
            what: format!("{what}: capacity"),
            measure: "a second".to_owned(),
            figure: capacity,
            budget: None,
            at_most: false,
            // Where it is far from all, it is the sender that can do no more.
            note: format!("with {:.0} % of the server's cores", busy * 100.0),
        });
        let capacity = capacity.value;
        [QUIET, BUSY].map(|share| {
            let what = format!("{what}, at {:.0} % of capacity", share * 100.0);
            at(&what, capacity * share, &mut next, server, cores, effort, report)
        })
    })
}

/// A path at this rate.
fn at(
    what: &str,
    rate: f64,
    next: &mut impl FnMut() -> Vec<u8>,
    server: &Server,
    cores: Cores,
    effort: Effort,
    report: &mut Report,
) -> Latency {
    let pace = Pace::Rate(rate, effort.each);
    let (rounds, busy) =
        cores.busy(server, || (0..effort.rounds).map(|_| run(pace, next, server)).collect::<Vec<Arrivals>>());
    let answered = |quantile| in_ms(&rounds, |round| round.answered.value_at_quantile(quantile));
    let latency = Latency {
        what: what.to_owned(),
        per_second: rate,
        p50: answered(0.5),
        p99: answered(0.99),
        p999: answered(0.999),
        late: in_ms(&rounds, |round| round.late.value_at_quantile(0.99)),
        refused: rounds.iter().map(|round| round.refused).sum(),
        busy,
    };
    report.latency(latency.clone());
    latency
}

/// How much of the time a thread that does nothing but read the clock is not running, in pauses of over a tenth of a
/// millisecond: what the kernel, or the host of a virtual machine, takes for others. No server has a p99 below the longest
/// of them where they take more than a hundredth.
pub fn pauses_of_the_machine(effort: Effort, report: &mut Report) {
    const NOTED: Duration = Duration::from_micros(100);
    let (started, mut last) = (Instant::now(), Instant::now());
    let (mut missing, mut longest) = (Duration::ZERO, Duration::ZERO);
    while started.elapsed() < effort.each * effort.rounds {
        let now = Instant::now();
        let pause = now - last;
        last = now;
        if pause > NOTED {
            missing += pause;
            longest = longest.max(pause);
        }
    }
    let share = 100.0 * missing.as_secs_f64() / started.elapsed().as_secs_f64();
    report.row(Row {
        what: "pauses of the machine itself, nothing else running".to_owned(),
        measure: "% of the time".to_owned(),
        figure: share.into(),
        budget: None,
        at_most: true,
        note: format!("the longest {:.1} ms", longest.as_secs_f64() * 1000.0),
    });
}

fn in_ms(rounds: &[Arrivals], figure: impl Fn(&Arrivals) -> u64) -> Median {
    Median::of(rounds.iter().map(|round| figure(round) as f64 / 1000.0))
}

fn run(pace: Pace, next: &mut impl FnMut() -> Vec<u8>, server: &Server) -> Arrivals {
    send(server.address(), &mut [Stream::new(pace, |_| next())]).remove(0)
}

/// What can be had on this machine, of which the sender takes its share too: what a fixed rate is a share of.
pub fn capacity(next: &mut impl FnMut() -> Vec<u8>, server: &Server, effort: Effort) -> Median {
    Median::of((0..effort.rounds).map(|_| run(Pace::Unpaced(effort.each), next, server).per_second()))
}
