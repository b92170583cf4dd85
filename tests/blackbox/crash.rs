//! `kill -9` of the server under load, over real HTTP: what it acknowledged stands, and stands once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::future::join_all;
use rand::Rng;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{
    client::plain,
    server::{Home, Server},
};

const KILLS: usize = 20;
const VISITORS: usize = 8;

/// What visitors were told in all lives of the server, by position.
#[derive(Default)]
struct Told {
    tickets: BTreeMap<u64, String>,
    /// The claims of the pass that name the session.
    passes: BTreeMap<u64, Value>,
    /// Who asked to leave, and whether the answer came.
    leaving: BTreeMap<u64, Leave>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Leave {
    Asked,
    Done,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_lose_nothing_that_was_acknowledged_and_double_nothing() {
    let home = Home::on_file();
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
        looked_at = hold_against(&server, &of_this_life).await;
        assert!(looked_at > before, "kill {kill} after {after_ms} ms met no load");
    }
    let told = told.lock().unwrap().since(0);
    hold_against(&server, &told).await;
    assert!(told.passes.len() > KILLS && told.leaving.len() > KILLS, "hardly anybody got in");
    assert_eq!(server.stop(), 0);
}

/// Joins, enters, and now and then leaves again, until the server is gone.
async fn visit(client: Client, room: String, told: Arc<Mutex<Told>>) -> Option<()> {
    for round in 0.. {
        let (status, joined) = call(client.post(format!("{room}/tickets")).json(&json!({}))).await?;
        assert_eq!(status, 201, "{joined}");
        let (position, ticket) = (joined["number"].as_u64().unwrap(), joined["ticket"].as_str().unwrap().to_owned());
        let twice = told.lock().unwrap().tickets.insert(position, ticket.clone());
        assert_eq!(twice, None, "position {position} was issued twice");
        let (status, pass) = claim(&client, &room, &ticket).await?;
        assert_eq!(status, 200, "{pass}");
        told.lock().unwrap().passes.insert(position, session_of(&pass));
        if round % 3 == 0 {
            told.lock().unwrap().leaving.insert(position, Leave::Asked);
            let leave = client.post(format!("{room}/leave")).header("X-Dropgate-Ticket", &ticket).json(&json!({}));
            let (status, left) = call(leave).await?;
            assert!((200..300).contains(&status), "{status} {left}");
            told.lock().unwrap().leaving.insert(position, Leave::Done);
        }
    }
    None
}

async fn claim(client: &Client, room: &str, ticket: &str) -> Option<(u16, Value)> {
    call(client.post(format!("{room}/passes")).header("X-Dropgate-Ticket", ticket).json(&json!({}))).await
}

/// An answer that came whole; none if the server went away over it.
async fn call(request: RequestBuilder) -> Option<(u16, Value)> {
    let response = request.send().await.ok()?;
    let status = response.status().as_u16();
    let text = response.text().await.ok()?;
    Some((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
}

/// What must be the same however often a session is asked for.
fn session_of(answer: &Value) -> Value {
    let payload = answer["pass"].as_str().and_then(|pass| pass.split('.').nth(1)).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    json!({ "sub": claims["sub"], "jti": claims["jti"], "iat": claims["iat"], "exp": claims["exp"] })
}

impl Told {
    /// The part about positions above `position`.
    fn since(&self, position: u64) -> Self {
        let above = position + 1..;
        Self {
            tickets: self.tickets.range(above.clone()).map(|(p, ticket)| (*p, ticket.clone())).collect(),
            passes: self.passes.range(above.clone()).map(|(p, pass)| (*p, pass.clone())).collect(),
            leaving: self.leaving.range(above).map(|(p, leave)| (*p, *leave)).collect(),
        }
    }
}

/// Asks a server for everything that was acknowledged; gives the highest position issued.
async fn hold_against(server: &Server, told: &Told) -> u64 {
    let room = server.url("/v1/rooms/main");
    let (_, status) = call(plain().get(format!("{room}/status"))).await.unwrap();
    let last = told.tickets.keys().next_back().copied().unwrap_or(0);
    let tail = status["tail"].as_u64().unwrap();
    assert!(tail >= last, "position {last} is lost: {status}");
    let subjects: BTreeSet<String> = told.passes.values().map(|pass| pass["sub"].to_string()).collect();
    assert_eq!(subjects.len(), told.passes.len(), "two visitors share a session");
    let client = plain();
    let everyone: Vec<(u64, &String)> = told.tickets.iter().map(|(position, ticket)| (*position, ticket)).collect();
    for some in everyone.chunks(16) {
        let looks = some.iter().map(|(position, ticket)| look(&client, &room, told, *position, ticket));
        join_all(looks).await;
    }
    tail
}

/// One visitor comes back after the crash.
async fn look(client: &Client, room: &str, told: &Told, position: u64, ticket: &str) {
    let place = client.get(format!("{room}/place")).header("X-Dropgate-Ticket", ticket);
    let (status, place) = call(place).await.unwrap();
    assert_eq!(status, 200, "the ticket of {position} is worth nothing: {place}");
    let state = place["state"].as_str().unwrap();
    match (told.passes.get(&position), told.leaving.get(&position)) {
        (_, Some(Leave::Done)) => assert_eq!(state, "over", "{position} is back"),
        (Some(_), Some(Leave::Asked)) => assert!(["inside", "over"].contains(&state), "{position}: {place}"),
        (Some(pass), None) => {
            assert_eq!(state, "inside", "{position}: {place}");
            let (status, again) = claim(client, room, ticket).await.unwrap();
            assert_eq!(status, 200, "{position}: {again}");
            assert_eq!(session_of(&again), *pass, "{position} has a second session");
        }
        // Called, and perhaps let in without having been told.
        (None, _) => assert!(["waiting", "called", "inside"].contains(&state), "{position}: {place}"),
    }
}
