//! Sends requests when they are due, whether the last ones were answered or not, and measures from when they were due, so
//! that a pause of the server is seen by everyone it would have met.
//!
//! One thread, bytes made before, and nothing read that is not needed: what the sender takes of the machine is taken from
//! the server. It sleeps in the kernel on a timer that knows nanoseconds; a runtime's timers know whole milliseconds, and
//! so would every latency.

use std::{
    collections::VecDeque,
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use nix::sys::{
    epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
    time::TimeSpec,
    timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
};

/// Connections: a tenth of a second's requests, so that those who wait for the store leave some to those who don't. A
/// request that is due while all wait for answers waits for the first that is free, and its wait counts: opening more in
/// the middle of a pause would make it longer.
const CONNECTIONS: usize = 2_048;

/// Connections that requests which are not paced share: more would only wait in the server.
const CONNECTIONS_UNPACED: usize = 64;

/// The longest wait told apart from longer ones: a minute.
const LONGEST_MICROS: u64 = 60_000_000;

/// How late a request or an answer may be: beyond it the machine does not keep up, or nobody answers any more.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the timer's events are marked with; the wires have their index.
const TIMER: u64 = u64::MAX;

/// Requests of one kind.
pub struct Stream<'a> {
    pub pace: Pace,
    pub make: Make<'a>,
    /// Given the body of each answer.
    pub heard: Heard<'a>,
}

/// Makes the bytes of the request of a number.
pub type Make<'a> = Box<dyn FnMut(u64) -> Vec<u8> + 'a>;
/// Hears a body.
pub type Heard<'a> = Box<dyn FnMut(&[u8]) + 'a>;

/// When a stream's requests are due.
#[derive(Clone, Copy)]
pub enum Pace {
    /// So many a second, for so long.
    Rate(f64, Duration),
    /// So many, each as soon as a connection is free.
    Count(u64),
    /// As many as can be had, for so long.
    Unpaced(Duration),
}

/// What came of the requests of one stream, in microseconds.
pub struct Arrivals {
    /// From when each was due to the end of its answer.
    pub answered: Histogram<u64>,
    /// From when each was due to when it was sent: what of the time above is none of the server's.
    pub late: Histogram<u64>,
    /// From the beginning to the last answer.
    pub took: Duration,
    /// How many were told 503: the server had more to do than it could do in time. Their answers are none of those above.
    pub refused: u64,
}

impl<'a> Stream<'a> {
    /// A stream of which nobody wants to know the bodies.
    pub fn new(pace: Pace, make: impl FnMut(u64) -> Vec<u8> + 'a) -> Self {
        Self { pace, make: Box::new(make), heard: Box::new(|_| {}) }
    }
}

impl Arrivals {
    fn new() -> Self {
        // With its bounds said: one that grows by itself does not grow for `saturating_record`, and would show every
        // pause as two milliseconds.
        let empty = || Histogram::new_with_bounds(1, LONGEST_MICROS, 3).expect("three digits are allowed");
        Self { answered: empty(), late: empty(), took: Duration::ZERO, refused: 0 }
    }

    /// Answers a second.
    pub fn per_second(&self) -> f64 {
        self.answered.len() as f64 / self.took.as_secs_f64()
    }
}

impl Pace {
    /// When the request of this number is due; none if there is none.
    fn due(self, number: u64, started: Instant) -> Option<Instant> {
        match self {
            Self::Rate(rate, lasts) => {
                let after = Duration::from_secs_f64(number as f64 / rate);
                (after < lasts).then(|| started + after)
            }
            Self::Count(count) => (number < count).then_some(started),
            Self::Unpaced(lasts) => (started.elapsed() < lasts).then_some(started),
        }
    }

    /// Whether requests have a time of their own, rather than being sent as soon as a connection is free.
    fn is_paced(self) -> bool {
        matches!(self, Self::Rate(..))
    }
}

/// Sends all streams side by side to `address`, a host and a port.
///
/// # Panics
/// An answer was an error other than 503 or did not come, one of a count was refused, or the machine does not keep up with
/// the rate.
pub fn send(address: &str, streams: &mut [Stream<'_>]) -> Vec<Arrivals> {
    let connections =
        if streams.iter().any(|stream| stream.pace.is_paced()) { CONNECTIONS } else { CONNECTIONS_UNPACED };
    let mut sender = Sender::new(address, connections);
    let mut arrivals: Vec<Arrivals> = streams.iter().map(|_| Arrivals::new()).collect();
    let mut numbers = vec![0_u64; streams.len()];
    let mut events = vec![EpollEvent::empty(); connections];
    let started = Instant::now();
    let (mut heard_last, mut free_since) = (started, started);
    loop {
        let mut next: Option<Instant> = None;
        for (index, stream) in streams.iter_mut().enumerate() {
            while let Some(due) = stream.pace.due(numbers[index], started) {
                let now = Instant::now();
                if due > now {
                    next = Some(next.map_or(due, |next| next.min(due)));
                    break;
                }
                let Some(wire) = sender.idle.pop_front() else {
                    free_since = now;
                    break;
                };
                let due = if stream.pace.is_paced() { due } else { now };
                assert!(now - due < PATIENCE, "the machine does not keep up");
                let request = (stream.make)(numbers[index]);
                numbers[index] += 1;
                // Whoever waited for a connection waited for the server.
                if due >= free_since {
                    arrivals[index].late.saturating_record(micros(due));
                }
                sender.wires[wire].ask(&request, Asked { stream: index, due });
            }
        }
        if next.is_none() && sender.under_way() == 0 {
            return arrivals;
        }
        sender.wake_at(next);
        let count = sender.epoll.wait(&mut events, timeout()).expect("the kernel waits");
        for event in &events[..count] {
            let Some(wire) = usize::try_from(event.data()).ok().filter(|_| event.data() != TIMER) else { continue };
            if let Some((asked, body)) = sender.wires[wire].hear() {
                let (arrived, stream) = (&mut arrivals[asked.stream], &mut streams[asked.stream]);
                match body {
                    Ok(body) => {
                        arrived.answered.saturating_record(micros(asked.due));
                        (stream.heard)(body);
                    }
                    Err(Refused) if !matches!(stream.pace, Pace::Count(_)) => arrived.refused += 1,
                    Err(Refused) => panic!("refused for being too much, one after the other"),
                }
                arrived.took = started.elapsed();
                heard_last = Instant::now();
                sender.idle.push_back(wire);
            }
        }
        let is_silent = sender.under_way() > 0 && heard_last.elapsed() > PATIENCE;
        assert!(!is_silent, "{} requests are not answered", sender.under_way());
    }
}

/// Long enough to notice that nothing is answered any more.
fn timeout() -> EpollTimeout {
    EpollTimeout::try_from(PATIENCE).expect("it is less than a month")
}

/// The connections, and what wakes the thread.
struct Sender {
    epoll: Epoll,
    timer: TimerFd,
    wires: Vec<Wire>,
    /// Used in turn, so that the server closes none for having been idle.
    idle: VecDeque<usize>,
}

impl Sender {
    fn new(address: &str, connections: usize) -> Self {
        let epoll = Epoll::new(EpollCreateFlags::empty()).expect("the kernel has epoll");
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::empty()).expect("the kernel has timers");
        // Told once each time it is set: what it says is not worth reading.
        let once = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, TIMER);
        epoll.add(&timer, once).expect("the kernel takes the timer");
        let wires: Vec<Wire> = (0..connections).map(|_| Wire::open(address)).collect();
        for (index, wire) in wires.iter().enumerate() {
            let event = EpollEvent::new(EpollFlags::EPOLLIN, index as u64);
            epoll.add(&wire.stream, event).expect("the kernel takes the connection");
        }
        let mut sender = Self { epoll, timer, wires, idle: VecDeque::new() };
        sender.greet(address);
        sender
    }

    /// Asks once over each connection, for what costs nothing, and waits for the answers. The server takes what is sent first
    /// while it still accepts the others: tens of milliseconds that are none of what is measured.
    fn greet(&mut self, address: &str) {
        let request = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\n\r\n");
        for wire in &mut self.wires {
            wire.ask(request.as_bytes(), Asked { stream: 0, due: Instant::now() });
        }
        let mut events = vec![EpollEvent::empty(); self.wires.len()];
        while self.under_way() > 0 {
            let count = self.epoll.wait(&mut events, timeout()).expect("the kernel waits");
            assert!(count > 0, "{} connections are not answered", self.under_way());
            for event in &events[..count] {
                let wire = usize::try_from(event.data()).expect("no timer is set yet");
                if self.wires[wire].hear().is_some() {
                    self.idle.push_back(wire);
                }
            }
        }
    }

    fn under_way(&self) -> usize {
        self.wires.len() - self.idle.len()
    }

    fn wake_at(&self, due: Option<Instant>) {
        let Some(due) = due else { return };
        // Zero would switch it off.
        let after = due.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
        let expiration = Expiration::OneShot(TimeSpec::from_duration(after));
        self.timer.set(expiration, TimerSetTimeFlags::empty()).expect("the kernel sets the timer");
    }
}

/// A request under way.
#[derive(Clone, Copy)]
struct Asked {
    stream: usize,
    due: Instant,
}

/// A connection, one request at a time.
struct Wire {
    stream: TcpStream,
    answer: Vec<u8>,
    asked: Option<Asked>,
}

impl Wire {
    fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the server takes connections");
        stream.set_nodelay(true).expect("a socket takes its options");
        stream.set_nonblocking(true).expect("a socket takes its options");
        Self { stream, answer: Vec::with_capacity(4_096), asked: None }
    }

    fn ask(&mut self, request: &[u8], asked: Asked) {
        // A request is smaller than a socket's buffer, which is empty when the last answer has come.
        self.stream.write_all(request).expect("the server takes requests");
        self.answer.clear();
        self.asked = Some(asked);
    }

    /// Reads what has come; the body once all of it is there.
    fn hear(&mut self) -> Option<(Asked, Result<&[u8], Refused>)> {
        let mut chunk = [0; 16_384];
        match self.stream.read(&mut chunk) {
            Ok(0) => panic!("the server closed a connection"),
            Ok(count) => self.answer.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
            Err(error) => panic!("{error}"),
        }
        let body = whole_body(&self.answer)?;
        Some((self.asked.take().expect("nobody answers unasked"), body))
    }
}

/// The server has said 503.
struct Refused;

/// The body of an answer, if all of it is there.
///
/// # Panics
/// The answer is neither a success nor a refusal, or does not say how long it is.
fn whole_body(answer: &[u8]) -> Option<Result<&[u8], Refused>> {
    let head_end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..head_end]).expect("headers are text");
    let said = || String::from_utf8_lossy(&answer[..answer.len().min(2_000)]);
    let is_refused = head.starts_with("HTTP/1.1 503");
    assert!(is_refused || head.starts_with("HTTP/1.1 2"), "an error under load: {}", said());
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    let length: usize = length.unwrap_or_else(|| panic!("an answer without a length: {}", said()));
    let body = answer[head_end + 4..].get(..length)?;
    Some(if is_refused { Err(Refused) } else { Ok(body) })
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}
