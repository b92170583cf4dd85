//! `kill -9` of the server under load, over real HTTP: what it acknowledged stands, and stands once.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use rand::Rng;
use reqwest::Client;
use rstest::rstest;
use serde_json::json;

use crate::support::{
    client::{answer, plain},
    server::{Backend, Home},
    visits::{Leave, Told, calling, hold_against, session_of},
};

const KILLS: usize = 20;
const VISITORS: usize = 8;

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_lose_nothing_that_was_acknowledged_and_double_nothing(
    #[values(Backend::File, Backend::Redis)] store: Backend,
) {
    let home = Home::on(store);
    let mut server = home.start();
    // Whoever joins is called at once, so that every step of the way is under way when the kill comes.
    let settings = json!({ "rate_per_minute": 600_000, "burst": 100_000, "join_per_address": 0 });
    server.put_room("main", settings).await;
    let told = Arc::new(Mutex::new(Told::default()));
    let mut looked_at = 0;
    for kill in 0..KILLS {
        let visitors: Vec<_> = (0..VISITORS)
            .map(|_| tokio::spawn(visit(plain(), server.url("/v1/rooms/main"), Arc::clone(&told))))
            .collect();
        // The one wait of this test: it is the moment of the kill.
        let after_ms = rand::rng().random_range(50..350);
        tokio::time::sleep(Duration::from_millis(after_ms)).await;
        server.process().kill();
        for visitor in visitors {
            visitor.await.unwrap();
        }
        server = home.start();
        let before = looked_at;
        let of_this_life = told.lock().unwrap().since(before);
        looked_at = hold_against(server.base(), &of_this_life).await;
        assert!(looked_at > before, "kill {kill} after {after_ms} ms met no load");
    }
    let told = told.lock().unwrap().since(0);
    hold_against(server.base(), &told).await;
    assert!(told.passes.len() > KILLS && told.leaving.len() > KILLS, "hardly anybody got in");
    assert_eq!(server.stop(), 0);
}

/// Joins, enters, and now and then leaves again, until the server is gone.
async fn visit(client: Client, room: String, told: Arc<Mutex<Told>>) -> Option<()> {
    for round in 0.. {
        let (status, joined) = answer(client.post(format!("{room}/tickets")).json(&json!({}))).await?;
        assert_eq!(status, 201, "{joined}");
        let (position, ticket) = (joined["number"].as_u64().unwrap(), joined["ticket"].as_str().unwrap().to_owned());
        let twice = told.lock().unwrap().tickets.insert(position, ticket.clone());
        assert_eq!(twice, None, "position {position} was issued twice");
        let (status, pass) = answer(calling(&client, &room, "passes", &ticket)).await?;
        assert_eq!(status, 200, "{pass}");
        told.lock().unwrap().passes.insert(position, session_of(&pass));
        if round % 3 == 0 {
            told.lock().unwrap().leaving.insert(position, Leave::Asked);
            let (status, left) = answer(calling(&client, &room, "leave", &ticket)).await?;
            assert!((200..300).contains(&status), "{status} {left}");
            told.lock().unwrap().leaving.insert(position, Leave::Done);
        }
    }
    None
}
