//! Weak moments: the server dies and comes back, the line stands still, opens later or is closed.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use crate::{
    scene::{Eyes, ROOM, Scene, picture, says},
    support::{SOON, browser::Manner, eventually},
};

#[tokio::test]
async fn a_killed_server_costs_nobody_a_place() {
    let mut scene = Scene::in_line(3).await;
    let browser = scene.visitor(&Manner::default()).await;
    assert_eq!(browser.number().await, "5");

    scene.server.process().kill();
    // The visitor looks at the page again, which asks at once.
    browser.wakes().await;
    let note = browser.reads("#note").await;
    assert_eq!(note, format!("{} {}", says("trouble"), says("kept")));
    browser.picture(&picture("trouble")).await;

    scene.server = scene.server.kill_and_restart(&scene.home);
    browser.wakes().await;
    browser.shows("line").await;
    assert_eq!(browser.number().await, "5");
    eventually("the trouble is over", SOON, async || match browser.notices("#note").await {
        true => Err("the note still stands"),
        false => Ok(()),
    })
    .await;
    scene.let_everyone_through().await;
    browser.wakes().await;
    browser.is_in_the_shop(&scene.shop).await;
    assert_eq!(scene.status().await["tail"], 5);
}

#[tokio::test]
async fn a_paused_line_says_so_and_goes_on_by_itself() {
    let scene = Scene::in_line(2).await;
    scene.server.patch_room(ROOM, json!({ "mode": "hold" })).await;
    let browser = scene.visitor(&Manner::default()).await;
    browser.shows("pause").await;
    browser.picture(&picture("paused")).await;
    scene.server.patch_room(ROOM, json!({ "mode": "queue" })).await;
    scene.let_everyone_through().await;
    browser.wakes().await;
    browser.is_in_the_shop(&scene.shop).await;
    browser.heard_nothing().await;
}

#[tokio::test]
async fn before_the_opening_the_page_counts_down_and_then_the_line_moves() {
    let opens_at = Timestamp::now() + Duration::from_secs(6);
    let scene = Scene::with(json!({ "rate_per_minute": 600_000, "opens_at": opens_at.to_string() })).await;
    let browser = scene.visitor(&Manner::default()).await;
    browser.shows("soon").await;
    browser.picture(&picture("scheduled")).await;
    assert_eq!(scene.status().await["state"], "scheduled");
    browser.is_in_the_shop(&scene.shop).await;
    browser.heard_nothing().await;
}

#[tokio::test]
async fn a_closed_room_takes_nobody_and_keeps_who_was_there() {
    let scene = Scene::in_line(2).await;
    let browser = scene.visitor(&Manner::default()).await;
    assert_eq!(browser.number().await, "4");
    scene.server.patch_room(ROOM, json!({ "mode": "closed" })).await;
    browser.wakes().await;
    browser.shows("closed").await;
    browser.picture(&picture("closed")).await;

    let newcomer = scene.visitor(&Manner::default()).await;
    newcomer.shows("closed").await;
    newcomer.picture(&picture("closed-newcomer")).await;
    assert_eq!(scene.status().await["tail"], 4);
}

#[tokio::test]
async fn a_reset_line_tells_its_people() {
    let scene = Scene::in_line(2).await;
    let browser = scene.visitor(&Manner::default()).await;
    assert_eq!(browser.number().await, "4");
    let path = format!("/v1/rooms/{ROOM}/reset");
    let (status, answer) = scene.server.admin(reqwest::Method::POST, &path, None).await;
    assert!(status == 200 || status == 204, "{status} {answer}");
    browser.wakes().await;
    browser.sees("#text", &says("reset_t")).await;
    browser.picture(&picture("reset")).await;
    assert_eq!(scene.status().await["tail"], 0, "nobody rejoins by itself");
    browser.presses("#act").await;
    browser.shows("next").await;
    assert_eq!(browser.number().await, "1");
}

#[tokio::test]
async fn a_void_is_not_shown_as_people_ahead() {
    let scene = Scene::in_line(3).await;
    let browser = scene.visitor(&Manner::default()).await;
    assert_eq!(browser.number().await, "5");
    browser.sees("#big", "3").await;
    // The store of this server loses nothing, so the browser is told that positions 3 and 4 were never anybody's.
    let told = "const ask = fetch;
        fetch = async (...what) => {
            const answer = await ask(...what);
            if (!answer.url.endsWith('/status')) return answer;
            const voids = [[3, 4]];
            return new Response(JSON.stringify({...await answer.json(), voids}), {headers: answer.headers});
        };";
    browser.page.execute(told, Vec::new()).await.unwrap();
    browser.wakes().await;
    browser.sees("#big", "1").await;
}
