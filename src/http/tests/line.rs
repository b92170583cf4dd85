//! Joining, standing in line, claiming, leaving.

use futures_util::future::join_all;
use rstest::rstest;

use super::*;

/// A room whose line stands still: everyone who joins waits.
async fn held() -> Bench {
    Bench::with_room(json!({ "mode": "hold" })).await
}

#[actix_web::test]
async fn a_join_into_an_idle_room_is_called_at_once() {
    let bench = Bench::with_room(json!({})).await;
    let joined = bench.post("/v1/rooms/main/tickets", json!({})).await;
    assert_eq!(joined.status, 201);
    assert_eq!(joined.header("cache-control"), "private, no-store");
    let ticket = joined.body["ticket"].as_str().unwrap();
    let expected =
        json!({ "room": "main", "kind": "position", "number": 1, "ticket": ticket, "head": 1, "called": true });
    assert_eq!(joined.body, expected);
    let cookie = format!("{TICKET_COOKIE}={ticket}; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=86400");
    assert_eq!(joined.header("set-cookie"), cookie);
}

#[actix_web::test]
async fn a_visitor_with_a_place_keeps_it() {
    let bench = held().await;
    let ticket = bench.join().await;
    let again = bench.post_with(&ticket, "/v1/rooms/main/tickets", json!({})).await;
    assert_eq!((again.status, &again.body["number"], &again.body["ticket"]), (200, &json!(1), &json!(ticket)));
    assert_eq!(again.header("set-cookie"), "");
    let by_cookie = bench.submit(Some(&ticket), "/v1/rooms/main/tickets").await;
    assert_eq!((by_cookie.status, &by_cookie.body["number"]), (200, &json!(1)));
}

#[actix_web::test]
async fn a_header_beats_a_cookie() {
    let bench = held().await;
    let (first, second) = (bench.join().await, bench.join().await);
    let request = TestRequest::get().uri("/v1/rooms/main/place");
    let request = request.insert_header((header::COOKIE, format!("{TICKET_COOKIE}={first}")));
    let place = bench.send(Surface::All, request.insert_header(("X-Dropgate-Ticket", second))).await;
    assert_eq!(place.body["position"], 2);
}

#[actix_web::test]
async fn a_cookie_that_is_no_ticket_is_as_good_as_none_but_a_header_is_refused() {
    let bench = held().await;
    assert_eq!(bench.submit(Some("nonsense"), "/v1/rooms/main/tickets").await.status, 201);
    let by_header = bench.post_with("nonsense", "/v1/rooms/main/tickets", json!({})).await;
    assert_problem(&by_header, 401, "invalid_ticket");
}

#[actix_web::test]
async fn a_cookie_counts_only_for_our_own_pages() {
    let bench = held().await;
    let ticket = bench.join().await;
    for (path, body) in [("tickets", json!({})), ("passes", json!({})), ("leave", json!({}))] {
        let request = TestRequest::post().uri(&format!("/v1/rooms/main/{path}")).set_json(&body);
        let request = request.insert_header((header::COOKIE, format!("{TICKET_COOKIE}={ticket}")));
        let foreign = bench.send(Surface::All, request.insert_header(("Sec-Fetch-Site", "same-site"))).await;
        assert_problem(&foreign, 403, "forbidden");
    }
    let place = bench.get_with(&ticket, "/v1/rooms/main/place").await;
    assert_eq!(place.body["state"], "waiting", "nothing happened to the place");
}

#[actix_web::test]
async fn another_site_gets_a_ticket_but_sets_no_cookie() {
    let bench = held().await;
    let request = TestRequest::post().uri("/v1/rooms/main/tickets").insert_header(("Origin", "https://shop.example"));
    let joined = bench.send(Surface::All, request).await;
    assert_eq!((joined.status, joined.header("set-cookie")), (201, ""));
    assert_eq!(joined.header("access-control-allow-origin"), "https://shop.example");
    assert_eq!(joined.header("access-control-allow-credentials"), "");
}

#[actix_web::test]
async fn a_closed_room_takes_nobody() {
    let bench = Bench::with_room(json!({ "mode": "closed" })).await;
    assert_problem(&bench.post("/v1/rooms/main/tickets", json!({})).await, 403, "room_closed");
}

#[actix_web::test]
async fn an_address_takes_no_more_places_than_the_room_allows() {
    let bench = Bench::with_room(json!({ "mode": "hold", "join_per_address": 2 })).await;
    let ticket = bench.join().await;
    bench.join().await;
    let third = bench.post("/v1/rooms/main/tickets", json!({})).await;
    assert_problem(&third, 429, "rate_limited");
    assert_eq!(third.header("retry-after"), "30");
    let again = bench.post_with(&ticket, "/v1/rooms/main/tickets", json!({})).await;
    assert_eq!(again.status, 200, "who has a place is not counted");
}

#[actix_web::test]
async fn a_waiting_visitor_hears_where_it_stands() {
    let bench = held().await;
    bench.join().await;
    let ticket = bench.join().await;
    let place = bench.get_with(&ticket, "/v1/rooms/main/place").await;
    assert_eq!((place.status, place.header("cache-control")), (200, "private, no-store"));
    let expected = json!({ "state": "waiting", "position": 2, "ahead": 1, "wait_seconds": null });
    assert_eq!(place.body, expected, "a paused line has no wait to tell");
    bench.patch_room(json!({ "mode": "queue", "rate_per_minute": 1, "burst": 1 })).await;
    let place = bench.get_with(&ticket, "/v1/rooms/main/place").await;
    assert!(place.body["wait_seconds"]["likely"].as_u64().unwrap() >= 30, "{}", place.body);
}

#[actix_web::test]
async fn a_called_visitor_enters_and_is_inside() {
    let bench = Bench::with_room(json!({ "session_seconds": 600, "claim_window_seconds": 30 })).await;
    let ticket = bench.join().await;
    let called = bench.get_with(&ticket, "/v1/rooms/main/place").await;
    let deadline = called.body["deadline"].as_str().unwrap().to_owned();
    assert_eq!((&called.body["state"], deadline.as_str()), (&json!("called"), "2027-01-15T08:00:30Z"));
    let granted = bench.claim(&ticket).await;
    assert_eq!(granted.status, 200);
    assert_eq!(granted.body["expires_at"], "2027-01-15T08:10:00Z");
    let pass = claims(granted.body["pass"].as_str().unwrap());
    assert_eq!((&pass["iss"], &pass["aud"]), (&json!("https://line.example"), &json!("main")));
    let redirect = granted.body["redirect_to"].as_str().unwrap();
    assert!(redirect.starts_with("https://shop.example/?dropgate="), "{redirect}");
    let inside = bench.get_with(&ticket, "/v1/rooms/main/place").await;
    assert_eq!(inside.body["state"], "inside");
}

#[actix_web::test]
async fn the_way_back_leads_where_the_visitor_came_from_and_nowhere_else() {
    let bench = Bench::with_room(json!({})).await;
    let ticket = bench.join().await;
    let redirect_of = async |url: &str| {
        let granted = bench.post_with(&ticket, "/v1/rooms/main/passes", json!({ "return_url": url })).await;
        granted.body["redirect_to"].as_str().unwrap().to_owned()
    };
    let home = redirect_of("https://shop.example/shoes?size=9#red").await;
    assert!(home.starts_with("https://shop.example/shoes?size=9&dropgate="), "{home}");
    assert!(home.ends_with("#red"), "{home}");
    for evil in ["https://evil.example/", "//evil.example", "https://line.example/", "javascript:alert(1)"] {
        let refused = redirect_of(evil).await;
        assert!(refused.starts_with("https://shop.example/?dropgate="), "{evil} led to {refused}");
    }
}

#[actix_web::test]
async fn a_hundred_claims_of_one_ticket_are_one_session() {
    let bench = Bench::with_room(json!({})).await;
    let ticket = bench.join().await;
    let granted = join_all((0..100).map(|_| bench.claim(&ticket))).await;
    let first = claims(granted[0].body["pass"].as_str().unwrap());
    for one in &granted {
        assert_eq!((one.status, &claims(one.body["pass"].as_str().unwrap())), (200, &first));
    }
    bench.pass_ms(5_000);
    let later = bench.claim(&ticket).await;
    assert_eq!(claims(later.body["pass"].as_str().unwrap()), first, "the same again while the session lives");
    assert_eq!(bench.get("/v1/rooms/main/status").await.body["inside"], 1);
}

#[actix_web::test]
async fn a_claim_before_the_call_is_told_when_to_come_back() {
    let bench = Bench::with_room(json!({ "rate_per_minute": 6, "burst": 1, "claim_window_seconds": 80 })).await;
    bench.join().await;
    bench.join().await;
    let ticket = bench.join().await;
    let early = bench.claim(&ticket).await;
    assert_eq!((early.status, early.body["ahead"].as_u64()), (202, Some(1)));
    let seconds = early.body["retry_after_seconds"].as_u64().unwrap();
    assert!((2..=20).contains(&seconds), "at most a quarter of the claim window: {seconds}");
    assert_eq!(early.header("retry-after"), seconds.to_string());
}

#[actix_web::test]
async fn a_turn_missed_is_over_and_the_line_can_be_joined_again() {
    let bench = Bench::with_room(json!({ "claim_window_seconds": 30 })).await;
    let ticket = bench.join().await;
    bench.pass_ms(31_000);
    let late = bench.claim(&ticket).await;
    assert_problem(&late, 410, "ticket_lapsed");
    assert_eq!(late.body["reason"], "lapsed");
    assert_eq!(bench.get_with(&ticket, "/v1/rooms/main/place").await.body["state"], "lapsed");
    let again = bench.post_with(&ticket, "/v1/rooms/main/tickets", json!({})).await;
    assert_eq!((again.status, &again.body["number"]), (201, &json!(2)), "at the end of the line");
}

#[actix_web::test]
async fn a_session_that_ended_is_over() {
    let bench = Bench::with_room(json!({ "session_seconds": 60, "session_max_seconds": 60 })).await;
    let ticket = bench.join().await;
    bench.claim(&ticket).await;
    bench.pass_ms(61_000);
    assert_problem(&bench.claim(&ticket).await, 410, "session_over");
    assert_eq!(bench.get_with(&ticket, "/v1/rooms/main/place").await.body["state"], "over");
}

#[actix_web::test]
async fn leaving_gives_the_place_back_and_may_be_said_twice() {
    let bench = held().await;
    let ticket = bench.join().await;
    let left = bench.post_with(&ticket, "/v1/rooms/main/leave", json!({})).await;
    assert_eq!((left.status, &left.body, left.header("set-cookie")), (204, &Value::Null, ""));
    assert_eq!(bench.post_with(&ticket, "/v1/rooms/main/leave", json!({})).await.status, 204);
    let by_cookie = bench.submit(Some(&ticket), "/v1/rooms/main/leave").await;
    assert!(by_cookie.header("set-cookie").contains("Max-Age=0"), "the browser forgets the ticket");
    assert_eq!(bench.get_with(&ticket, "/v1/rooms/main/place").await.body["state"], "over");
    let again = bench.post_with(&ticket, "/v1/rooms/main/tickets", json!({})).await;
    assert_eq!((again.status, &again.body["number"]), (201, &json!(2)), "a place given back is not got back");
}

#[actix_web::test]
async fn a_reset_voids_older_tickets() {
    let bench = held().await;
    let ticket = bench.join().await;
    assert_eq!(bench.call(Method::POST, "/v1/rooms/main/reset", Value::Null).await.status, 200);
    for reply in [
        bench.get_with(&ticket, "/v1/rooms/main/place").await,
        bench.claim(&ticket).await,
        bench.post_with(&ticket, "/v1/rooms/main/leave", json!({})).await,
    ] {
        assert_problem(&reply, 410, "ticket_lapsed");
        assert_eq!(reply.body["reason"], "reset");
    }
    assert_eq!(bench.post_with(&ticket, "/v1/rooms/main/tickets", json!({})).await.status, 201);
}

#[rstest]
#[case::empty("", "")]
#[case::no_token("nonsense", "")]
#[case::pieces("a.b.c", "")]
#[case::truncated("cut", "")]
#[case::forged("flipped", "")]
#[case::of_another_room("other", "the token belongs to another room")]
#[actix_web::test]
async fn a_ticket_that_is_not_the_rooms_is_refused(#[case] kind: &str, #[case] detail: &str) {
    let bench = held().await;
    bench.make_room("other", json!({ "mode": "hold" })).await;
    let good = bench.join().await;
    let bad = match kind {
        "cut" => good[..good.len() - 3].to_owned(),
        "flipped" => {
            let middle = good.find('.').unwrap() + 5;
            let flipped = if good.as_bytes()[middle] == b'A' { "B" } else { "A" };
            format!("{}{flipped}{}", &good[..middle], &good[middle + 1..])
        }
        "other" => {
            let joined = bench.post("/v1/rooms/other/tickets", json!({})).await;
            joined.body["ticket"].as_str().unwrap().to_owned()
        }
        text => text.to_owned(),
    };
    for reply in [
        bench.get_with(&bad, "/v1/rooms/main/place").await,
        bench.claim(&bad).await,
        bench.post_with(&bad, "/v1/rooms/main/leave", json!({})).await,
        bench.post_with(&bad, "/v1/rooms/main/tickets", json!({})).await,
    ] {
        assert_problem(&reply, 401, "invalid_ticket");
        assert!(reply.body["detail"].as_str().unwrap().contains(detail), "{}", reply.body);
    }
}

#[actix_web::test]
async fn a_pass_is_no_ticket() {
    let bench = Bench::with_room(json!({})).await;
    let ticket = bench.join().await;
    let pass = bench.claim(&ticket).await.body["pass"].as_str().unwrap().to_owned();
    assert_problem(&bench.claim(&pass).await, 401, "invalid_ticket");
}

#[actix_web::test]
async fn without_a_ticket_there_is_no_place() {
    let bench = held().await;
    assert_problem(&bench.get("/v1/rooms/main/place").await, 401, "invalid_ticket");
    assert_problem(&bench.post("/v1/rooms/main/passes", json!({})).await, 401, "invalid_ticket");
    assert_problem(&bench.post("/v1/rooms/main/leave", json!({})).await, 401, "invalid_ticket");
}

#[actix_web::test]
async fn a_shops_server_renews_and_finishes_a_session() {
    let bench = Bench::with_room(json!({ "session_seconds": 60, "session_max_seconds": 100 })).await;
    let ticket = bench.join().await;
    let pass = claims(bench.claim(&ticket).await.body["pass"].as_str().unwrap());
    let session = format!("/v1/rooms/main/sessions/{}", pass["sub"].as_str().unwrap());
    let (shop, _) = bench.key(&["shop"], Value::Null).await;
    let (reader, _) = bench.key(&["read"], Value::Null).await;
    let renew = format!("{session}/renew");
    assert_problem(&bench.post(&renew, json!({})).await, 401, "unauthorized");
    assert_problem(&bench.call_as(&reader, Method::POST, &renew, Value::Null).await, 403, "forbidden");
    bench.pass_ms(50_000);
    let renewed = bench.call_as(&shop, Method::POST, &renew, Value::Null).await;
    assert_eq!(
        (renewed.status, &renewed.body["expires_at"]),
        (200, &json!("2027-01-15T08:01:40Z")),
        "never past its most"
    );
    let finish = format!("{session}/finish");
    for _ in 0..2 {
        assert_eq!(bench.call_as(&shop, Method::POST, &finish, Value::Null).await.status, 204);
    }
    assert_problem(&bench.call_as(&shop, Method::POST, &renew, Value::Null).await, 410, "session_over");
    for unknown in ["1-99-00000000000000ab", "nonsense"] {
        let path = format!("/v1/rooms/main/sessions/{unknown}/renew");
        assert_problem(&bench.call_as(&shop, Method::POST, &path, Value::Null).await, 404, "unknown_session");
    }
}
