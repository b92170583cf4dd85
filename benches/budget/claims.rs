//! What a claim costs: a called visitor's ticket against a pass.

use serde_json::{Value, json};

use super::{
    Effort,
    load::{Median, Sample},
    report::{Report, Row},
    sender::{Pace, Stream, send},
    server::Server,
    site::Site,
};

/// Claims a second that a round has tickets for: about what two cores can sign.
const TICKETS_A_SECOND: u64 = 10_000;

/// Claims, each of another place: rate, processor time of the server and of Redis, and how many share a call.
pub async fn of(site: &Site, effort: Effort, report: &mut Report) {
    make_shop(&site.server, "shop").await;
    let mut samples = Vec::new();
    // The first warms up and does not count.
    for _ in 0..=effort.rounds {
        let tickets = join(&site.server, "shop", TICKETS_A_SECOND * effort.each.as_secs());
        samples.push(site.count(claims(&site.server, "shop", &tickets)));
    }
    let of = |get: fn(&Sample) -> f64| Median::of(samples.iter().skip(1).map(get));
    let mut note = format!("{:.1} µs of processor a request in the server", of(|sample| sample.cpu_us).value);
    if site.redis.is_some() {
        let (redis_us, calls) = (of(|sample| sample.redis_us).value, of(|sample| sample.redis_calls).value);
        note += &format!(", {redis_us:.1} in Redis; {:.0} calls of a script for 1 000 requests", calls * 1000.0);
    }
    report.row(Row {
        what: format!("claim, {}", site.store()),
        measure: "a second".to_owned(),
        figure: of(|sample| sample.per_second),
        budget: None,
        at_most: false,
        note,
    });
}

/// A room in which everyone is called at once, and stays for the whole measurement.
pub async fn make_shop(server: &Server, room: &str) {
    let settings = json!({"rate_per_minute": 1_000_000, "burst": 10_000_000, "claim_window_seconds": 3_600, "session_seconds": 3_600});
    server.make_room(room, &settings).await;
}

/// The tickets of so many new places.
pub fn join(server: &Server, room: &str, count: u64) -> Vec<String> {
    let request = server.bytes("POST", &format!("/v1/rooms/{room}/tickets"), &[], "{}");
    let mut tickets = Vec::new();
    let mut joins = Stream::new(Pace::Count(count), |_| request.clone());
    joins.heard = Box::new(|body| {
        let joined: Value = serde_json::from_slice(body).expect("a place is JSON");
        assert_eq!(joined["called"], true, "everyone is called at once");
        tickets.push(joined["ticket"].as_str().expect("a place has a ticket").to_owned());
    });
    send(server.address(), &mut [joins]);
    tickets
}

/// The claims of these tickets' places.
pub fn claims<'a>(server: &'a Server, room: &str, tickets: &'a [String]) -> Stream<'a> {
    let path = format!("/v1/rooms/{room}/passes");
    let request = move |n: u64| {
        let ticket = &tickets[usize::try_from(n).expect("there are fewer")];
        server.bytes("POST", &path, &[("X-Dropgate-Ticket", ticket)], "{}")
    };
    let mut claims = Stream::new(Pace::Count(tickets.len() as u64), request);
    claims.heard = Box::new(|body| assert!(body.starts_with(br#"{"pass":"#), "everyone gets a pass"));
    claims
}
