//! A TCP proxy in front of a Redis server: what goes wrong on the way goes wrong here, when a test says so.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::support::port::Port;

/// Holds any script call of ours in one piece.
const BUFFER_BYTES: usize = 1 << 18;

/// A running proxy. Ends when dropped.
pub struct Proxy {
    port: Port,
    shared: Arc<Shared>,
    /// Who listens; nobody while connections are refused.
    door: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    accepted: AtomicU64,
    to_server: AtomicU64,
    to_client: AtomicU64,
}

#[derive(Default)]
struct State {
    target: String,
    mode: Mode,
    delay: Duration,
    doom: Doom,
    open: BTreeMap<u64, Open>,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Mode {
    #[default]
    Forward,
    /// What comes is taken and lost.
    Blackhole,
    /// Nobody listens.
    Refuse,
}

/// Which requests will never hear of their effect.
#[derive(Default)]
struct Doom {
    word: String,
    left: usize,
}

/// Both ends of a connection; no server where it was accepted only to be kept waiting.
struct Open {
    client: TcpStream,
    server: Option<TcpStream>,
}

#[derive(Clone, Copy)]
enum Direction {
    ToServer,
    ToClient,
}

/// What becomes of some bytes.
enum Verdict {
    Pass(Duration),
    Lose,
    Cut,
}

impl Proxy {
    /// A proxy to `host:port` on a free port.
    pub fn to(target: &str) -> Self {
        let proxy = Self { port: Port::claim(), shared: Arc::default(), door: Mutex::default() };
        proxy.retarget(target);
        proxy.resume();
        proxy
    }

    /// Its `host:port`.
    pub fn address(&self) -> String {
        self.port.address()
    }

    /// What Dropgate is told to go through it.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// Leads to another server from the next connection on; those that are open stay where they are.
    pub fn retarget(&self, target: &str) {
        target.clone_into(&mut self.shared.state().target);
    }

    /// Closes every connection that is open.
    pub fn cut(&self) {
        for open in self.shared.state().open.values() {
            open.close();
        }
    }

    /// Hands the next `count` requests to the server and closes each one's connection when the answer comes, so that
    /// the client never learns what it did.
    pub fn cut_before_reply(&self, count: usize) {
        self.cut_before_reply_to("", count);
    }

    /// [`Proxy::cut_before_reply`] of those requests alone that name this command in capitals.
    pub fn cut_before_reply_to(&self, word: &str, count: usize) {
        self.shared.state().doom = Doom { word: word.to_owned(), left: count };
    }

    /// How many requests are still to be cut off from their replies.
    pub fn cuts_left(&self) -> usize {
        self.shared.state().doom.left
    }

    /// Keeps every reply for so long.
    pub fn delay(&self, by: Duration) {
        self.shared.state().delay = by;
    }

    /// Ends what clients read on open connections; what they still write arrives at the server.
    pub fn half_close(&self) {
        for open in self.shared.state().open.values() {
            let _ = open.client.shutdown(Shutdown::Write);
        }
    }

    /// Accepts connections, takes what is sent on them and on those that are open, and lets nothing through.
    pub fn blackhole(&self) {
        self.shared.state().mode = Mode::Blackhole;
    }

    /// Closes everything and listens no more.
    pub fn refuse(&self) {
        self.shared.state().mode = Mode::Refuse;
        if let Some(door) = self.door.lock().unwrap().take() {
            // It sees the mode when the next one knocks.
            let _ = TcpStream::connect(self.address());
            door.join().unwrap();
        }
        self.cut();
    }

    /// Forwards again at once, whatever was ordered before. Connections that lost bytes are closed: what they carry
    /// has no meaning any more.
    pub fn resume(&self) {
        let before = {
            let mut state = self.shared.state();
            state.delay = Duration::ZERO;
            state.doom = Doom::default();
            std::mem::take(&mut state.mode)
        };
        if before == Mode::Blackhole {
            self.cut();
        }
        let mut door = self.door.lock().unwrap();
        if door.is_none() {
            let listener = TcpListener::bind(self.address()).unwrap();
            let shared = Arc::clone(&self.shared);
            *door = Some(thread::spawn(move || answer_the_door(&listener, &shared)));
        }
    }

    /// How many connections it has accepted.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(SeqCst)
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.shared.state().open.len()
    }

    /// How many bytes reached the server.
    pub fn bytes_to_server(&self) -> u64 {
        self.shared.to_server.load(SeqCst)
    }

    /// How many bytes reached clients.
    pub fn bytes_to_client(&self) -> u64 {
        self.shared.to_client.load(SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.refuse();
    }
}

fn answer_the_door(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        let (mode, target) = {
            let state = shared.state();
            (state.mode, state.target.clone())
        };
        if mode == Mode::Refuse {
            return;
        }
        let Ok(client) = client else { continue };
        let id = shared.accepted.fetch_add(1, SeqCst);
        let server = if mode == Mode::Blackhole { None } else { Some(TcpStream::connect(target)) };
        match server {
            // A client whose server is gone sees its connection closed.
            Some(Err(_)) => drop(client),
            Some(Ok(server)) => shared.connect(id, client, Some(server)),
            None => shared.connect(id, client, None),
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Carries bytes between the two in threads of their own until one of them is gone.
    fn connect(self: &Arc<Self>, id: u64, client: TcpStream, server: Option<TcpStream>) {
        // Small answers must not wait for others.
        let _ = client.set_nodelay(true);
        let copy = |stream: &TcpStream| stream.try_clone().unwrap();
        let open = Open { client: copy(&client), server: server.as_ref().map(copy) };
        let mut state = self.state();
        state.open.insert(id, open);
        // Ordered while this one was on its way in.
        if state.mode == Mode::Refuse {
            state.open[&id].close();
        }
        drop(state);
        let doomed = Arc::<AtomicBool>::default();
        if let Some(server) = server {
            let _ = server.set_nodelay(true);
            self.carry(id, copy(&server), copy(&client), Direction::ToClient, Arc::clone(&doomed));
            self.carry(id, client, server, Direction::ToServer, doomed);
        } else {
            // There is nothing to write to; nothing will be.
            let nowhere = copy(&client);
            self.carry(id, client, nowhere, Direction::ToServer, doomed);
        }
    }

    fn carry(
        self: &Arc<Self>,
        id: u64,
        mut from: TcpStream,
        mut to: TcpStream,
        direction: Direction,
        doomed: Arc<AtomicBool>,
    ) {
        let shared = Arc::clone(self);
        thread::spawn(move || {
            let mut buffer = vec![0; BUFFER_BYTES];
            while let Ok(read @ 1..) = from.read(&mut buffer) {
                let bytes = &buffer[..read];
                match shared.judge(id, bytes, direction, &doomed) {
                    Verdict::Pass(delay) => {
                        thread::sleep(delay);
                        if to.write_all(bytes).is_err() {
                            break;
                        }
                    }
                    Verdict::Lose => continue,
                    Verdict::Cut => break,
                }
                let counter = match direction {
                    Direction::ToServer => &shared.to_server,
                    Direction::ToClient => &shared.to_client,
                };
                counter.fetch_add(read as u64, SeqCst);
            }
            // Redis answers nobody who has hung up, so one end is the end of both.
            if let Some(open) = shared.state().open.remove(&id) {
                open.close();
            }
        });
    }

    fn judge(&self, id: u64, bytes: &[u8], direction: Direction, doomed: &AtomicBool) -> Verdict {
        let mut state = self.state();
        let is_to_nowhere = state.open.get(&id).is_none_or(|open| open.server.is_none());
        if state.mode == Mode::Blackhole || is_to_nowhere {
            return Verdict::Lose;
        }
        match direction {
            Direction::ToServer => {
                let is_meant = state.doom.left > 0 && contains(bytes, state.doom.word.as_bytes());
                // Its fate is sealed before the server can answer.
                if is_meant && !doomed.swap(true, SeqCst) {
                    state.doom.left -= 1;
                }
                Verdict::Pass(Duration::ZERO)
            }
            Direction::ToClient if doomed.load(SeqCst) => Verdict::Cut,
            Direction::ToClient => Verdict::Pass(state.delay),
        }
    }
}

impl Open {
    fn close(&self) {
        let _ = self.client.shutdown(Shutdown::Both);
        if let Some(server) = &self.server {
            let _ = server.shutdown(Shutdown::Both);
        }
    }
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    word.is_empty() || bytes.windows(word.len()).any(|window| window == word)
}
