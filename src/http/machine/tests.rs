use actix_web::{http::Method, test::TestRequest};
use serde_json::Value;

use crate::{
    http::{Surface, testing::Bench},
    room::Command,
    store::Backend,
};

#[actix_web::test]
async fn a_live_process_with_a_store_is_ready() {
    let bench = Bench::new().await;
    for surface in [Surface::All, Surface::Public, Surface::Admin] {
        for path in ["/healthz", "/readyz"] {
            let reply = bench.send(surface, TestRequest::get().uri(path)).await;
            assert_eq!((reply.status, reply.header("cache-control")), (200, "no-store"), "{path} on {surface:?}");
        }
    }
}

#[actix_web::test]
async fn without_a_store_the_process_lives_and_is_not_ready() {
    let bench = Bench::new().await;
    let Backend::Embedded(store) = bench.context.instance.store() else { unreachable!("on Redis") };
    store.close().await.unwrap();
    assert_eq!(bench.send(Surface::All, TestRequest::get().uri("/healthz")).await.status, 200);
    let reply = bench.send(Surface::All, TestRequest::get().uri("/readyz")).await;
    assert_eq!((reply.status, &reply.body["type"]), (503, &"urn:dropgate:store_unavailable".into()));
    assert!(!reply.header("retry-after").is_empty());
}

#[actix_web::test]
async fn the_figures_of_the_rooms_we_serve_are_there_and_nobody_elses() {
    let bench = Bench::new().await;
    bench.room().await;
    let lane = bench.context.instance.room("main").unwrap().lane.clone();
    lane.submit(Command::Join { count: 1_000 }).await.unwrap();
    bench.send(Surface::All, TestRequest::get().uri("/v1/rooms/asked-for")).await;
    let reply = bench.call(Method::GET, "/metrics", Value::Null).await;
    assert_eq!(reply.status, 200);
    let text = reply.body.as_str().unwrap();
    let view = lane.view().unwrap();
    for line in [
        format!("dropgate_room_waiting{{room=\"main\"}} {}", view.waiting()),
        format!("dropgate_room_inside{{room=\"main\"}} {}", view.inside),
        "dropgate_room_tail{room=\"main\"} 1000".to_owned(),
        "# EOF".to_owned(),
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
    }
    assert!(!text.contains("asked-for"), "{text}");
    assert_eq!(text.matches("# EOF").count(), 1);
}

#[actix_web::test]
async fn on_the_operators_own_listener_the_figures_need_no_key() {
    let bench = Bench::new().await;
    assert_eq!(bench.send(Surface::Admin, TestRequest::get().uri("/metrics")).await.status, 200);
    assert_eq!(bench.send(Surface::All, TestRequest::get().uri("/metrics")).await.status, 401);
}
