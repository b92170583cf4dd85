use actix_web::test::TestRequest;
use serde_json::{Value, json};

use crate::http::{
    Surface,
    testing::{ADMIN, Bench, Reply},
};

async fn sign_in(bench: &Bench, key: &str) -> Reply {
    let request = TestRequest::post().uri("/dashboard/session").insert_header(("Sec-Fetch-Site", "same-origin"));
    bench.send(Surface::All, request.set_form([("key", key)])).await
}

fn cookie(reply: &Reply) -> String {
    reply.header("set-cookie").split(';').next().unwrap().to_owned()
}

fn patch(cookie: &str) -> TestRequest {
    let patch = TestRequest::patch().uri("/v1/rooms/main").insert_header(("Cookie", cookie.to_owned()));
    patch.set_json(json!({ "mode": "hold" }))
}

#[actix_web::test]
async fn a_key_signs_in_for_twelve_hours() {
    let bench = Bench::new().await;
    bench.room().await;
    let signed_in = sign_in(&bench, ADMIN).await;
    assert_eq!((signed_in.status, signed_in.header("location")), (303, "/dashboard"));
    let set = signed_in.header("set-cookie");
    assert!(set.starts_with("__Host-dropgate_dashboard="), "{set}");
    for attribute in ["HttpOnly", "SameSite=Strict", "Secure", "Path=/", "Max-Age=43200"] {
        assert!(set.contains(attribute), "{attribute} in {set}");
    }
    let status = async |path: &str| {
        let request = TestRequest::get().uri(path).insert_header(("Cookie", cookie(&signed_in)));
        bench.send(Surface::All, request).await.status
    };
    assert_eq!(status("/v1/rooms").await, 200);
    bench.pass_ms(12 * 60 * 60 * 1000 - 1);
    assert_eq!(status("/v1/rooms").await, 200);
    bench.pass_ms(1_001);
    assert_eq!(status("/v1/rooms").await, 401, "the day is over");
}

#[actix_web::test]
async fn a_change_counts_from_our_own_page_alone() {
    let bench = Bench::new().await;
    bench.room().await;
    let cookie = cookie(&sign_in(&bench, ADMIN).await);
    let status = async |headers: &[(&'static str, &'static str)]| {
        let request = headers.iter().fold(patch(&cookie), |request, header| request.insert_header(*header));
        bench.send(Surface::All, request).await.status
    };
    assert_eq!(status(&[]).await, 403);
    assert_eq!(status(&[("Sec-Fetch-Site", "cross-site")]).await, 403);
    assert_eq!(status(&[("Sec-Fetch-Site", "cross-site"), ("Origin", "https://line.example")]).await, 403);
    assert_eq!(status(&[("Origin", "https://evil.example"), ("Host", "line.example")]).await, 403);
    assert_eq!(status(&[("Sec-Fetch-Site", "same-origin")]).await, 200);
    assert_eq!(status(&[("Origin", "https://line.example")]).await, 200);
    assert_eq!(status(&[("Origin", "http://10.0.0.5:9000"), ("Host", "10.0.0.5:9000")]).await, 200);
}

#[actix_web::test]
async fn a_sixth_try_in_a_minute_is_refused_even_with_the_right_key() {
    let bench = Bench::new().await;
    for _ in 0..5 {
        let refused = sign_in(&bench, "wrong").await;
        assert_eq!((refused.status, refused.header("set-cookie")), (401, ""));
        assert!(refused.header("content-type").starts_with("text/html"));
    }
    let refused = sign_in(&bench, ADMIN).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "60"));
    bench.pass_ms(60_000);
    assert_eq!(sign_in(&bench, ADMIN).await.status, 303);
}

#[actix_web::test]
async fn a_sign_in_ends_with_its_key_and_never_begins_without_admin() {
    let bench = Bench::new().await;
    let (read, _) = bench.key(&["read"], Value::Null).await;
    assert_eq!(sign_in(&bench, &read).await.status, 401);
    let (admin, id) = bench.key(&["admin"], Value::Null).await;
    let cookie = cookie(&sign_in(&bench, &admin).await);
    let rooms = || TestRequest::get().uri("/v1/rooms").insert_header(("Cookie", cookie.clone()));
    assert_eq!(bench.send(Surface::All, rooms()).await.status, 200);
    bench.call(actix_web::http::Method::DELETE, &format!("/v1/keys/{id}"), Value::Null).await;
    assert_eq!(bench.send(Surface::All, rooms()).await.status, 401);
}

#[actix_web::test]
async fn signing_out_takes_the_cookie_away_and_no_other_site_can_do_either() {
    let bench = Bench::new().await;
    let post = |path: &str, site| TestRequest::post().uri(path).insert_header(("Sec-Fetch-Site", site));
    let out = bench.send(Surface::All, post("/dashboard/session/end", "same-origin")).await;
    assert_eq!(out.status, 303);
    assert!(out.header("set-cookie").contains("Max-Age=0"), "{}", out.header("set-cookie"));
    assert_eq!(bench.send(Surface::All, post("/dashboard/session/end", "cross-site")).await.status, 403);
    let form = post("/dashboard/session", "cross-site").set_form([("key", ADMIN)]);
    assert_eq!(bench.send(Surface::All, form).await.status, 403);
}

#[actix_web::test]
async fn the_page_asks_for_a_key_until_somebody_is_signed_in() {
    let bench = Bench::new().await;
    let asked = bench.send(Surface::All, TestRequest::get().uri("/dashboard")).await;
    assert_eq!(asked.status, 200);
    assert!(asked.body.as_str().unwrap().contains("name=\"key\""));
    assert!(asked.header("content-security-policy").contains("frame-ancestors 'none'"));
    assert_eq!(asked.header("cache-control"), "private, no-store");
    let cookie = cookie(&sign_in(&bench, ADMIN).await);
    let shown = bench.send(Surface::All, TestRequest::get().uri("/dashboard").insert_header(("Cookie", cookie))).await;
    assert!(!shown.body.as_str().unwrap().contains("name=\"key\""));
}
