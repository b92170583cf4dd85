//! `kill -9` of a process with a store under load: what it acknowledged stands, once.
//!
//! The test starts itself as the child that is killed. What the child is told by its store it prints, and
//! what it printed the parent holds against the file.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Write},
    os::unix::process::ExitStatusExt as _,
    process::{ChildStdout, Command as Process, Stdio},
    thread,
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::runtime::{Builder, Handle};

use super::*;
use crate::{
    room::{Command as Ask, Holder, Mode, Outcome as Told, Place, Rules, SessionRef, Standing, Tag, View},
    store::{
        batcher::Lane,
        tests::{JOIN, id, rules},
    },
};

pub(super) const FOLDER: &str = "DROPGATE_TEST_CRASH_FOLDER";
pub(super) const KILLS: usize = 20;
const ROOMS: [&str; 2] = ["one", "two"];
const VISITORS: u64 = 16;
/// What `kill -9` sends.
const SIGKILL: i32 = 9;

/// What the child was told in all its lives.
#[derive(Default)]
struct Acknowledged {
    positions: BTreeSet<(String, u64)>,
    /// By room and position: the session's tag, start and deadline.
    sessions: BTreeMap<(String, u64), (u64, u64, u64)>,
    finished: BTreeSet<(String, u64)>,
}

#[test]
fn twenty_kills_lose_nothing_that_was_acknowledged_and_double_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut rng = StdRng::from_os_rng();
    let mut told = Acknowledged::default();
    for kill in 0..KILLS {
        let before = told.positions.len();
        let after_ms = rng.random_range(20..250);
        for line in live_and_die(folder.path(), after_ms, "crash::the_child_under_load") {
            told.note(&line);
        }
        assert!(told.positions.len() > before, "kill {kill} after {after_ms} ms met no load");
        // A copy, so that the file itself goes from kill to kill as the crashes left it.
        let copy = tempfile::tempdir().unwrap();
        fs::copy(database(&folder), database(&copy)).unwrap();
        Builder::new_current_thread().build().unwrap().block_on(told.hold_against(copy.path()));
    }
    assert!(told.sessions.len() > KILLS && told.finished.len() > KILLS, "hardly anybody got in");
}

/// One life of the child, a test of that name beside this one: its lines, up to the last whole one before the kill.
pub(super) fn live_and_die(folder: &Path, after_ms: u64, child: &str) -> Vec<String> {
    let tests = module_path!().split_once("::").unwrap().1.trim_end_matches("::crash");
    let mut child = Process::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{tests}::{child}"), "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("ready") {
        line.clear();
        assert!(output.read_line(&mut line).unwrap() > 0, "the child ended before it was ready");
    }
    // However busy the machine: the kill is to meet load.
    let mut first = String::new();
    assert!(output.read_line(&mut first).unwrap() > 0, "the child ended before it was told anything");
    let reader = thread::spawn(move || [vec![first.trim_end().to_owned()], whole_lines(output)].concat());
    // The one wait of this test: it is the moment of the kill.
    thread::sleep(Duration::from_millis(after_ms));
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(SIGKILL), "the child ended by itself");
    reader.join().unwrap()
}

fn whole_lines(mut output: BufReader<ChildStdout>) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        if !line.ends_with('\n') {
            return lines;
        }
        lines.push(line.trim_end().to_owned());
    }
}

impl Acknowledged {
    fn note(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |n: usize| words[n].parse::<u64>().unwrap();
        match words[0] {
            "joined" => {
                assert!(self.positions.insert((words[1].to_owned(), number(2))), "issued twice: {line}");
            }
            "entered" => {
                let session = (number(3), number(4), number(5));
                let known = *self.sessions.entry((words[1].to_owned(), number(2))).or_insert(session);
                assert_eq!(known, session, "two sessions of one position: {line}");
            }
            "finished" => _ = self.finished.insert((words[1].to_owned(), number(2))),
            other => panic!("the child said {other:?}"),
        }
    }

    /// Opens the store and asks it for everything it ever acknowledged.
    async fn hold_against(&self, folder: &Path) {
        let store = Embedded::file(folder, Clock::system(), Arc::new(Metrics::new())).unwrap();
        for room in ROOMS {
            let view = store.room(id(room), vec![]).await.unwrap().view.unwrap();
            let last = self.positions.iter().filter(|(of, _)| of == room).map(|(_, position)| *position).max();
            assert!(view.tail >= last.unwrap_or(0), "{room}: {last:?} is lost: {view:?}");
            self.hold_sessions_against(&store, room, &view).await;
        }
    }

    async fn hold_sessions_against(&self, store: &Embedded, room: &str, view: &View) {
        let of_room = || self.sessions.iter().filter(|((of, _), _)| of == room);
        let name = |position, tag| SessionRef { epoch: 1, position, tag: Tag(tag) };
        let checks = of_room()
            .map(|((_, position), (tag, ..))| Ask::Check { session: name(*position, *tag), holder: Holder::App });
        // Another browser of the same visitor: it must get the session that is there.
        let claims = of_room().map(|((_, position), _)| Ask::Claim {
            place: Place { epoch: 1, position: *position },
            tag: Tag(u64::MAX),
        });
        let found = store.room(id(room), checks.chain(claims).collect()).await.unwrap().outcomes;
        let (checked, claimed) = found.split_at(found.len() / 2);
        let mut inside = 0;
        for ((((_, position), (tag, start, deadline)), checked), claimed) in of_room().zip(checked).zip(claimed) {
            match checked {
                Told::Live(session) => {
                    inside += 1;
                    assert_eq!((session.start.0, session.deadline.0), (*start, *deadline));
                    assert_eq!(session.name, name(*position, *tag));
                    assert_eq!(claimed, checked, "a second session");
                    assert!(!self.finished.contains(&(room.to_owned(), *position)), "{room} {position} is back");
                }
                // Finished; that it was may have been written down without anybody being told.
                _ => assert!(!matches!(claimed, Told::Live(_)), "a second session after {checked:?}"),
            }
        }
        // Nobody is inside whom nobody saw enter, but for those whose answers the kills cut off.
        assert!(view.inside >= inside && view.inside <= inside + VISITORS * KILLS as u64, "{room}: {view:?}");
        let looks = self.finished.iter().filter(|(of, _)| of == room);
        let looks = looks.map(|(_, position)| Ask::Look { place: Place { epoch: 1, position: *position } }).collect();
        for standing in store.room(id(room), looks).await.unwrap().outcomes {
            assert_eq!(standing, Told::Standing(Standing::Over));
        }
    }
}

/// Not a test of its own: the child of the one above, which kills it. By itself it has nothing to do.
#[test]
fn the_child_under_load() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let metrics = Arc::new(Metrics::new());
    let store = Embedded::file(Path::new(&folder), Clock::system(), Arc::clone(&metrics)).unwrap();
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    runtime.block_on(async {
        let open = Ask::Configure { version: 1, first_epoch: 1, rules: Rules { mode: Mode::Open, ..rules() } };
        let mut visitors = Vec::new();
        let lanes = ROOMS.map(|room| Lane::new(store.clone(), id(room), Handle::current(), Arc::clone(&metrics)));
        for lane in &lanes {
            lane.submit(open.clone()).await.unwrap();
        }
        say("ready");
        for visitor in 0..VISITORS {
            let room = visitor as usize % ROOMS.len();
            visitors.push(tokio::spawn(visit(ROOMS[room], Arc::clone(&lanes[room]), visitor)));
        }
        for visitor in visitors {
            visitor.await.unwrap();
        }
    });
}

/// Joins, enters, and now and then leaves again, until killed.
async fn visit(room: &str, lane: Arc<Lane<Embedded>>, visitor: u64) {
    for round in 0.. {
        let Told::Joined { epoch, first, .. } = lane.submit(JOIN).await.unwrap().outcome else { panic!("no place") };
        say(&format!("joined {room} {first}"));
        let claim = Ask::Claim { place: Place { epoch, position: first }, tag: Tag(visitor * 1_000_000 + round) };
        let Told::Live(session) = lane.submit(claim).await.unwrap().outcome else { panic!("not let in") };
        say(&format!("entered {room} {first} {} {} {}", session.name.tag.0, session.start.0, session.deadline.0));
        if round % 3 == 0 {
            lane.submit(Ask::Finish { session: session.name }).await.unwrap();
            say(&format!("finished {room} {first}"));
        }
    }
}

/// One line in one write, so that a kill leaves whole lines.
pub(super) fn say(what: &str) {
    std::io::stdout().lock().write_all(format!("{what}\n").as_bytes()).unwrap();
}
