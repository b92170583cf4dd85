//! From the first look to the shop, and what people do on the way.

use std::time::Duration;

use serde_json::json;

use crate::{
    scene::{Eyes, ROOM, Scene, picture, says},
    support::{
        SOON,
        browser::{Browser, Manner},
        eventually,
    },
};

#[tokio::test]
async fn a_visitor_joins_waits_is_called_and_enters_the_shop() {
    let scene = Scene::in_line(5).await;
    let browser = scene.visitor(&Manner::default()).await;
    browser.shows("line").await;
    browser.sees("#big", "5").await;
    assert_eq!(browser.number().await, "7");
    browser.picture(&picture("waiting")).await;

    scene.let_everyone_through().await;
    browser.wakes().await;
    let url = browser.is_in_the_shop(&scene.shop).await;
    assert!(url.contains("?dropgate="), "came without an entry pass: {url}");
    assert_eq!(scene.shop.asked().len(), 1);
    assert_eq!(scene.status().await["inside"], 1);
    browser.heard_nothing().await;
}

#[tokio::test]
async fn a_free_room_lets_the_visitor_pass_without_a_word() {
    let scene = Scene::with(json!({ "rate_per_minute": 6000 })).await;
    let browser = scene.visitor(&Manner::default()).await;
    browser.is_in_the_shop(&scene.shop).await;
    browser.heard_nothing().await;
}

#[tokio::test]
async fn reloading_and_a_second_tab_keep_one_place() {
    let scene = Scene::in_line(3).await;
    let browser = scene.visitor(&Manner::default()).await;
    assert_eq!(browser.number().await, "5");
    browser.page.refresh().await.unwrap();
    assert_eq!(browser.number().await, "5");

    let first = browser.page.window().await.unwrap();
    let second = browser.page.new_window(true).await.unwrap();
    browser.page.switch_to_window(second.handle).await.unwrap();
    browser.page.goto(&scene.page()).await.unwrap();
    assert_eq!(browser.number().await, "5");
    assert_eq!(scene.status().await["tail"], 5);

    browser.page.close_window().await.unwrap();
    browser.page.switch_to_window(first).await.unwrap();
    assert_eq!(browser.number().await, "5");
    browser.heard_nothing().await;
}

#[tokio::test]
async fn two_tabs_that_open_at_once_share_one_join() {
    let scene = Scene::in_line(2).await;
    let browser = scene.visitor(&Manner::default()).await;
    assert_eq!(browser.number().await, "4");
    // A fresh visitor again: both tabs start without a place, in the same moment.
    browser.page.delete_all_cookies().await.unwrap();
    browser.page.execute("sessionStorage.clear(); localStorage.clear()", Vec::new()).await.unwrap();
    let script = "window.open(location.href); location.reload()";
    browser.page.execute(script, Vec::new()).await.unwrap();
    for window in browser.page.windows().await.unwrap() {
        browser.page.switch_to_window(window).await.unwrap();
        browser.sees("#facts > div:first-child > dd", "5").await;
    }
    assert_eq!(scene.status().await["tail"], 5);
}

#[tokio::test]
async fn going_elsewhere_and_back_keeps_the_place() {
    let scene = Scene::in_line(1).await;
    let browser = scene.visitor(&Manner::default()).await;
    assert_eq!(browser.number().await, "3");
    browser.page.goto(&scene.server.url("/w/no-such-room")).await.unwrap();
    browser.page.back().await.unwrap();
    assert_eq!(browser.number().await, "3");
    assert_eq!(scene.status().await["tail"], 3);
}

#[tokio::test]
async fn back_from_the_shop_leads_before_the_line_and_not_into_it() {
    let scene = Scene::in_line(0).await;
    let browser = Browser::open(&Manner::default()).await;
    browser.page.goto("data:text/html,<h1>A search engine</h1>").await.unwrap();
    browser.page.goto(&scene.page()).await.unwrap();
    browser.shows("next").await;
    scene.let_everyone_through().await;
    browser.wakes().await;
    browser.is_in_the_shop(&scene.shop).await;

    browser.page.back().await.unwrap();
    browser.sees("h1", "A search engine").await;
    browser.page.forward().await.unwrap();
    browser.is_in_the_shop(&scene.shop).await;
    let status = scene.status().await;
    assert_eq!((&status["inside"], &status["tail"]), (&json!(1), &json!(2)));
}

#[tokio::test]
async fn who_comes_to_the_line_again_from_the_shop_enters_by_a_button() {
    let scene = Scene::with(json!({ "rate_per_minute": 6000 })).await;
    let browser = scene.visitor(&Manner::default()).await;
    browser.is_in_the_shop(&scene.shop).await;
    browser.page.goto(&scene.page()).await.unwrap();
    browser.shows("turn").await;
    browser.presses("#act").await;
    browser.is_in_the_shop(&scene.shop).await;
    let status = scene.status().await;
    assert_eq!((&status["inside"], &status["tail"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn a_shop_that_sends_the_visitor_back_makes_no_loop() {
    let scene = Scene::with(json!({ "rate_per_minute": 6000 })).await;
    scene.shop.send_back_to(&scene.page());
    let browser = scene.visitor(&Manner::default()).await;
    browser.shows("turn").await;
    browser.begins("#text", &says("back")).await;
    browser.sees("#act", &says("go")).await;
    browser.picture(&picture("sent-back")).await;
    assert_eq!(scene.shop.asked().len(), 1, "{:?}", scene.shop.asked());
    assert_eq!(scene.status().await["tail"], 1);
}

#[tokio::test]
async fn a_tab_behind_another_neither_misses_its_turn_nor_goes_unseen() {
    let scene = Scene::in_line(1).await;
    // A hidden page asks at most every quarter of the claim window.
    scene.server.patch_room(ROOM, json!({ "claim_window_seconds": 20 })).await;
    let browser = scene.visitor(&Manner::default()).await;
    assert_eq!(browser.number().await, "3");
    let line = browser.page.window().await.unwrap();
    let front = browser.page.new_window(true).await.unwrap();
    browser.page.switch_to_window(front.handle).await.unwrap();
    browser.devtools("Page.bringToFront", json!({})).await;

    scene.let_everyone_through().await;
    eventually("the hidden page claims", SOON, async || {
        let status = scene.status().await;
        if status["inside"] == 1 { Ok(()) } else { Err(status) }
    })
    .await;
    // Longer than the page lingers on a turn before it goes to the shop.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(scene.shop.asked(), Vec::<String>::new(), "nobody looked");

    browser.page.close_window().await.unwrap();
    browser.page.switch_to_window(line).await.unwrap();
    browser.devtools("Page.bringToFront", json!({})).await;
    browser.is_in_the_shop(&scene.shop).await;
}

#[tokio::test]
async fn leaving_the_line_asks_first_and_is_final() {
    let scene = Scene::in_line(2).await;
    let browser = scene.visitor(&Manner::default()).await;
    browser.shows("line").await;
    browser.presses("#leave").await;
    browser.sees("#ask", &says("sure")).await;
    browser.picture(&picture("leaving")).await;
    browser.presses("#stay").await;
    browser.shows("line").await;

    browser.presses("#leave").await;
    browser.presses("#yes").await;
    browser.shows("over").await;
    browser.picture(&picture("over")).await;
    assert_eq!(scene.status().await["tail"], 4, "nobody rejoins by itself");
    browser.presses("#act").await;
    browser.sees("#facts > div:first-child > dd", "5").await;
}

#[tokio::test]
async fn who_missed_the_turn_is_told_and_may_line_up_again() {
    let scene = Scene::with(json!({ "mode": "hold", "claim_window_seconds": 1 })).await;
    let browser = scene.visitor(&Manner::default()).await;
    browser.shows("pause").await;
    // Gone to a page of no concern until the turn is over.
    browser.page.goto("data:text/html,<title>Elsewhere</title>").await.unwrap();
    scene.server.patch_room(ROOM, json!({ "mode": "queue" })).await;
    eventually("the turn is over", SOON, async || {
        let figures = scene.figures().await;
        if figures.contains("dropgate_room_lapsed{room=\"drop\"} 1") { Ok(()) } else { Err(figures) }
    })
    .await;

    browser.page.goto(&scene.page()).await.unwrap();
    browser.shows("lapsed").await;
    browser.picture(&picture("lapsed")).await;
    assert_eq!(scene.status().await["tail"], 1, "nobody rejoins by itself");
    browser.presses("#act").await;
    browser.is_in_the_shop(&scene.shop).await;
    assert_eq!(scene.status().await["tail"], 2);
}
