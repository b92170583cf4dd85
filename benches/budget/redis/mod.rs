//! The rows on Redis, all on the same cores: joins and reservations through HTTP, and what Redis itself spends on them
//! against scripts called bare.

mod overheard;
mod server;
pub mod unbatched;

use reqwest::Method;
use serde_json::{Value, json};

pub use self::server::Redis;
use self::{
    overheard::{Caller, Overheard},
    server::{LEAST_KEYS, LEAST_STOCK, least},
};
use crate::{
    Effort,
    bare::Answer,
    load::{Ask, Median, Sample, interleaved},
    memory::hour,
    paths::reservations,
    report::{Report, Row},
    server::{ADMIN_KEY, Server, folder},
    site::Site,
};

/// The share of a bare handler's answers that joins have to reach with Redis on the same cores.
const JOIN_LEAST: f64 = 0.5;
/// How many times as many reservations as with one call a request.
const BATCHING_LEAST: f64 = 3.0;
/// How much more than a bare script Redis may spend on a reservation.
const REDIS_MOST: f64 = 1.25;

/// Everything on Redis.
pub async fn on_redis(effort: Effort, report: &mut Report) {
    let site = Site::on_redis();
    site.server.make_room("line", &json!({"rate_per_minute": 1, "burst": 1})).await;
    let items = json!([{"sku": "kite", "name": "Kite", "total": 1_000_000_000}]);
    site.server.make_sale("drop", &items, &hour()).await;
    join(effort, &site, report).await;
    let call = Overheard::listen(&site.server, redis(&site)).await;
    let batch = reserve(effort, &site, &call, report).await;
    bare(effort, &site, &batch, &call, report).await;
    decr(redis(&site), report);
}

fn redis(site: &Site) -> &Redis {
    site.redis.as_ref().expect("it is a site on Redis")
}

async fn join(effort: Effort, site: &Site, report: &mut Report) {
    let path = "/v1/rooms/line/tickets";
    let request = site.server.request(Method::POST, path).json(&json!({}));
    let bare = Server::bare(&site.server.answer(request).await);
    // Over more connections more joins share a call, as in a crowd.
    for connections in [64, 256] {
        let ask = Ask::post(path, "{}").over(connections);
        let [ours, yardstick] =
            interleaved(effort, || site.measure(&ask, effort.each), || ask.measure(&bare, effort.each));
        report.rates(&format!("join, with Redis, {connections} connections"), &ours, &yardstick, JOIN_LEAST);
    }
}

/// How many reservations share a call, and what is answered to one.
struct Batch {
    size: f64,
    answer: Answer,
}

async fn reserve(effort: Effort, site: &Site, call: &Overheard, report: &mut Report) -> Batch {
    let body = json!({"lines": [{"sku": "kite", "quantity": 1}], "buyer": "first"});
    let request = site.server.request(Method::POST, "/v1/sales/drop/reservations").bearer_auth(ADMIN_KEY);
    let answer = site.server.answer(request.header("Idempotency-Key", "first").json(&body)).await;
    let url = redis(site).url();
    let mut connection = redis(site).connect();
    redis::cmd("HSET").arg(LEAST_KEYS[0]).arg("available").arg(LEAST_STOCK).exec(&mut connection).expect("stock");
    let folder = folder();
    let file = folder.path().join("call.json");
    std::fs::write(&file, serde_json::to_vec(call).expect("words are JSON")).expect("the folder can be written");
    let ask = reservations("drop", "kite");
    let mut batch = Vec::new();
    for (what, yardstick, budget) in [
        ("one call of the same script a request", Server::unbatched(&answer, &url, Some(&file)), Some(BATCHING_LEAST)),
        ("one call of the least script a request", Server::unbatched(&answer, &url, None), None),
    ] {
        let before = held(&site.server).await;
        let [ours, unbatched] = interleaved(
            effort,
            || site.measure(&ask, effort.each),
            || site.spent(|| ask.measure(&yardstick, effort.each)),
        );
        let total = |samples: &[Sample]| samples.iter().map(|sample| sample.per_second * sample.seconds).sum::<f64>();
        let granted = (held(&site.server).await - before) as f64;
        let claimed = total(&ours) + if budget.is_some() { total(&unbatched) } else { 0.0 };
        assert!(granted >= claimed, "{granted} held, {claimed} answered: the script of the yardstick does not grant");
        against(what, budget, &ours, &unbatched, report);
        batch.extend(ours);
    }
    Batch { size: 1.0 / Median::of(batch.iter().map(|sample| sample.redis_calls)).value, answer }
}

/// What batching brings.
fn against(what: &str, budget: Option<f64>, ours: &[Sample], unbatched: &[Sample], report: &mut Report) {
    let of = |samples: &[Sample], get: fn(&Sample) -> f64| Median::of(samples.iter().map(get)).value;
    let both = |samples: &[Sample]| {
        let [rate, server, in_redis] =
            [|s: &Sample| s.per_second, |s: &Sample| s.cpu_us, |s: &Sample| s.redis_us].map(|get| of(samples, get));
        format!("{rate:.0} a second with {server:.1} µs of processor in the server and {in_redis:.1} in Redis")
    };
    report.row(Row {
        what: "reserve, with Redis".to_owned(),
        measure: format!("times {what}"),
        figure: Median::of(ours.iter().zip(unbatched).map(|(ours, one)| ours.per_second / one.per_second)),
        budget,
        at_most: false,
        note: format!("{}, {:.1} a call; against {}", both(ours), 1.0 / of(ours, |s| s.redis_calls), both(unbatched)),
    });
}

/// Units of the sale that are held.
async fn held(server: &Server) -> u64 {
    let view = server.operate(Method::GET, "/v1/sales/drop", &Value::Null).await;
    view["items"][0]["held"].as_u64().expect("an operator sees the numbers")
}

/// Scripts called bare, with as many reservations a call as the server sends, in turn with the server itself. A bare handler
/// is loaded meanwhile as the server is otherwise: a processor takes longer for the same where its neighbour is busy too.
async fn bare(effort: Effort, site: &Site, batch: &Batch, call: &Overheard, report: &mut Report) {
    let redis = redis(site);
    let k = (batch.size.round() as usize).max(1);
    let ask = reservations("drop", "kite");
    let company = Server::bare(&batch.answer);
    let least = least();
    let (mut n, mut own_calls, mut came) = (0_u64, 0_u64, 0.0);
    let mut caller = Caller::new(std::process::id(), 0);
    let before = held(&site.server).await;
    let mut rounds = Vec::new();
    for round in 0..=effort.rounds {
        let ours = site.measure(&ask, effort.each);
        came += ours.per_second * ours.seconds;
        let own = beside(&company, &ask, effort, || {
            redis.drive(effort.each, |connection| {
                own_calls += 1;
                call.call(&mut caller, k).exec(connection).expect("a script");
            })
        });
        let least = beside(&company, &ask, effort, || {
            redis.drive(effort.each, |connection| {
                let mut call = least.prepare_invoke();
                LEAST_KEYS.iter().for_each(|key| _ = call.key(*key));
                for _ in 0..k {
                    n += 1;
                    call.arg(format!("{n:032x}")).arg(format!("bare-{n}"));
                }
                let told: String = call.invoke(connection).expect("a script");
                assert!(!told.contains("sold_out"), "the yardstick sells");
            })
        });
        if round > 0 {
            rounds.push([ours.redis_us, own.0 / k as f64, least.0 / k as f64]);
        }
    }
    let granted = (held(&site.server).await - before) as f64;
    assert!(granted >= came + (own_calls * k as u64) as f64, "the script called bare grants");
    for (what, place) in [("our own script", 1), ("the least script", 2)] {
        let of = |place: usize| Median::of(rounds.iter().map(|round| round[place])).value;
        report.row(Row {
            what: format!("Redis a reservation, against {what} called bare"),
            measure: "multiple of its processor time".to_owned(),
            figure: Median::of(rounds.iter().map(|round| round[0] / round[place])),
            budget: (place == 1).then_some(REDIS_MOST),
            at_most: true,
            note: format!("{:.1} against {:.1} µs, {k} a call", of(0), of(place)),
        });
    }
}

/// Does something while a handler is loaded.
fn beside<T>(company: &Server, ask: &Ask, effort: Effort, act: impl FnOnce() -> T) -> T {
    std::thread::scope(|scope| {
        let load = scope.spawn(|| ask.measure(company, effort.each));
        let done = act();
        load.join().expect("the handler answers");
        done
    })
}

/// The least that Redis can do at all.
fn decr(redis: &Redis, report: &mut Report) {
    const CALLS: u32 = 500_000;
    let port = redis.url().rsplit(':').next().unwrap_or_default().to_owned();
    let cpu = redis.cpu();
    let output = std::process::Command::new("redis-benchmark")
        .args(["-p", &port, "-c", "64", "-n", &CALLS.to_string(), "-q", "DECR", "yardstick"])
        .output()
        .expect("redis-benchmark is installed");
    assert!(output.status.success(), "redis-benchmark: {}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout);
    let said = said.trim().rsplit(['\r', '\n']).next().unwrap_or_default();
    let figure = (redis.cpu() - cpu).as_secs_f64() * 1e6 / f64::from(CALLS);
    report.row(Row {
        what: "plain DECR, one a call".to_owned(),
        measure: "µs of Redis's processor time".to_owned(),
        figure: figure.into(),
        budget: None,
        at_most: true,
        note: said.to_owned(),
    });
}
