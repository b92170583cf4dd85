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

/// Joins and reservations of a round: enough to tell what one costs. The line, or the holds, grow by so many with each
/// round, where there were more than that at first; where there were fewer, each round has another.
const COUNTED: u64 = 20_000;

/// What grows.
const WAITING: &str = "visitors waiting at first";
const ROOMS: &str = "rooms that are asked, of a hundred";
const HOLDS: &str = "live holds at first";

/// Rounds of a point at most: the points beside it say as much as more rounds would.
const ROUNDS_MOST: u32 = 5;

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

    /// Measures all points in turn, round by round, so that a minute in which the machine is slower is no growth. Of each
    /// point the first round warms up and does not count.
    fn measure(&mut self, sizes: &[u64], effort: Effort, mut measure: impl FnMut(usize, u32) -> Sample) {
        self.points = sizes.iter().map(|size| (*size, Vec::new())).collect();
        for round in 0..=effort.rounds.min(ROUNDS_MOST) {
            for (at, (_, samples)) in self.points.iter_mut().enumerate() {
                let sample = measure(at, round);
                if round > 0 {
                    samples.push(sample);
                }
            }
        }
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
    let sizes: Vec<u64> = sizes.iter().copied().filter(|size| *size <= effort.line_most).collect();
    let rooms: Vec<Vec<String>> = sizes.iter().map(|size| fresh("line", *size)).collect();
    for (size, rooms) in sizes.iter().zip(&rooms) {
        for room in BTreeSet::from_iter(rooms) {
            site.server.make_room(room, &json!({"rate_per_minute": 1, "burst": 1})).await;
            fill(&site.server, room, *size).await;
        }
    }
    let asks: Vec<Ask> = rooms.iter().map(|rooms| Ask::get(&format!("/v1/rooms/{}/status", rooms[0]), &[])).collect();
    status.measure(&sizes, effort, |at, _| site.measure(&asks[at], effort.each));
    join.measure(&sizes, effort, |at, round| site.count(joins(&site.server, &rooms[at][round as usize], COUNTED)));
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
    let sizes = [1, 100];
    for n in 0..sizes[1] {
        site.server.make_room(&format!("room-{n}"), &json!({"rate_per_minute": 1, "burst": 1})).await;
        fill(&site.server, &format!("room-{n}"), 100).await;
    }
    for (path, method, call) in [(&mut status, "GET", "status"), (&mut join, "POST", "tickets")] {
        let asks = sizes.map(|rooms| everywhere(rooms, method, call));
        path.measure(&sizes, effort, |at, _| site.measure(&asks[at], effort.each));
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
    let sizes = [10, 100_000];
    let sales = sizes.map(|size| fresh(&format!("drop-{skus}"), size));
    for (size, sales) in sizes.iter().zip(&sales) {
        for sale in BTreeSet::from_iter(sales) {
            site.server.make_sale(sale, &json!(items), &hour()).await;
            hold(&site.server, sale, "s0", *size);
        }
    }
    reserve.measure(&sizes, effort, |at, round| {
        site.count(reservations(&site.server, &sales[at][round as usize], "s0", COUNTED))
    });
    reserve.tell(report);
}
