//! The registry of instances on a real server.

use std::sync::Mutex;

use redis::Connection;
use uuid::Uuid;

use super::bare::Server;
use crate::{
    id::RoomId,
    store::{
        StoreError,
        instances::Announcement,
        redis::{
            instances::{Instances, KEYS, SOURCE},
            wire::Args,
        },
    },
    time::UnixMs,
};

struct Sender {
    id: Uuid,
    known: Instances,
    connection: Mutex<Connection>,
}

impl Sender {
    fn new(server: &Server, id: u128) -> Self {
        Self { id: Uuid::from_u128(id), known: Instances::default(), connection: Mutex::new(server.connect()) }
    }

    fn me(&self, version: u64) -> Announcement {
        let rooms = vec![(RoomId::parse("main").unwrap(), version)];
        Announcement { id: self.id, build: "1.2.3".to_owned(), started: UnixMs(5), rooms, sales: Vec::new() }
    }

    async fn announce(&self, version: u64) {
        self.known.announce(self.me(version), |args| self.call(args)).await.unwrap();
    }

    async fn listed(&self) -> Vec<Announcement> {
        let rows = self.known.list(|args| self.call(args)).await.unwrap();
        assert!(rows.iter().all(|row| row.last_seen.0 > 1_700_000_000_000), "by the server's clock: {rows:?}");
        rows.into_iter().map(|row| row.announcement).collect()
    }

    fn call(&self, args: Args) -> impl Future<Output = Result<Vec<u8>, StoreError>> + Send {
        let script = redis::Script::new(SOURCE);
        let mut call = script.prepare_invoke();
        KEYS.iter().for_each(|key| _ = call.key(*key));
        call.arg(args.pack());
        let answer: Vec<u8> = call.invoke(&mut *self.connection.lock().unwrap()).unwrap();
        async move { Ok(answer) }
    }

    fn ask(&self, command: &[&str]) -> redis::Value {
        let mut asked = redis::cmd(command[0]);
        command[1..].iter().for_each(|arg| _ = asked.arg(*arg));
        asked.query(&mut *self.connection.lock().unwrap()).unwrap()
    }
}

#[tokio::test]
async fn each_learns_of_the_others_and_whoever_leaves_may_still_be_asked() {
    let server = Server::start();
    let (one, other) = (Sender::new(&server, 1), Sender::new(&server, 2));
    one.announce(3).await;
    other.announce(3).await;
    one.announce(3).await;
    assert_eq!(one.known.peers(), [one.id, other.id]);
    assert_eq!(one.listed().await, [one.me(3), other.me(3)]);
    one.announce(4).await;
    assert_eq!(other.listed().await, [one.me(4), other.me(3)]);
    one.known.leave(one.id, |args| one.call(args)).await.unwrap();
    assert_eq!(other.listed().await, [other.me(3)]);
    other.announce(3).await;
    assert_eq!(other.known.peers(), [one.id, other.id], "what it acknowledged may still get lost");
}

#[tokio::test]
async fn after_a_loss_everybody_is_there_again_and_nobody_forgets_anybody() {
    let server = Server::start();
    let (one, other) = (Sender::new(&server, 1), Sender::new(&server, 2));
    one.announce(3).await;
    other.announce(3).await;
    other.ask(&["FLUSHALL", "SYNC"]);
    other.announce(3).await;
    assert_eq!(other.listed().await, [other.me(3)]);
    assert_eq!(other.known.peers(), [one.id, other.id]);
    one.announce(3).await;
    assert_eq!(other.listed().await, [one.me(3), other.me(3)]);
}

#[tokio::test]
async fn who_is_silent_is_forgotten() {
    let server = Server::start();
    let (one, other) = (Sender::new(&server, 1), Sender::new(&server, 2));
    one.announce(3).await;
    // Ten minutes and a bit ago.
    let now: Vec<String> = redis::from_redis_value(one.ask(&["TIME"])).unwrap();
    let long_ago = (now[0].parse::<u64>().unwrap() - 601) * 1000;
    one.ask(&["ZADD", KEYS[0], &long_ago.to_string(), &one.id.to_string()]);
    other.announce(3).await;
    assert_eq!(other.listed().await, [other.me(3)]);
    assert_eq!(other.known.peers(), [other.id]);
}
