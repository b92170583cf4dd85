//! What visitors of a line were told, and whether it still holds: for tests that take servers away under them.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::future::join_all;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use super::{
    SOON,
    client::{answer, plain},
    eventually,
};

/// What visitors were told, by position.
#[derive(Default)]
pub struct Told {
    pub tickets: BTreeMap<u64, String>,
    /// The claims of the pass that name the session.
    pub passes: BTreeMap<u64, Value>,
    /// Who asked to leave, and whether the answer came.
    pub leaving: BTreeMap<u64, Leave>,
}

/// How far somebody got who leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// Whether it was heard is not known.
    Asked,
    Done,
}

/// A call to a room by whoever has this ticket.
pub fn calling(client: &Client, room: &str, call: &str, ticket: &str) -> RequestBuilder {
    client.post(format!("{room}/{call}")).header("X-Dropgate-Ticket", ticket).json(&json!({}))
}

/// What must be the same however often a session is asked for.
pub fn session_of(answer: &Value) -> Value {
    let payload = answer["pass"].as_str().and_then(|pass| pass.split('.').nth(1)).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    json!({ "sub": claims["sub"], "jti": claims["jti"], "iat": claims["iat"], "exp": claims["exp"] })
}

impl Told {
    /// The part about positions above `position`.
    pub fn since(&self, position: u64) -> Self {
        let above = position + 1..;
        Self {
            tickets: self.tickets.range(above.clone()).map(|(p, ticket)| (*p, ticket.clone())).collect(),
            passes: self.passes.range(above.clone()).map(|(p, pass)| (*p, pass.clone())).collect(),
            leaving: self.leaving.range(above).map(|(p, leave)| (*p, *leave)).collect(),
        }
    }
}

/// Asks a server for everything that was acknowledged; gives the highest position issued.
pub async fn hold_against(base: &str, told: &Told) -> u64 {
    let room = format!("{base}/v1/rooms/main");
    let last = told.tickets.keys().next_back().copied().unwrap_or(0);
    // An instance may hear a moment later what another one did.
    let tail = eventually(&format!("position {last} is known"), SOON, async || {
        let (_, status) = answer(plain().get(format!("{room}/status"))).await.unwrap();
        status["tail"].as_u64().filter(|tail| *tail >= last).ok_or(status)
    })
    .await;
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

/// One visitor comes back.
async fn look(client: &Client, room: &str, told: &Told, position: u64, ticket: &str) {
    let place = client.get(format!("{room}/place")).header("X-Dropgate-Ticket", ticket);
    let (status, place) = answer(place).await.unwrap();
    assert_eq!(status, 200, "the ticket of {position} is worth nothing: {place}");
    let state = place["state"].as_str().unwrap();
    match (told.passes.get(&position), told.leaving.get(&position)) {
        (_, Some(Leave::Done)) => assert_eq!(state, "over", "{position} is back"),
        (Some(_), Some(Leave::Asked)) => assert!(["inside", "over"].contains(&state), "{position}: {place}"),
        (Some(pass), None) => {
            assert_eq!(state, "inside", "{position}: {place}");
            let (status, again) = answer(calling(client, room, "passes", ticket)).await.unwrap();
            assert_eq!(status, 200, "{position}: {again}");
            assert_eq!(session_of(&again), *pass, "{position} has a second session");
        }
        // Called, and perhaps let in without having been told.
        (None, _) => assert!(["waiting", "called", "inside"].contains(&state), "{position}: {place}"),
    }
}
