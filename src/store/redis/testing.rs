//! Redis servers of a test's own, on free ports, gone with their values even where a test panics.

use std::{
    fs::File,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use redis::{FromRedisValue, Value};
use tempfile::TempDir;

use crate::address::{RedisUrl, StoreUrl};

/// How long a server may take to start, or a state to come about, before a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running `redis-server`.
pub struct RedisServer {
    child: Child,
    port: u16,
    args: Vec<String>,
    folder: TempDir,
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

impl RedisServer {
    /// Starts a server with these arguments, like `["--appendonly", "yes"]`.
    pub fn start(args: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), args)
    }

    /// Starts a server in a folder, to which `{dir}` in an argument refers; `{port}` is its port.
    pub fn start_in(mut folder: TempDir, args: &[&str]) -> Self {
        let args: Vec<String> = args.iter().map(|arg| arg.to_string()).collect();
        // Somebody may take the free port before the server does.
        for _ in 0..10 {
            let port = free_port();
            let child = spawn(port, folder.path(), &args);
            let mut server = Self { child, port, args: args.clone(), folder };
            if server.answers() {
                return server;
            }
            server.kill();
            folder = std::mem::replace(&mut server.folder, tempfile::tempdir().unwrap());
        }
        panic!("redis-server does not start with {args:?}");
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// `redis://127.0.0.1:PORT/0`
    pub fn url(&self) -> RedisUrl {
        url(&format!("redis://127.0.0.1:{}", self.port))
    }

    /// The end that loses what was not written: SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again after [`RedisServer::kill`]: same port, arguments and folder.
    pub fn restart(&mut self) {
        self.child = spawn(self.port, self.folder.path(), &self.args);
        assert!(self.answers(), "redis-server does not start again on port {}", self.port);
    }

    /// SIGSTOP: its connections stay, and nothing answers.
    pub fn stop(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// SIGCONT: goes on after [`RedisServer::stop`].
    pub fn cont(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Asks the server something, as whoever needs no password.
    pub fn ask<T: FromRedisValue>(&self, command: &[&str]) -> T {
        redis::from_redis_value(self.try_ask(command).unwrap()).unwrap()
    }

    /// As [`RedisServer::ask`], refusals being an answer.
    pub fn try_ask(&self, command: &[&str]) -> redis::RedisResult<Value> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port))?;
        let mut connection = client.get_connection_with_timeout(Duration::from_secs(2))?;
        let (name, args) = command.split_first().unwrap();
        args.iter().fold(&mut redis::cmd(name), |command, arg| command.arg(arg)).query(&mut connection)
    }

    /// Whether it comes to answer anything at all, before it ends.
    fn answers(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline && self.child.try_wait().unwrap().is_none() {
            if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) {
                let mut first = [0];
                stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
                // A pong, or a refusal for want of a password; a server that still loads is waited for.
                let mut answer = String::new();
                if stream.write_all(b"PING\r\n").is_ok() {
                    while stream.read_exact(&mut first).is_ok() && first[0] != b'\n' {
                        answer.push(char::from(first[0]));
                    }
                }
                if !answer.is_empty() && !answer.starts_with("-LOADING") {
                    return true;
                }
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }
}

/// Waits until as many replicas follow this server.
pub fn followed_by(server: &RedisServer, replicas: usize) {
    eventually("the replicas follow", || server.ask::<String>(&["INFO"]).matches("state=online").count() == replicas);
}

/// Waits until a state has come about.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it never came about that {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// An address of Redis.
pub fn url(text: &str) -> RedisUrl {
    match text.parse() {
        Ok(StoreUrl::Redis(url)) => url,
        other => panic!("{text}: {other:?}"),
    }
}

/// A port that nobody listens on just now.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

fn spawn(port: u16, folder: &Path, args: &[String]) -> Child {
    let dir = folder.to_str().unwrap();
    let fill = |arg: &String| arg.replace("{dir}", dir).replace("{port}", &port.to_string());
    let mut args: Vec<String> = args.iter().map(fill).collect();
    // A configuration file goes first.
    let file = args.first().filter(|first| !first.starts_with('-')).cloned();
    let rest = args.split_off(usize::from(file.is_some()));
    let log = File::create(folder.join("log")).unwrap();
    Command::new("redis-server")
        .args(file)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--dir", dir])
        .args(["--save", "", "--shutdown-on-sigterm", "nosave", "--repl-diskless-sync-delay", "0"])
        .args(rest)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is installed")
}
