//! What the page says of the stock: there is some, it may not reach this far, it is in baskets, it is gone.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    looks::{is_sound, phone},
    scene::{Eyes, ROOM, Scene, crawling, picture, says},
    support::{
        SOON,
        browser::{Browser, Manner, Permission, Scheme},
        client::{json_of, plain},
        eventually,
        server::ADMIN_KEY,
    },
};

/// A room that hardly moves, with three people in line before whoever comes next, and a sale of so many units.
async fn with_units(total: u64) -> Scene {
    let mut settings = crawling();
    (settings["sale"], settings["stock_gate"]) = (json!("drop"), json!("inform"));
    let scene = Scene::with(settings).await;
    let sale = json!({ "name": "Drop", "items": [{ "sku": "shoe", "name": "Shoe", "total": total }] });
    call(&scene, Method::PUT, "", sale).await;
    scene.people_join(3).await;
    is_heard(&scene, "in_stock").await;
    scene
}

async fn call(scene: &Scene, method: Method, path: &str, body: Value) -> Value {
    let request = plain().request(method, scene.server.url(&format!("/v1/sales/drop{path}"))).bearer_auth(ADMIN_KEY);
    let request = request.header("Idempotency-Key", "the-test").json(&body);
    let (status, answer) = json_of(request.send().await.unwrap()).await;
    assert!((200..300).contains(&status), "{status} {answer}");
    answer
}

/// Somebody takes that many units; where to say what becomes of them.
async fn reserve(scene: &Scene, quantity: u64) -> String {
    let body = json!({ "lines": [{ "sku": "shoe", "quantity": quantity }] });
    let id = call(scene, Method::POST, "/reservations", body).await["id"].as_str().unwrap().to_owned();
    format!("/reservations/{id}")
}

async fn is_heard(scene: &Scene, stock: &str) {
    eventually(stock, SOON, async || {
        let status = scene.status().await;
        if status["stock"] == stock { Ok(()) } else { Err(status) }
    })
    .await;
}

/// The page on a phone and a desk, by day and night.
async fn looks_well(browser: &Browser, what: &str) {
    let small = Manner { height: 640, ..phone() };
    for (screen, manner) in [("phone", small), ("wide", Manner::default())] {
        for (light, scheme) in [("light", Scheme::Light), ("dark", Scheme::Dark)] {
            browser.apply(&Manner { scheme, ..manner.clone() }).await;
            let name = format!("stock-{what}-{screen}-{light}");
            browser.picture(&picture(&name)).await;
            is_sound(browser, &name).await;
        }
    }
}

#[tokio::test]
async fn everyone_who_waits_is_told_what_is_left() {
    let scene = with_units(3).await;
    let browser = scene.visitor(&Manner::default()).await;
    browser.begins("#wait", &format!("{}\n{}", says("stock"), says("wait"))).await;
    // The page asks for its chance at its second look, which in a line this slow is a third of a minute away.
    browser.wakes().await;
    browser.sees("#note", &says("few")).await;
    looks_well(&browser, "few").await;

    let basket = reserve(&scene, 3).await;
    is_heard(&scene, "all_held").await;
    browser.wakes().await;
    browser.sees("#note", &says("held").replace("{}", " (3)")).await;
    looks_well(&browser, "held").await;

    call(&scene, Method::POST, &format!("{basket}/confirm"), json!({ "order": "o-1" })).await;
    is_heard(&scene, "sold_out").await;
    browser.wakes().await;
    browser.shows("sold").await;
    browser.sees("#text", &says("sold_t")).await;
    browser.sees("#act", &says("leave")).await;
    assert!(
        !browser.notices("#leave").await && !browser.notices("#big").await,
        "one way out, no number to look forward to"
    );
    looks_well(&browser, "sold").await;

    // Whoever stays all the same is told when there is something again.
    call(&scene, Method::POST, "/items/shoe/restock", json!({ "delta": 50 })).await;
    is_heard(&scene, "in_stock").await;
    browser.wakes().await;
    browser.begins("#wait", &says("stock")).await;
    browser.shows("line").await;
    eventually("there is enough for everyone again", SOON, async || {
        if browser.notices("#note").await { Err("still warned") } else { Ok(()) }
    })
    .await;
    browser.heard_nothing().await;
}

#[tokio::test]
async fn who_is_told_that_all_is_sold_leaves_by_one_button() {
    let scene = with_units(1).await;
    let basket = reserve(&scene, 1).await;
    call(&scene, Method::POST, &format!("{basket}/confirm"), json!({ "order": "o-1" })).await;
    is_heard(&scene, "sold_out").await;
    let browser = scene.visitor(&phone()).await;
    browser.shows("sold").await;
    browser.presses("#act").await;
    browser.presses("#stay").await;
    browser.shows("sold").await;
    browser.presses("#act").await;
    browser.presses("#yes").await;
    browser.shows("over").await;
    browser.heard_nothing().await;
}

#[tokio::test]
async fn the_page_without_script_says_the_same() {
    let scene = with_units(2).await;
    let browser = scene.visitor(&Manner { scripts: Permission::Refused, ..phone() }).await;
    browser.presses("#plain button[lang=en]").await;
    browser.begins("#wait", &says("stock")).await;
    browser.sees(".note", &says("few")).await;
    let basket = reserve(&scene, 2).await;
    is_heard(&scene, "all_held").await;
    browser.page.refresh().await.unwrap();
    browser.sees(".note", &says("held").replace("{}", " (2)")).await;
    looks_well(&browser, "plain-held").await;
    call(&scene, Method::POST, &format!("{basket}/confirm"), json!({ "order": "o-1" })).await;
    is_heard(&scene, "sold_out").await;
    browser.page.refresh().await.unwrap();
    browser.shows("sold").await;
    looks_well(&browser, "plain-sold").await;
    browser.presses("summary").await;
    browser.presses("details button").await;
    browser.sees("h1", &says("join")).await;
}

#[tokio::test]
async fn a_line_that_holds_says_so_and_calls_who_is_next() {
    let scene = with_units(1).await;
    scene.server.patch_room(ROOM, json!({ "stock_gate": "hold", "rate_per_minute": 60_000 })).await;
    reserve(&scene, 1).await;
    is_heard(&scene, "all_held").await;
    let browser = scene.visitor(&Manner::default()).await;
    browser.sees("#note", &says("held").replace("{}", " (1)")).await;
    assert!(!browser.notices("#wait").await, "nobody can say how long");
    call(&scene, Method::POST, "/items/shoe/restock", json!({ "delta": 9 })).await;
    browser.wakes().await;
    browser.is_in_the_shop(&scene.shop).await;
    browser.heard_nothing().await;
}
