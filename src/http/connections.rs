//! Who holds a connection without using it. The server below us bounds the time of a connection's first headers
//! and of its idle moments; this bounds the rest: headers of later requests that trickle in, answers that nobody
//! reads, requests at work on one HTTP/2 connection.

use std::{
    any::Any,
    collections::HashMap,
    net::{Shutdown, TcpStream},
    os::fd::AsFd,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::{HttpRequest, dev::Extensions, rt::net::TcpStream as Stream};

use super::{
    limits::{HEADERS_TIMEOUT, KEEP_ALIVE, STREAMS_MAX},
    problem::{Code, Problem},
};

/// How long a connection may go without a request at work: the time to idle, and the time for headers to arrive.
const UNUSED_MAX: Duration = KEEP_ALIVE.saturating_add(HEADERS_TIMEOUT);
/// The same while stopping: long enough for an answer on its way, and for a request on its way to begin.
const UNUSED_MAX_STOPPING: Duration = Duration::from_millis(500);
/// How often unused connections are looked for.
const SWEEP_EVERY: Duration = Duration::from_millis(500);

/// The open connections of one listener.
pub struct Connections {
    epoch: Instant,
    next: AtomicU64,
    stopping: AtomicBool,
    // A std mutex: held for a look-up or a sweep, never across an await.
    open: Mutex<HashMap<u64, Open>>,
}

struct Open {
    // Of our own, so that it names this connection for as long as we hold it and no later one.
    socket: TcpStream,
    usage: Arc<Usage>,
}

/// How one connection is used.
pub struct Usage {
    epoch: Instant,
    at_work: AtomicUsize,
    /// When it was opened or the last request ended: milliseconds since `epoch`.
    idle_since_ms: AtomicU64,
}

/// A request at work on a connection; dropping it says that it has ended.
pub struct AtWork(Option<Arc<Usage>>);

/// Forgets a connection when it ends.
struct Forget {
    id: u64,
    connections: Weak<Connections>,
}

/// What a connection's requests find of it.
struct Tracked {
    usage: Arc<Usage>,
    _forget: Forget,
}

impl Connections {
    /// Watches the connections of a listener, on the runtime this is called on, for as long as anyone holds them.
    pub fn watch() -> Arc<Self> {
        let connections = Arc::new(Self::new());
        let watched = Arc::downgrade(&connections);
        tokio::spawn(async move {
            let mut beats = tokio::time::interval(SWEEP_EVERY);
            loop {
                beats.tick().await;
                match watched.upgrade() {
                    Some(connections) => connections.sweep(Instant::now()),
                    None => break,
                }
            }
        });
        connections
    }

    fn new() -> Self {
        Self {
            epoch: Instant::now(),
            next: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            open: Mutex::default(),
        }
    }

    /// From now on connections are closed as soon as nothing is at work on them: the server below us would wait for
    /// idle HTTP/2 connections until its time to stop is over.
    pub fn drain(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Takes note of a new connection.
    pub fn opened(self: &Arc<Self>, connection: &dyn Any, extensions: &mut Extensions) {
        let plain = connection.downcast_ref::<Stream>();
        let stream = plain.or_else(|| connection.downcast_ref::<TlsStream<Stream>>().map(|tls| tls.get_ref().0));
        // Without a descriptor to spare the connection goes unwatched: better than to refuse a visitor.
        let Some(Ok(socket)) = stream.map(|stream| stream.as_fd().try_clone_to_owned()) else { return };
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let usage = Arc::new(Usage::new(self.epoch));
        self.lock().insert(id, Open { socket: socket.into(), usage: Arc::clone(&usage) });
        extensions.insert(Tracked { usage, _forget: Forget { id, connections: Arc::downgrade(self) } });
    }

    /// Closes what has been without a request for too long.
    fn sweep(&self, now: Instant) {
        let patience = if self.stopping.load(Ordering::Relaxed) { UNUSED_MAX_STOPPING } else { UNUSED_MAX };
        for open in self.lock().values().filter(|open| open.usage.unused_for(now) > patience) {
            // It may be gone already; then there is nothing to close.
            let _ = open.socket.shutdown(Shutdown::Both);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Usage {
    fn new(epoch: Instant) -> Self {
        let usage = Self { epoch, at_work: AtomicUsize::new(0), idle_since_ms: AtomicU64::new(0) };
        usage.idle_from(Instant::now());
        usage
    }

    fn idle_from(&self, now: Instant) {
        let ms = u64::try_from(now.saturating_duration_since(self.epoch).as_millis()).unwrap_or(u64::MAX);
        self.idle_since_ms.store(ms, Ordering::Relaxed);
    }

    fn unused_for(&self, now: Instant) -> Duration {
        if self.at_work.load(Ordering::Acquire) > 0 {
            return Duration::ZERO;
        }
        let idle_since = self.epoch + Duration::from_millis(self.idle_since_ms.load(Ordering::Relaxed));
        now.saturating_duration_since(idle_since)
    }
}

/// Notes that a request has begun on its connection.
///
/// # Errors
/// 503 where one HTTP/2 connection has too many at work.
pub fn begin(request: &HttpRequest) -> Result<AtWork, Problem> {
    // Tests without a listener have no connection.
    let Some(tracked) = request.conn_data::<Tracked>() else { return Ok(AtWork(None)) };
    let before = tracked.usage.at_work.fetch_add(1, Ordering::AcqRel);
    let at_work = AtWork(Some(Arc::clone(&tracked.usage)));
    if before >= STREAMS_MAX {
        let detail = format!("one connection may have {STREAMS_MAX} requests at work");
        return Err(Problem::new(Code::Overloaded, detail));
    }
    Ok(at_work)
}

impl AtWork {
    /// Says that it has ended.
    pub fn end(&mut self, now: Instant) {
        if let Some(usage) = self.0.take() {
            usage.idle_from(now);
            usage.at_work.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        if self.0.is_some() {
            self.end(Instant::now());
        }
    }
}

impl Drop for Forget {
    fn drop(&mut self) {
        if let Some(connections) = self.connections.upgrade() {
            connections.lock().remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_unused_from_its_last_requests_end() {
        let start = Instant::now();
        let usage = Arc::new(Usage::new(start));
        let later = start + Duration::from_secs(60);
        assert!(usage.unused_for(later) > UNUSED_MAX);
        usage.at_work.fetch_add(1, Ordering::Relaxed);
        let request = AtWork(Some(Arc::clone(&usage)));
        assert_eq!(usage.unused_for(later), Duration::ZERO, "a request at work may take its time");
        drop(request);
        assert!(usage.unused_for(Instant::now()) < UNUSED_MAX);
        assert!(usage.unused_for(later) > Duration::ZERO, "it is at work no more");
        usage.at_work.fetch_add(1, Ordering::Relaxed);
        AtWork(Some(Arc::clone(&usage))).end(start + Duration::from_secs(59));
        assert_eq!(usage.unused_for(later), Duration::from_secs(1), "ended once, when it was said to");
    }

    #[test]
    fn only_unused_connections_are_closed() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let connect = || {
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            client.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
            (client, listener.accept().unwrap().0)
        };
        let ((mut idle, idle_end), (mut busy, busy_end)) = (connect(), connect());
        let connections = Connections::new();
        for (id, socket, at_work) in [(0, idle_end, 0), (1, busy_end, 1)] {
            let usage = Arc::new(Usage::new(connections.epoch));
            usage.at_work.store(at_work, Ordering::Relaxed);
            connections.lock().insert(id, Open { socket, usage });
        }
        let mut byte = [0];
        connections.sweep(Instant::now() + UNUSED_MAX_STOPPING * 2);
        assert!(std::io::Read::read(&mut idle, &mut byte).is_err(), "still open: not that impatient");
        connections.drain();
        connections.sweep(Instant::now() + UNUSED_MAX_STOPPING * 2);
        assert_eq!(std::io::Read::read(&mut idle, &mut byte).unwrap(), 0, "closed");
        assert!(std::io::Read::read(&mut busy, &mut byte).is_err(), "still open, with nothing to read");
    }
}
