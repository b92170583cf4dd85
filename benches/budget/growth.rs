//! What grows with what: the same path with more waiting, more rooms, more holds.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    Effort,
    load::{Ask, Median, Sample},
    memory::{hold, hour, reservations},
    paths::{fill, joins},
    report::{Growth, Report},
    site::Site,
};

/// The most that a path may cost when what it should not care for has grown, as a multiple of what it costs at first:
/// the same, but for what two medians of a shared machine differ by.
const FLAT_MOST: f64 = 1.15;

/// Microseconds of Redis a request below which a path does not ask it: what is left are ticks, and no row of the path's.
const ASKED_LEAST: f64 = 1.0;

/// Joins and reservations of a round: enough to tell what one costs. The line, or the holds, grow by so many meanwhile.
const COUNTED: u64 = 20_000;

/// What grows.
const WAITING: &str = "visitors waiting at first, 20 000 more at last";
const ROOMS: &str = "rooms";
const HOLDS: &str = "live holds at first, 20 000 more at last";

/// Rounds of a point at most: the points beside it say as much as more rounds would.
const ROUNDS_MOST: u32 = 3;

/// A path while something grows: what it cost, point by point.
struct Path {
    what: String,
    grows: &'static str,
    points: Vec<(u64, Vec<Sample>)>,
}

impl Path {
    fn new(what: &str, site: &Site, grows: &'static str) -> Self {
        Self { what: format!("{what}, {}", site.store()), grows, points: Vec::new() }
    }

    /// Each round as `measure` makes it; the first warms up and does not count.
    fn measure(&mut self, size: u64, effort: Effort, measure: impl FnMut(u32) -> Sample) {
        let rounds = effort.rounds.min(ROUNDS_MOST);
        self.points.push((size, (0..=rounds).map(measure).skip(1).collect()));
    }

    fn tell(self, report: &mut Report) {
        let of = |get: fn(&Sample) -> f64| -> Vec<(u64, Median)> {
            self.points.iter().map(|(size, samples)| (*size, Median::of(samples.iter().map(get)))).collect()
        };
        let in_redis = of(|sample| sample.redis_us);
        let mut units = vec![("µs of processor a request in the server", of(|sample| sample.cpu_us))];
        if in_redis.iter().any(|(_, median)| median.value >= ASKED_LEAST) {
            units.push(("µs of processor a request in Redis", in_redis));
        }
        for (unit, points) in units {
            let (what, grows, unit) = (self.what.clone(), self.grows.to_owned(), unit.to_owned());
            report.growth(Growth { what, grows, unit, points, flat_most: FLAT_MOST });
        }
    }
}

/// Status and join with a longer and longer line.
pub async fn of_the_line(site: &Site, sizes: &[u64], effort: Effort, report: &mut Report) {
    let (mut status, mut join) = (Path::new("status", site, WAITING), Path::new("join", site, WAITING));
    for size in sizes.iter().copied().filter(|size| *size <= effort.line_most) {
        let rooms = fresh("line", size);
        for room in BTreeSet::from_iter(&rooms) {
            site.server.make_room(room, &json!({"rate_per_minute": 1, "burst": 1})).await;
            fill(&site.server, room, size).await;
        }
        let ask = Ask::get(&format!("/v1/rooms/{}/status", rooms[0]), &[]);
        status.measure(size, effort, |_| site.measure(&ask, effort.each));
        join.measure(size, effort, |round| site.count(joins(&site.server, &rooms[round as usize], COUNTED)));
    }
    status.tell(report);
    join.tell(report);
}

/// The names of what each round is measured on: another one each, where a round adds more than there was before it.
fn fresh(what: &str, size: u64) -> Vec<String> {
    (0..=ROUNDS_MOST).map(|round| format!("{what}-{size}-{}", if size > COUNTED { 0 } else { round })).collect()
}

/// Status and join spread over more and more rooms, each with its line.
pub async fn of_the_rooms(site: &Site, effort: Effort, report: &mut Report) {
    let (mut status, mut join) = (Path::new("status", site, ROOMS), Path::new("join", site, ROOMS));
    let mut made = 0;
    for rooms in [1, 100] {
        for n in made..rooms {
            site.server.make_room(&format!("room-{n}"), &json!({"rate_per_minute": 1, "burst": 1})).await;
            fill(&site.server, &format!("room-{n}"), 100).await;
        }
        made = rooms;
        for (path, method, call) in [(&mut status, "GET", "status"), (&mut join, "POST", "tickets")] {
            let ask = everywhere(rooms, method, call);
            path.measure(rooms, effort, |_| site.measure(&ask, effort.each));
        }
    }
    status.tell(report);
    join.tell(report);
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

/// Reserve in a sale of so many SKUs, with more and more live holds.
pub async fn of_the_stock(site: &Site, skus: u64, effort: Effort, report: &mut Report) {
    let items: Vec<Value> =
        (0..skus).map(|n| json!({"sku": format!("s{n}"), "name": "Kite", "total": 1_000_000_000})).collect();
    let mut reserve = Path::new(&format!("reserve of {skus} SKUs"), site, HOLDS);
    for size in [10, 100_000] {
        let sales = fresh(&format!("drop-{skus}"), size);
        for sale in BTreeSet::from_iter(&sales) {
            site.server.make_sale(sale, &json!(items), &hour()).await;
            hold(&site.server, sale, "s0", size);
        }
        reserve.measure(size, effort, |round| {
            site.count(reservations(&site.server, &sales[round as usize], "s0", COUNTED))
        });
    }
    reserve.tell(report);
}
