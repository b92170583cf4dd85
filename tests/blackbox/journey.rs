//! One way through everything, on every store there is: what works in memory works on a cluster.

use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{
    SOON,
    client::{answer, json_of},
    eventually,
    server::{Backend, Home},
    stock::{SKU, Shop, Told},
};

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_waits_enters_and_buys_the_last_one(
    #[values(Backend::Memory, Backend::File, Backend::Redis, Backend::Sentinels, Backend::Cluster)] store: Backend,
) {
    let home = Home::on(store);
    let mut server = home.start();
    let shop = Shop::open(&server, 2, json!({ "requires_pass": ["main"], "hold_seconds": 600 })).await;
    server.put_room("main", json!({ "mode": "hold", "sale": "drop", "join_per_address": 0 })).await;
    let visitors: Vec<_> = (0..3).map(|_| server.visitor()).collect();
    for (number, visitor) in visitors.iter().enumerate() {
        let (status, joined) = visitor.post_json("/v1/rooms/main/tickets", Value::Null).await;
        assert_eq!((status, joined["number"].as_u64()), (201, Some(number as u64 + 1)), "{joined}");
    }
    assert_eq!(visitors[0].post("/v1/rooms/main/passes", json!({})).await.status(), StatusCode::ACCEPTED);
    server.patch_room("main", json!({ "mode": "queue", "rate_per_minute": 6_000, "burst": 10 })).await;
    let mut held = Vec::new();
    for (number, visitor) in visitors.iter().enumerate() {
        let pass = eventually(&format!("{number} is called"), SOON, async || {
            match visitor.post_json("/v1/rooms/main/passes", json!({})).await {
                (200, claimed) => Ok(claimed["pass"].as_str().unwrap().to_owned()),
                other => Err(other),
            }
        })
        .await;
        let reserve = shop.client.post(format!("{}/reservations", shop.sale)).header("X-Dropgate-Pass", &pass);
        let body = json!({ "lines": [{ "sku": SKU, "quantity": 1 }] });
        let answer = json_of(reserve.header("Idempotency-Key", "once").json(&body).send().await.unwrap()).await;
        held.push(answer);
    }
    assert_eq!([held[0].0, held[1].0, held[2].0], [201, 201, 409], "{held:?}");
    let ids: Vec<_> = held[..2].iter().map(|(_, held)| held["id"].as_str().unwrap().to_owned()).collect();
    let (status, paid) = shop.call(&ids[0], "confirm", json!({ "order": "o-1" })).await.unwrap();
    assert_eq!((status, &paid["state"]), (200, &json!("confirmed")), "{paid}");
    assert_eq!(shop.call(&ids[1], "release", json!({})).await.unwrap().0, 200);

    if store != Backend::Memory {
        server = server.kill_and_restart(&home);
    }
    let (status, place) = visitors[0].get_json("/v1/rooms/main/place").await;
    assert_eq!((status, &place["state"], &place["position"]), (200, &json!("inside"), &json!(1)), "{place}");
    assert_eq!(shop.look(&ids[0]).await.1["order"], "o-1");
    let mut told = Told::default();
    shop.audit(&mut told).await;
    assert_eq!((told.total, told.available, told.held, told.sold), (2, 1, 0, 1));
    let (status, view) = answer(shop.keyed(Method::GET, "")).await.unwrap();
    assert_eq!((status, &view["state"]), (200, &json!("open")), "{view}");
    assert_eq!(server.admin(Method::POST, "/v1/rooms/main/reset", None).await.0, 200);
    assert_eq!(visitors[2].get("/v1/rooms/main/place").await.status(), StatusCode::GONE);
    assert_eq!(server.stop(), 0);
}
