//! The waiting page, the journey without script, the public keys.

use super::*;

#[actix_web::test]
async fn the_page_is_the_same_for_everyone_and_cacheable() {
    let bench = Bench::with_room(json!({ "mode": "hold" })).await;
    let ticket = bench.join().await;
    let stranger = bench.get("/w/main?t=https%3A%2F%2Fshop.example%2Fshoes").await;
    let request =
        TestRequest::get().uri("/w/main").insert_header((header::COOKIE, format!("{TICKET_COOKIE}={ticket}")));
    let visitor = bench.send(Surface::All, request.insert_header(("Accept-Language", "ar"))).await;
    assert_eq!(stranger.body, visitor.body);
    assert_eq!((stranger.status, stranger.header("content-type")), (200, "text/html; charset=utf-8"));
    assert_eq!(
        stranger.header("cache-control"),
        "public, max-age=5, s-maxage=30, stale-while-revalidate=60, stale-if-error=600, no-transform"
    );
    assert_eq!(stranger.header("no-vary-search"), r#"params=("t" "rd")"#);
    assert_eq!(stranger.header("x-robots-tag"), "noindex");
    assert_eq!(stranger.header("vary"), "Accept-Encoding");
    assert_eq!(stranger.header("set-cookie"), "");
    assert!(stranger.header("content-security-policy").contains("script-src 'sha256-"));
}

#[actix_web::test]
async fn the_page_answers_304_and_changes_with_the_room() {
    let bench = Bench::with_room(json!({})).await;
    let etag = bench.get("/w/main").await.header("etag").to_owned();
    let asked = || TestRequest::get().uri("/w/main").insert_header(("If-None-Match", etag.clone()));
    assert_eq!(bench.send(Surface::All, asked()).await.status, 304);
    bench.patch_room(json!({ "page": { "title": "Another title" } })).await;
    let changed = bench.send(Surface::All, asked()).await;
    assert_eq!(changed.status, 200);
    assert!(changed.body.as_str().unwrap().contains("Another title"));
}

#[actix_web::test]
async fn a_logo_is_served_under_its_hash_alone() {
    // <svg xmlns="http://www.w3.org/2000/svg"/>
    let svg = "data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciLz4=";
    let bench = Bench::with_room(json!({ "page": { "logo": svg } })).await;
    let page = bench.get("/w/main").await;
    let html = page.body.as_str().unwrap();
    let start = html.find("/w/main/logo/").expect("the page shows the logo");
    let address = html[start..].split('"').next().unwrap();
    let logo = bench.get(address).await;
    assert_eq!((logo.status, logo.header("content-type")), (200, "image/svg+xml"));
    assert_eq!(logo.header("cache-control"), "public, max-age=31536000, immutable");
    assert!(logo.header("content-security-policy").contains("sandbox"));
    assert_problem(&bench.get("/w/main/logo/0000000000000000").await, 404, "not_found");
}

#[actix_web::test]
async fn without_script_the_journey_is_forms_and_redirects() {
    let bench = Bench::with_room(json!({ "mode": "hold" })).await;
    let joined = bench.submit(None, "/w/main?t=https%3A%2F%2Fshop.example%2Fshoes").await;
    assert_eq!((joined.status, joined.header("location")), (303, "/w/main/place?t=https%3A%2F%2Fshop.example%2Fshoes"));
    let cookie = joined.header("set-cookie").to_owned();
    let ticket = cookie.split_once('=').unwrap().1.split(';').next().unwrap();
    let look = || {
        let request = TestRequest::get().uri("/w/main/place?t=https%3A%2F%2Fshop.example%2Fshoes");
        let request = request.insert_header((header::COOKIE, format!("{TICKET_COOKIE}={ticket}")));
        bench.send(Surface::All, request.insert_header(("Accept-Language", "fr")))
    };
    let waiting = look().await;
    assert_eq!((waiting.status, waiting.header("cache-control")), (200, "private, no-store"));
    let html = waiting.body.as_str().unwrap();
    assert!(html.contains(r#"lang="fr""#) && html.contains(r#"http-equiv="refresh""#), "{html}");
    let early = bench.submit(Some(ticket), "/w/main/enter").await;
    assert_eq!((early.status, early.header("location")), (303, "/w/main/place"), "not yet: back to the place");
    bench.patch_room(json!({ "mode": "queue" })).await;
    let called = look().await;
    assert!(called.body.as_str().unwrap().contains("/w/main/enter?t=https%3A%2F%2Fshop.example%2Fshoes"));
    assert_eq!(bench.get("/v1/rooms/main/status").await.body["inside"], 0, "looking never claims");
    let entered = bench.submit(Some(ticket), "/w/main/enter?t=https%3A%2F%2Fshop.example%2Fshoes").await;
    assert_eq!(entered.status, 303);
    assert!(entered.header("location").starts_with("https://shop.example/shoes?dropgate="));
    let left = bench.submit(Some(ticket), "/w/main/leave").await;
    assert_eq!((left.status, left.header("location")), (303, "/w/main/place"));
    assert!(left.header("set-cookie").contains("Max-Age=0"));
}

#[actix_web::test]
async fn rd_means_the_same_as_t() {
    let bench = Bench::with_room(json!({})).await;
    let joined = bench.submit(None, "/w/main?rd=https%3A%2F%2Fshop.example%2Fa%3Fb%3Dc").await;
    assert_eq!(joined.header("location"), "/w/main/place?t=https%3A%2F%2Fshop.example%2Fa%3Fb%3Dc");
}

#[actix_web::test]
async fn a_form_of_another_site_takes_no_place() {
    let bench = Bench::with_room(json!({ "mode": "hold" })).await;
    let request = TestRequest::post().uri("/w/main").insert_header(("Sec-Fetch-Site", "cross-site"));
    assert_problem(&bench.send(Surface::All, request).await, 403, "forbidden");
    assert_eq!(bench.get("/v1/rooms/main/status").await.body["tail"], 0);
}

#[actix_web::test]
async fn whoever_has_no_place_is_shown_the_way_in() {
    let bench = Bench::with_room(json!({})).await;
    let place = bench.get("/w/main/place").await;
    assert_eq!(place.status, 200);
    assert!(place.body.as_str().unwrap().contains(r#"action="/w/main""#));
    let enter = bench.submit(None, "/w/main/enter").await;
    assert_eq!((enter.status, enter.header("location")), (303, "/w/main/place"));
}

#[actix_web::test]
async fn the_public_keys_are_published() {
    let bench = Bench::new().await;
    let jwks = bench.get("/.well-known/jwks.json").await;
    assert_eq!((jwks.status, jwks.header("cache-control")), (200, "public, max-age=300"));
    let keys = jwks.body["keys"].as_array().unwrap();
    assert!(!keys.is_empty());
    for key in keys {
        assert_eq!((&key["kty"], &key["alg"], &key["use"]), (&json!("EC"), &json!("ES256"), &json!("sig")), "{key}");
        assert!(key.get("d").is_none(), "a private key is not published");
    }
    let again = TestRequest::get().uri("/.well-known/jwks.json").insert_header(("If-None-Match", jwks.header("etag")));
    assert_eq!(bench.send(Surface::All, again).await.status, 304);
}
