//! Visitors who refuse scripts or cookies.

use serde_json::json;

use crate::{
    scene::{Eyes, ROOM, Scene, picture, says},
    support::browser::{Manner, Permission},
};

fn without_script() -> Manner {
    Manner { scripts: Permission::Refused, ..Manner::default() }
}

fn without_cookies() -> Manner {
    Manner { cookies: Permission::Refused, ..Manner::default() }
}

#[tokio::test]
async fn without_script_the_whole_way_works() {
    let scene = Scene::in_line(4).await;
    // The page refreshes itself at most every quarter of the claim window.
    scene.server.patch_room(ROOM, json!({ "claim_window_seconds": 20 })).await;
    let browser = scene.visitor(&without_script()).await;
    browser.picture(&picture("plain-join")).await;
    assert!(!browser.notices("#main").await, "what only the script fills must stay hidden");
    browser.presses("#plain button[lang=en]").await;
    browser.shows("line").await;
    browser.sees("#big", "4").await;
    browser.picture(&picture("plain-place")).await;
    assert_eq!(scene.status().await["tail"], 6);

    browser.page.refresh().await.unwrap();
    browser.sees("#big", "4").await;
    assert_eq!(scene.status().await["tail"], 6, "a reload joins nobody");

    scene.let_everyone_through().await;
    // Nothing is pressed: the page refreshes itself.
    browser.shows("turn").await;
    browser.picture(&picture("plain-turn")).await;
    assert_eq!(scene.status().await["inside"], 0, "the page never claims by itself");
    browser.presses("#act").await;
    browser.is_in_the_shop(&scene.shop).await;
    assert_eq!(scene.status().await["inside"], 1);
    browser.heard_nothing().await;
}

#[tokio::test]
async fn without_cookies_the_open_tab_keeps_the_place() {
    let scene = Scene::in_line(2).await;
    let browser = scene.visitor(&without_cookies()).await;
    browser.shows("line").await;
    assert_eq!(browser.number().await, "4");
    // Whether the cookie was kept shows with the next question.
    browser.wakes().await;
    assert!(browser.reads("#bare").await == says("cookies"));
    browser.picture(&picture("no-cookies")).await;
    scene.let_everyone_through().await;
    browser.wakes().await;
    browser.is_in_the_shop(&scene.shop).await;
    assert_eq!(scene.status().await["tail"], 4, "one visitor, one place");
}

#[tokio::test]
async fn without_cookies_and_script_the_page_says_that_it_can_t_be_done() {
    let scene = Scene::with(json!({ "rate_per_minute": 1, "burst": 1 })).await;
    scene.people_join(1).await;
    let manner = Manner { scripts: Permission::Refused, ..without_cookies() };
    let browser = scene.visitor(&manner).await;
    browser.presses("#plain button[lang=en]").await;
    let page = browser.reads("main").await;
    assert!(page.contains(&says("no_cookies")), "{page}");
    browser.picture(&picture("plain-no-cookies")).await;
}
