//! What becomes of visitors, through the door for redirects.

use super::*;

#[actix_web::test]
async fn a_visitor_without_a_place_goes_to_the_waiting_page_and_comes_back_to_where_he_was() {
    let gate = Gate::with(json!({})).await;
    gate.crowd().await;
    let answer = gate.ask("/shoes?size=42&x=%20", PAGE, "").await;
    assert_eq!((answer.status, answer.reason.as_str()), (302, "no_session"));
    assert_eq!(answer.location, waiting("https://shop.example/shoes?size=42&x=%20"));
    assert_eq!(answer.cookie, "");
    let by_accept = gate.ask("/", &[("accept", "text/html,*/*;q=0.8")], "").await;
    assert_eq!((by_accept.status, by_accept.location), (302, waiting("https://shop.example/")));
    let head = gate.ask_by("HEAD", "/", PAGE, "").await;
    assert_eq!(head.status, 302);
}

#[actix_web::test]
async fn an_entry_pass_is_exchanged_once_and_a_posted_link_admits_nobody_else() {
    let gate = Gate::with(json!({})).await;
    let (session, pass) = gate.claimed().await;
    gate.crowd().await;
    let path = format!("/a?b=1&dropgate={pass}&c=%2F");
    let first = gate.ask(&path, PAGE, "").await;
    assert_eq!((first.status, first.location.as_str()), (302, "https://shop.example/a?b=1&c=%2F"));
    let (name, attributes) = first.cookie.split_once('=').unwrap();
    assert_eq!(name, COOKIE);
    assert!(attributes.ends_with("; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=86400"), "{attributes}");

    let inside = gate.ask("/a?b=1&c=%2F", PAGE, &first.cookie_pair()).await;
    assert_eq!((inside.status, inside.session), (200, session.name.to_string()));
    let call = gate.ask_by("POST", "/cart", CALL, &first.cookie_pair()).await;
    assert_eq!(call.status, 200);

    let posted = gate.ask(&path, PAGE, "").await;
    assert_eq!((posted.status, posted.location), (302, waiting("https://shop.example/a?b=1&c=%2F")));
    assert_eq!(posted.cookie, "");
    let back_button = gate.ask(&path, PAGE, &first.cookie_pair()).await;
    assert_eq!(back_button.status, 200, "the same browser is still inside");
}

#[actix_web::test]
async fn the_latest_browser_has_the_session() {
    let gate = Gate::with(json!({})).await;
    let (session, phone) = gate.inside().await;
    gate.crowd().await;
    gate.pass_ms(10_000);
    let pass = gate.entry_pass(&session);
    let laptop = gate.ask(&format!("/?dropgate={pass}"), PAGE, "").await.cookie_pair();
    assert_eq!(gate.ask("/", PAGE, &laptop).await.status, 200);
    let left = gate.ask("/", PAGE, &phone).await;
    assert_eq!((left.status, left.reason.as_str()), (302, "session_over"));
}

#[actix_web::test]
async fn only_a_page_or_a_plain_client_exchanges() {
    let gate = Gate::with(json!({})).await;
    let (_, pass) = gate.claimed().await;
    gate.crowd().await;
    let path = format!("/?dropgate={pass}");
    let ahead: &[(&str, &str)] = &[("sec-fetch-mode", "navigate"), ("sec-purpose", "prefetch;prerender")];
    let picture: &[(&str, &str)] = &[("sec-fetch-mode", "no-cors"), ("accept", "image/*")];
    for (method, headers) in [("GET", ahead), ("GET", picture), ("GET", CALL), ("POST", PAGE), ("OPTIONS", CALL)] {
        let answer = gate.ask_by(method, &path, headers, "").await;
        assert_eq!((answer.status, answer.reason.as_str()), (429, "no_session"), "{method} {headers:?}");
    }
    assert_eq!(gate.ask_by("HEAD", &path, PAGE, "").await.reason, "no_session");
    let plain = gate.ask(&path, &[], "").await;
    assert_eq!((plain.status, plain.reason.as_str()), (302, "exchanged"), "nobody else has used it up");
}

#[actix_web::test]
async fn a_pass_for_another_room_is_left_untouched() {
    let gate = Gate::with(json!({})).await;
    let (_, cookie) = gate.inside().await;
    let (session, _) = gate.claimed().await;
    let now = gate.instance.clock.now();
    let other = gate.instance.room("other").unwrap().id.clone();
    let pass = EntryPass { room: other, session: session.name, issued: now, session_deadline: now };
    let pass = gate.instance.keys().sign_entry_pass(&pass, now);
    let answer = gate.ask(&format!("/?dropgate={pass}"), PAGE, &cookie).await;
    assert_eq!(answer.status, 200);
}

#[actix_web::test]
async fn an_expired_or_forged_entry_pass_is_none() {
    let gate = Gate::with(json!({})).await;
    let (_, pass) = gate.claimed().await;
    gate.crowd().await;
    gate.pass_ms(181_000);
    for pass in [pass.as_str(), "x", "", &pass[..pass.len() - 1]] {
        let answer = gate.ask(&format!("/a?dropgate={pass}"), PAGE, "").await;
        assert_eq!((answer.status, answer.location), (302, waiting("https://shop.example/a")), "{pass}");
    }
}

#[actix_web::test]
async fn an_idle_room_lets_a_page_in_without_the_waiting_page() {
    let gate = Gate::with(json!({})).await;
    let hop = gate.ask("/a?b=1", PAGE, "").await;
    assert_eq!((hop.status, hop.reason.as_str()), (302, "admitted"));
    assert_eq!(hop.location, "https://shop.example/a?b=1&dropgate=check");
    let back = gate.ask("/a?b=1&dropgate=check", PAGE, &hop.cookie_pair()).await;
    assert_eq!((back.status, back.location.as_str()), (302, "https://shop.example/a?b=1"));
    assert_eq!((back.reason.as_str(), back.cookie.as_str()), ("checked", ""));
    let call = gate.ask("/a?dropgate=check", CALL, &hop.cookie_pair()).await;
    assert_eq!(call.status, 200, "a call is let in where it is, not led on");
    let inside = gate.ask("/a?b=1", PAGE, &hop.cookie_pair()).await;
    assert_eq!((inside.status, inside.session.split('-').nth(1)), (200, Some("1")));
}

#[actix_web::test]
async fn a_browser_without_cookies_is_never_admitted_by_the_check() {
    let gate = Gate::with(json!({})).await;
    let answer = gate.ask("/a?dropgate=check", PAGE, "").await;
    assert_eq!((answer.status, answer.reason.as_str()), (302, "no_cookie"));
    assert_eq!(answer.location, waiting("https://shop.example/a"));
    assert_eq!(gate.room().lane.view().unwrap().tail, 0);
}

#[actix_web::test]
async fn nothing_but_a_page_enters_an_idle_room() {
    let gate = Gate::with(json!({})).await;
    let ahead: &[(&str, &str)] = &[("sec-fetch-mode", "navigate"), ("purpose", "prefetch")];
    for (method, headers) in [("GET", ahead), ("GET", CALL), ("POST", PAGE), ("HEAD", PAGE), ("GET", &[])] {
        let answer = gate.ask_by(method, "/", headers, "").await;
        assert_eq!(answer.reason, "no_session", "{method} {headers:?}");
    }
    assert_eq!(gate.room().lane.view().unwrap().tail, 0);
}

#[actix_web::test]
async fn an_idle_room_is_entered_no_faster_than_its_rate_and_by_nobody_twice_as_often_as_the_limit() {
    let gate = Gate::with(json!({"rate_per_minute": 60, "burst": 3})).await;
    let mut admitted = 0;
    while gate.ask("/", PAGE, "").await.reason == "admitted" {
        admitted += 1;
    }
    assert_eq!(admitted, 3, "as many as stand ready");
    let limited = Gate::with(json!({"burst": 100, "join_per_address": 2})).await;
    let reasons =
        [limited.ask("/", PAGE, "").await, limited.ask("/", PAGE, "").await, limited.ask("/", PAGE, "").await];
    assert_eq!(reasons.map(|answer| answer.reason), ["admitted", "admitted", "no_session"]);
}

#[actix_web::test]
async fn a_room_that_holds_its_line_admits_nobody_idly() {
    for settings in [json!({"mode": "hold"}), json!({"mode": "closed"}), json!({"opens_at": "2100-01-01T00:00:00Z"})] {
        let gate = Gate::with(settings.clone()).await;
        assert_eq!(gate.ask("/", PAGE, "").await.reason, "no_session", "{settings}");
    }
}

#[actix_web::test]
async fn a_form_or_call_is_told_where_to_get_a_place_and_never_redirected() {
    let gate = Gate::with(json!({})).await;
    gate.crowd().await;
    let form = [PAGE, &[("referer", "https://shop.example/checkout?step=2")]].concat();
    let answer = gate.ask_by("POST", "/pay", &form, "").await;
    assert_eq!((answer.status, answer.reason.as_str()), (429, "no_session"));
    assert_eq!(answer.location, waiting("https://shop.example/checkout?step=2"), "back to the form, not to its target");
    let link = format!("<a href=\"{}\" target=\"_blank\"", answer.location);
    assert!(answer.body.contains(&link), "a person who sent a form gets a page: {}", answer.body);
    let call = gate.ask_by("GET", "/api", CALL, "").await;
    assert_eq!((call.status, call.location.as_str()), (429, "https://line.example/w/main"));
    let body = call.json();
    assert_eq!(body["type"], "urn:dropgate:rate_limited");
    assert_eq!(body["location"], call.location.as_str());
    let elsewhere = [CALL, &[("referer", "https://evil.example/")]].concat();
    assert_eq!(gate.ask("/api", &elsewhere, "").await.location, "https://line.example/w/main");
}

#[actix_web::test]
async fn an_open_room_lets_everyone_pass_unchecked() {
    let gate = Gate::with(json!({"mode": "open"})).await;
    for headers in [PAGE, CALL] {
        let answer = gate.ask("/", headers, "").await;
        assert_eq!((answer.status, answer.session.as_str()), (200, "open"));
    }
    let check = gate.ask("/a?dropgate=check", PAGE, "").await;
    assert_eq!((check.status, check.location.as_str()), (302, "https://shop.example/a"));
    let (session, cookie) = gate.inside().await;
    assert_eq!(gate.ask("/", PAGE, &cookie).await.session, session.name.to_string());
}

#[actix_web::test]
async fn the_waiting_room_itself_is_never_behind_the_gate() {
    let gate = Gate::with(json!({"allowed_hosts": ["line.example"]})).await;
    gate.crowd().await;
    let told = |uri| [("x-forwarded-proto", "https"), ("x-forwarded-host", "line.example"), ("x-forwarded-uri", uri)];
    for (uri, status) in [
        ("/w/main?t=https%3A%2F%2Fshop.example%2F", 200),
        ("/w/main", 200),
        ("/w/main/place", 200),
        ("/v1/rooms/main/status", 200),
        ("/w/mainly", 302),
        ("/w/main/../../shop", 302),
        ("/", 302),
    ] {
        let answer = gate.call(Method::GET, "/gate/main/redirect", &[&told(uri)[..], PAGE].concat()).await;
        assert_eq!(answer.status, status, "{uri}");
    }
}

#[actix_web::test]
async fn a_domain_cookie_serves_several_hosts() {
    let gate = Gate::with(
        json!({"cookie_domain": "shop.example", "allowed_hosts": [".shop.example", "b.example", "evilshop.example"]}),
    )
    .await;
    let (_, pass) = gate.claimed().await;
    let answer = gate.ask(&format!("/?dropgate={pass}"), PAGE, "").await;
    assert!(answer.cookie.starts_with("dropgate_session_main="), "{}", answer.cookie);
    assert!(answer.cookie.contains("; Domain=shop.example;"), "{}", answer.cookie);
    let there = [("x-forwarded-proto", "https"), ("x-forwarded-host", "a.shop.example"), ("x-forwarded-uri", "/")];
    let cookie = [("cookie", answer.cookie_pair())];
    let headers = [&there[..], &[("cookie", cookie[0].1.as_str())]].concat();
    assert_eq!(gate.call(Method::GET, "/gate/main/redirect", &headers).await.status, 200);
    // A host beyond the domain can't be given its cookie.
    for host in ["b.example", "evilshop.example"] {
        let (_, pass) = gate.claimed().await;
        let uri = format!("/?dropgate={pass}");
        let beyond = [("x-forwarded-proto", "https"), ("x-forwarded-host", host), ("x-forwarded-uri", uri.as_str())];
        let answer = gate.call(Method::GET, "/gate/main/redirect", &beyond).await;
        assert!(answer.cookie.starts_with(COOKIE) && !answer.cookie.contains("Domain"), "{}", answer.cookie);
    }
}
