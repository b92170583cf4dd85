//! The catalog on a real server against the catalog in memory, which is its specification; and what becomes of it when
//! the server forgets.

use std::{
    env,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use proptest::{collection::vec, prelude::*, test_runner::TestRunner};
use redis::{Connection, ConnectionLike};

use super::bare::Server;
use crate::store::{
    StoreError,
    catalog::{Catalog, Command, Expect, Kind, Outcome},
    redis::{
        catalog::{KEYS, Remembered, SOURCE},
        wire::Args,
    },
};

/// One process, and its way to the server.
struct Sender {
    remembered: Remembered,
    connection: Arc<Mutex<Connection>>,
    /// The next answer gets lost on its way.
    deaf: AtomicBool,
}

impl Sender {
    fn new(server: &Server) -> Self {
        let connection = Arc::new(Mutex::new(server.connect()));
        Self { remembered: Remembered::default(), connection, deaf: AtomicBool::new(false) }
    }

    async fn apply(&self, commands: &[Command]) -> Result<Vec<Outcome>, StoreError> {
        self.remembered
            .apply(commands, |args: Args| {
                let answer = invoke(&mut self.connection.lock().unwrap(), args);
                let is_lost = self.deaf.swap(false, SeqCst);
                async move { if is_lost { Err(StoreError::Unavailable("cut".to_owned())) } else { Ok(answer) } }
            })
            .await
    }

    async fn listed(&self) -> (u64, Vec<(String, String)>) {
        match self.apply(&[Command::List { known: u64::MAX }]).await.unwrap().remove(0) {
            Outcome::Listed { revision, entries: Some(entries) } => {
                (revision, entries.into_iter().map(|entry| (entry.id, entry.body)).collect())
            }
            other => panic!("{other:?}"),
        }
    }
}

fn invoke(connection: &mut Connection, args: Args) -> Vec<u8> {
    let script = redis::Script::new(SOURCE);
    let mut call = script.prepare_invoke();
    KEYS.iter().for_each(|key| _ = call.key(*key));
    call.arg(args.pack());
    call.invoke(connection).unwrap()
}

fn flush(sender: &Sender) {
    sender.connection.lock().unwrap().req_command(redis::cmd("FLUSHALL").arg("SYNC")).unwrap();
}

fn put(id: &str, body: &str) -> Command {
    Command::Put { kind: Kind::Room, id: id.to_owned(), body: body.to_owned(), expect: Expect::Any }
}

fn delete(id: &str) -> Command {
    Command::Delete { kind: Kind::Room, id: id.to_owned(), expect: Expect::Any, last_epoch: 3 }
}

fn command() -> impl Strategy<Value = Command> {
    let kind = prop_oneof![Just(Kind::Room), Just(Kind::Sale), Just(Kind::ApiKey), Just(Kind::SigningKey)];
    let id = (0..5_u8).prop_map(|n| format!("it-{n}"));
    let body = prop_oneof!["[a-c]", Just("{\"name\": \"Größe\n12:\"}".to_owned()), Just(String::new())];
    let expect =
        prop_oneof![4 => Just(Expect::Any), 1 => Just(Expect::Absent), 2 => (0..40_u64).prop_map(Expect::Version)];
    (kind, id, body, expect, 0..12_u8, 0..60_u64).prop_map(|(kind, id, body, expect, what, n)| match what {
        // A key is what it is, whoever makes it.
        0..6 if kind == Kind::SigningKey => Command::Put { kind, body: format!("the key {id}"), id, expect },
        0..6 => Command::Put { kind, id, body, expect },
        6 | 7 => Command::Delete { kind, id, expect, last_epoch: n },
        8 | 9 => Command::List { known: n },
        10 => Command::Made { kind, id, born: n },
        _ => Command::Lift { kind, id, above: n },
    })
}

/// What happens between the batches.
#[derive(Clone, Debug)]
enum Step {
    Batch {
        sender: usize,
        commands: Vec<Command>,
    },
    /// The same, and nobody hears the answer.
    Unheard {
        sender: usize,
        commands: Vec<Command>,
    },
    /// The server forgets all; each sender remembers what it last saw.
    Flush,
}

fn step() -> impl Strategy<Value = Step> {
    let batch = || (0..2_usize, vec(command(), 1..5));
    prop_oneof![
        30 => batch().prop_map(|(sender, commands)| Step::Batch { sender, commands }),
        2 => batch().prop_map(|(sender, commands)| Step::Unheard { sender, commands }),
        1 => Just(Step::Flush),
    ]
}

#[test]
fn two_senders_do_what_the_catalog_does() {
    let server = Server::start();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let cases = env::var("DROPGATE_DIFFERENTIAL_CASES").map_or(150, |cases| cases.parse().unwrap());
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config).run(&vec(step(), 1..40), |steps| runtime.block_on(compare(&server, steps))).unwrap();
}

async fn compare(server: &Server, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let senders = [Sender::new(server), Sender::new(server)];
    flush(&senders[0]);
    let mut alone = Catalog::default();
    for step in steps {
        match step {
            Step::Batch { sender, commands } => {
                let said = senders[sender].apply(&commands).await.unwrap();
                let expected: Vec<_> = commands.iter().map(|command| alone.apply(command)).collect();
                prop_assert_eq!(said, expected);
                prop_assert_eq!(senders[sender].remembered.catalog().await, alone.clone());
            }
            Step::Unheard { sender, commands } => {
                senders[sender].apply(&[Command::List { known: 0 }]).await.unwrap();
                senders[sender].deaf.store(true, SeqCst);
                senders[sender].apply(&commands).await.unwrap_err();
                commands.iter().for_each(|command| drop(alone.apply(command)));
            }
            Step::Flush => {
                // Whoever looks first brings back all, where both are up to date.
                for sender in &senders {
                    sender.apply(&[Command::List { known: 0 }]).await.unwrap();
                }
                flush(&senders[0]);
            }
        }
    }
    let fresh = Sender::new(server);
    senders[0].apply(&[Command::List { known: 0 }]).await.unwrap();
    fresh.apply(&[Command::List { known: 0 }]).await.unwrap();
    prop_assert_eq!(fresh.remembered.catalog().await, alone);
    Ok(())
}

#[tokio::test]
async fn what_one_saw_acknowledged_outlives_the_server() {
    let server = Server::start();
    let (one, other) = (Sender::new(&server), Sender::new(&server));
    one.apply(&[put("a", "1"), put("b", "1")]).await.unwrap();
    other.listed().await;
    // The other hears of neither of these before all is gone, and writes in the meantime.
    one.apply(&[put("a", "2"), delete("b"), put("c", "1")]).await.unwrap();
    flush(&one);
    other.apply(&[put("d", "1")]).await.unwrap();
    let all = ["a 2", "c 1", "d 1"].map(|it| it.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap());
    assert_eq!(one.listed().await.1, all);
    assert_eq!(other.listed().await, one.listed().await);
    // A room of that id starts above the epoch of the one that went.
    let said = other.apply(&[put("b", "again")]).await.unwrap();
    assert!(matches!(&said[0], Outcome::Put { entry, created: true } if entry.first_epoch == 4), "{said:?}");
}

#[tokio::test]
async fn what_was_written_on_both_sides_of_a_split_comes_together() {
    let server = Server::start();
    let other_server = Server::start();
    let one = Sender::new(&server);
    one.apply(&[put("a", "1"), put("b", "1")]).await.unwrap();
    // The other side begins with what the one side had, and both go on.
    let mut two = Sender::new(&other_server);
    two.apply(&[put("a", "1"), put("b", "1")]).await.unwrap();
    two.apply(&[put("a", "left"), put("x", "1")]).await.unwrap();
    one.apply(&[put("b", "right"), put("y", "1")]).await.unwrap();
    two.connection = Arc::clone(&one.connection);
    let listed = two.listed().await;
    assert_eq!(one.listed().await, listed);
    let texts: Vec<_> = listed.1.iter().map(|(id, body)| format!("{id} {body}")).collect();
    assert_eq!(texts, ["a left", "b right", "x 1", "y 1"]);
}

#[tokio::test]
async fn a_sender_that_was_away_for_long_is_told_everything() {
    let server = Server::start();
    let (one, other) = (Sender::new(&server), Sender::new(&server));
    one.apply(&[put("a", "1"), put("b", "1")]).await.unwrap();
    other.listed().await;
    for n in 0..1_100 {
        one.apply(&[put("a", &n.to_string())]).await.unwrap();
    }
    one.apply(&[delete("b")]).await.unwrap();
    assert_eq!(other.listed().await, one.listed().await);
    assert_eq!(other.listed().await.1, [("a".to_owned(), "1099".to_owned())]);
}

#[tokio::test]
async fn many_writers_at_once_all_get_on() {
    let server = Server::start();
    let senders: Vec<_> = (0..8).map(|_| Arc::new(Sender::new(&server))).collect();
    let writes = senders.iter().enumerate().map(|(n, sender)| {
        let sender = Arc::clone(sender);
        tokio::spawn(async move {
            for k in 0..10 {
                sender.apply(&[put(&format!("r-{n}-{k}"), "1")]).await.unwrap();
                tokio::task::yield_now().await;
            }
        })
    });
    futures_util::future::join_all(writes).await.into_iter().for_each(|done| done.unwrap());
    let (revision, all) = senders[3].listed().await;
    assert_eq!((revision, all.len()), (80, 80));
}
