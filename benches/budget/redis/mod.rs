//! The rows on Redis, all on the same cores: joins and reservations through HTTP, and what Redis itself spends on them
//! against scripts called bare.

mod server;
pub mod unbatched;

use redis::{Connection, Value};
use serde_json::json;

use self::server::{LEAST_KEYS, LEAST_STOCK, Redis, least};
use crate::{
    Effort,
    load::{Ask, Median, Sample, interleaved},
    paths::reservations,
    report::{Report, Row},
    server::{ADMIN_KEY, Server},
};

/// The share of a bare handler's answers that joins have to reach with Redis on the same cores.
const JOIN_LEAST: f64 = 0.5;
/// How many times as many reservations as with one call a request.
const BATCHING_LEAST: f64 = 3.0;
/// How much more than a bare script Redis may spend on a reservation.
const REDIS_MOST: f64 = 1.25;

/// Everything on Redis.
pub async fn on_redis(effort: Effort, report: &mut Report) {
    let redis = Redis::start();
    let server = Server::on_redis(&redis.url());
    server.make_room("line", &json!({"rate_per_minute": 1, "burst": 1})).await;
    let items = json!([{"sku": "kite", "name": "Kite", "total": 1_000_000_000}]);
    server.make_sale("drop", &items, &json!({"hold_seconds": 3600, "hold_max_seconds": 3600})).await;
    join(effort, &server, &redis, report).await;
    let batch = reserve(effort, &server, &redis, report).await;
    // Its ticks are none of what is measured next.
    let preamble = overheard(&server, &redis).await;
    drop(server);
    bare(effort, &redis, &batch, &preamble, report);
    decr(&redis, report);
}

/// What a request costs Redis, beside what it costs the server.
fn measured(ask: &Ask, server: &Server, redis: &Redis, effort: Effort) -> (Sample, f64) {
    let before = redis.cpu();
    let sample = ask.measure(server, effort.each);
    let requests = sample.per_second * sample.seconds;
    (sample, (redis.cpu() - before).as_secs_f64() * 1e6 / requests)
}

async fn join(effort: Effort, server: &Server, redis: &Redis, report: &mut Report) {
    let path = "/v1/rooms/line/tickets";
    let request = server.request(reqwest::Method::POST, path).json(&json!({}));
    let bare = Server::bare(&server.answer(request).await);
    let ask = Ask::post(path, "{}");
    let mut in_redis = Vec::new();
    let [ours, yardstick] = interleaved(
        effort,
        || {
            let (sample, cpu) = measured(&ask, server, redis, effort);
            in_redis.push(cpu);
            sample
        },
        || ask.measure(&bare, effort.each),
    );
    let in_redis = Median::of(in_redis.into_iter().skip(1));
    report.rates("join, with Redis", &ours, &yardstick, JOIN_LEAST, in_redis);
}

/// What Redis spends on a reservation that came through HTTP, and how many shared a call.
struct Batch {
    cpu_us: Median,
    size: f64,
}

async fn reserve(effort: Effort, server: &Server, redis: &Redis, report: &mut Report) -> Batch {
    let body = json!({"lines": [{"sku": "kite", "quantity": 1}], "buyer": "first"});
    let request = server.request(reqwest::Method::POST, "/v1/sales/drop/reservations").bearer_auth(ADMIN_KEY);
    let answer = server.answer(request.header("Idempotency-Key", "first").json(&body)).await;
    redis::cmd("HSET").arg(LEAST_KEYS[0]).arg("available").arg(LEAST_STOCK).exec(&mut redis.connect()).expect("stock");
    let unbatched = Server::unbatched(&answer, &redis.url());
    let ask = reservations("drop", "kite");
    let (mut in_redis, mut sizes) = (Vec::new(), Vec::new());
    let [ours, yardstick] = interleaved(
        effort,
        || {
            let calls = redis.calls("evalsha");
            let (sample, cpu) = measured(&ask, server, redis, effort);
            in_redis.push(cpu);
            sizes.push(sample.per_second * sample.seconds / (redis.calls("evalsha") - calls));
            sample
        },
        || ask.measure(&unbatched, effort.each),
    );
    let cpu_us = Median::of(in_redis.into_iter().skip(1));
    let size = Median::of(sizes.into_iter().skip(1)).value;
    let rate = |samples: &[Sample]| Median::of(samples.iter().map(|sample| sample.per_second)).value;
    report.row(Row {
        what: "reserve, with Redis".to_owned(),
        measure: "times one call a request",
        figure: Median::of(ours.iter().zip(&yardstick).map(|(ours, one)| ours.per_second / one.per_second)),
        budget: Some(BATCHING_LEAST),
        at_most: false,
        note: format!(
            "{:.0} against {:.0} a second; {:.1} µs of processor a request in the server, {:.1} in Redis; {size:.1} a call",
            rate(&ours),
            rate(&yardstick),
            Median::of(ours.iter().map(|sample| sample.cpu_us)).value,
            cpu_us.value,
        ),
    });
    Batch { cpu_us, size }
}

/// How the server calls the script of its sale: the words up to the name of the term, as Redis heard them.
async fn overheard(server: &Server, redis: &Redis) -> Vec<String> {
    let mut connection = redis.connect();
    let set = |connection: &mut Connection, micros: i64| {
        let words = ["CONFIG", "SET", "slowlog-log-slower-than"];
        redis::cmd(words[0]).arg(&words[1..]).arg(micros).exec(connection).expect("CONFIG SET");
    };
    set(&mut connection, 0);
    let body = json!({"lines": [{"sku": "kite", "quantity": 1}], "buyer": "overheard"});
    let request = server.request(reqwest::Method::POST, "/v1/sales/drop/reservations").bearer_auth(ADMIN_KEY);
    server.answer(request.header("Idempotency-Key", "overheard").json(&body)).await;
    // Off: writing it down would count as Redis's work.
    set(&mut connection, -1);
    let heard: Vec<Vec<Value>> = redis::cmd("SLOWLOG").arg("GET").arg(128).query(&mut connection).expect("SLOWLOG");
    let calls =
        heard.into_iter().filter_map(|entry| redis::from_redis_value::<Vec<String>>(entry.into_iter().nth(3)?).ok());
    let is_ours = |words: &Vec<String>| words.iter().any(|word| word == "reserve") && words[3].starts_with("{s:drop}");
    let mut words = calls.into_iter().find(is_ours).expect("the reservation was heard");
    let keys: usize = words[2].parse().expect("the number of keys");
    words.truncate(3 + keys + 6);
    words
}

/// Scripts called by a client that does nothing else, with as many reservations a call as the server sent.
fn bare(effort: Effort, redis: &Redis, batch: &Batch, preamble: &[String], report: &mut Report) {
    let k = (batch.size.round() as usize).max(1);
    let (mut least_us, mut own_us) = (Vec::new(), Vec::new());
    let mut n = 0_u64;
    let mut number = 0_u64;
    let least = least();
    for _ in 0..=effort.rounds {
        let (cpu, _) = redis.drive(effort.each, |connection| {
            let mut call = least.prepare_invoke();
            LEAST_KEYS.iter().for_each(|key| _ = call.key(*key));
            for _ in 0..k {
                n += 1;
                call.arg(format!("{n:032x}")).arg(format!("bare-{n}"));
            }
            let told: String = call.invoke(connection).expect("a script");
            assert!(!told.contains("sold_out"), "the yardstick sells");
        });
        least_us.push(cpu / k as f64);
        let (cpu, _) = redis.drive(effort.each, |connection| {
            number += 1;
            own(connection, preamble, number, k, &mut n);
        });
        own_us.push(cpu / k as f64);
    }
    for (what, script) in [("the least script", least_us), ("our own script", own_us)] {
        let script = Median::of(script.into_iter().skip(1));
        report.row(Row {
            what: format!("Redis a reservation, against {what} called bare"),
            measure: "multiple of its processor time",
            figure: Median { value: batch.cpu_us.value / script.value, spread: batch.cpu_us.spread + script.spread },
            budget: Some(REDIS_MOST),
            at_most: true,
            note: format!("{:.1} against {:.1} µs, {k} a call", batch.cpu_us.value, script.value),
        });
    }
}

/// One call of the sale's script, as another instance would make it.
fn own(connection: &mut Connection, preamble: &[String], number: u64, k: usize, n: &mut u64) {
    const INSTANCE: &str = "01900000-0000-7000-8000-0000000000be";
    let keys: usize = preamble[2].parse().expect("the number of keys");
    let (of_call, of_sender) = preamble.split_at(3 + keys);
    let mut call = redis::cmd(&of_call[0]);
    // What it is, whose clock, who, its number, the term met and its name; no time reckoned, no floor, nothing adopted.
    call.arg(&of_call[1..]).arg(&of_sender[..2]).arg(INSTANCE).arg(number).arg(&of_sender[4..]).arg(&["0", "0", ""]);
    call.arg(k);
    for _ in 0..k {
        *n += 1;
        call.arg("reserve").arg(format!("{n:032x}")).arg(format!("{n:x}")).arg(&["shop", "-", "0"]);
        call.arg(format!("=own-{n}")).arg(&["-", "-", "1", "kite", "1"]);
    }
    let told: String = call.query(connection).expect("a script");
    assert!(told.starts_with("ok ") && !told.contains("\nx "), "the script grants: {}", &told[..told.len().min(300)]);
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
        measure: "µs of Redis's processor time",
        figure: figure.into(),
        budget: None,
        at_most: true,
        note: said.to_owned(),
    });
}
