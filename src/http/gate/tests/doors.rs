//! The three doors: what each reads, what each says, whom it trusts.

use super::*;

fn at_nginx<'a>(url: &'a str, method: &'a str, headers: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&[("x-original-url", url), ("x-original-method", method)], headers].concat()
}

#[actix_web::test]
async fn nginx_hears_nothing_but_200_401_and_403() {
    let gate = Gate::with(json!({"burst": 1})).await;
    let ask = |headers: Vec<(&'static str, &'static str)>| {
        let gate = &gate;
        async move { gate.call(Method::GET, "/gate/main/nginx", &headers).await }
    };
    let admitted = ask(at_nginx("https://shop.example/a", "GET", PAGE)).await;
    assert_eq!((admitted.status, admitted.reason.as_str()), (401, "admitted"));
    assert_eq!(admitted.location, "https://shop.example/a?dropgate=check");
    assert!(admitted.cookie.starts_with(COOKIE));
    gate.crowd().await;
    let page = ask(at_nginx("https://shop.example/a", "GET", PAGE)).await;
    assert_eq!((page.status, page.reason.as_str()), (401, "no_session"));
    assert_eq!(page.location, waiting("https://shop.example/a"));
    let form = ask(at_nginx("https://shop.example/a", "POST", PAGE)).await;
    assert_eq!((form.status, form.reason.as_str()), (403, "no_session"));
    assert_eq!(form.location, "https://line.example/w/main");
    let foreign = ask(at_nginx("https://evil.example/a", "GET", PAGE)).await;
    assert_eq!((foreign.status, foreign.reason.as_str(), foreign.location.as_str()), (403, "forbidden", ""));
    let silent = ask(Vec::new()).await;
    assert_eq!((silent.status, silent.reason.as_str()), (403, "invalid_request"));
    let unknown = gate.call(Method::GET, "/gate/nowhere/nginx", &at_nginx("https://shop.example/", "GET", PAGE)).await;
    assert_eq!((unknown.status, unknown.reason.as_str()), (403, "unknown_room"));
    let long = "x".repeat(17_000);
    let endless = gate.call(Method::GET, "/gate/main/nginx", &[("x-long", long.as_str())]).await;
    assert_eq!((endless.status, endless.reason.as_str()), (403, "headers_too_large"));
}

#[actix_web::test]
async fn nginx_lets_a_session_in() {
    let gate = Gate::with(json!({})).await;
    let (session, cookie) = gate.inside().await;
    let headers = [at_nginx("https://shop.example/a", "POST", CALL), vec![("cookie", cookie.as_str())]].concat();
    let answer = gate.call(Method::GET, "/gate/main/nginx/any/path?x", &headers).await;
    assert_eq!((answer.status, answer.session), (200, session.name.to_string()));
}

#[actix_web::test]
async fn envoy_asks_with_the_visitors_own_method_host_and_path() {
    let gate = Gate::with(json!({})).await;
    gate.crowd().await;
    let host = [("host", "shop.example")];
    for (path, wanted) in [
        ("/gate/main/envoy/a/b?c=/d", "https://shop.example/a/b?c=/d"),
        ("/gate/main/envoy/", "https://shop.example/"),
        ("/gate/main/envoy", "https://shop.example/"),
        ("/gate/main/envoy/gate/main/envoy/x", "https://shop.example/gate/main/envoy/x"),
    ] {
        let answer = gate.call(Method::GET, path, &[&host[..], PAGE].concat()).await;
        assert_eq!((answer.status, answer.location), (302, waiting(wanted)), "{path}");
    }
    let post = gate.call(Method::POST, "/gate/main/envoy/pay", &[&host[..], PAGE].concat()).await;
    assert_eq!(post.status, 429);
    let foreign = gate.call(Method::GET, "/gate/main/envoy/", &[&[("host", "evil.example")], PAGE].concat()).await;
    assert_eq!((foreign.status, foreign.reason.as_str()), (403, "forbidden"));
}

#[actix_web::test]
async fn each_door_reads_its_own_headers_alone() {
    let gate = Gate::with(json!({})).await;
    gate.crowd().await;
    let original = at_nginx("https://shop.example/a", "GET", PAGE);
    assert_eq!(gate.call(Method::GET, "/gate/main/redirect", &original).await.reason, "invalid_request");
    let forwarded = [("x-forwarded-proto", "https"), ("x-forwarded-host", "shop.example"), ("x-forwarded-uri", "/")];
    assert_eq!(gate.call(Method::GET, "/gate/main/nginx", &forwarded).await.reason, "invalid_request");
}

#[actix_web::test]
async fn headers_of_a_gateway_that_nobody_vouches_for_count_for_nothing() {
    let gate = Gate::trusting(json!({"mode": "open"}), &["10.0.0.0/8"]).await;
    let told = [("x-forwarded-proto", "https"), ("x-forwarded-host", "shop.example"), ("x-forwarded-uri", "/")];
    let spoofed = [&told[..], &[("x-forwarded-for", "10.0.0.1")]].concat();
    let answer = gate.call(Method::GET, "/gate/main/redirect", &spoofed).await;
    assert_eq!((answer.status, answer.reason.as_str()), (403, "forbidden"));
    assert_eq!(
        gate.call(Method::GET, "/gate/main/nginx", &[("x-original-url", "https://shop.example/")]).await.status,
        403
    );
    assert_eq!(gate.call(Method::GET, "/gate/main/envoy/", &[("host", "shop.example")]).await.status, 403);
}

#[actix_web::test]
async fn a_header_sent_twice_is_not_chosen_from() {
    let gate = Gate::with(json!({"mode": "open"})).await;
    for twice in ["x-forwarded-host", "x-forwarded-proto", "x-forwarded-uri"] {
        let told = [("x-forwarded-proto", "https"), ("x-forwarded-host", "shop.example"), ("x-forwarded-uri", "/")];
        let again = told.iter().find(|(name, _)| *name == twice).copied();
        let headers: Vec<_> = told.into_iter().chain(again).collect();
        assert_eq!(gate.call(Method::GET, "/gate/main/redirect", &headers).await.status, 400, "{twice}");
    }
}

#[actix_web::test]
async fn only_the_rooms_hosts_stand_behind_its_gate() {
    let gate = Gate::with(json!({"mode": "open", "allowed_hosts": [".cdn.example"]})).await;
    for (host, status) in [
        ("shop.example", 200),
        ("SHOP.example", 200),
        ("shop.example:443", 200),
        ("a.cdn.example", 200),
        ("shop.example:8443", 403),
        ("evil.example", 403),
        ("shop.example.evil.example", 403),
        ("evil.example, shop.example", 403),
        ("shop.example@evil.example", 403),
        ("evil.example/shop.example", 403),
        ("evil.example#shop.example", 403),
        ("shop.example/", 403),
        ("", 403),
    ] {
        let told = [("x-forwarded-proto", "https"), ("x-forwarded-host", host), ("x-forwarded-uri", "/")];
        assert_eq!(gate.call(Method::GET, "/gate/main/redirect", &told).await.status, status, "{host}");
    }
}

#[actix_web::test]
async fn a_gateway_behind_the_end_of_tls_means_https() {
    let gate = Gate::with(json!({})).await;
    gate.crowd().await;
    for host in ["shop.example", "shop.example:80"] {
        let told = [("x-forwarded-proto", "http"), ("x-forwarded-host", host), ("x-forwarded-uri", "/a")];
        let answer = gate.call(Method::GET, "/gate/main/redirect", &[&told[..], PAGE].concat()).await;
        assert_eq!((answer.status, answer.location), (302, waiting("https://shop.example/a")), "{host}");
    }
}

#[actix_web::test]
async fn a_plain_shop_on_localhost_gets_a_cookie_that_browsers_keep_there() {
    let gate = Gate::with(json!({"shop_url": "http://localhost:3000/"})).await;
    let told = [("x-forwarded-proto", "http"), ("x-forwarded-host", "localhost:3000"), ("x-forwarded-uri", "/a")];
    let answer = gate.call(Method::GET, "/gate/main/redirect", &[&told[..], PAGE].concat()).await;
    assert_eq!(answer.location, "http://localhost:3000/a?dropgate=check");
    assert!(answer.cookie.starts_with("dropgate_session_main=") && !answer.cookie.contains("Secure"));
}

#[actix_web::test]
async fn an_address_that_can_not_be_repeated_is_waited_for_without_a_way_back() {
    let gate = Gate::with(json!({})).await;
    let (_, cookie) = gate.inside().await;
    let long = format!("/{}", "a".repeat(2_048));
    for path in ["/%0d%0aSet-Cookie:x", "//evil.example", "/a\\b", long.as_str()] {
        let answer = gate.ask(path, PAGE, "").await;
        let expected = (302, "https://line.example/w/main", "no_session");
        assert_eq!((answer.status, answer.location.as_str(), answer.reason.as_str()), expected, "{path}");
        assert_eq!(gate.ask(path, PAGE, &cookie).await.status, 200, "whoever is inside may ask for anything: {path}");
    }
    let utf8 = gate.ask("/schöne-schuhe", PAGE, "").await;
    assert_eq!(utf8.location, "https://shop.example/sch%C3%B6ne-schuhe?dropgate=check");
}
