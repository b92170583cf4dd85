//! One `redis-server`: killed, stopped and started again at will, and asked over connections of its own.

use std::{collections::BTreeMap, fs, process::Command, time::Duration};

use nix::sys::signal::Signal;
use redis::Value;
use tempfile::TempDir;

use super::{poll, poll_until};
use crate::support::{port::Port, process::Process};

/// The arguments of a server that has every write on its disk before it answers.
pub const SYNCED: &[&str] = &["--appendonly", "yes", "--appendfsync", "always"];

/// What every server is started with. It writes nothing by itself, and a replica is served at once, where the default
/// waits five seconds for others that may want the same.
const ALWAYS: &[&str] = &[
    "--bind",
    "127.0.0.1",
    "--save",
    "",
    "--maxmemory-policy",
    "noeviction",
    "--repl-diskless-sync-delay",
    "0",
    "--repl-ping-replica-period",
    "1",
];

/// A server that does not answer within this is stopped, or in deep trouble.
const ANSWER: Duration = Duration::from_secs(5);

/// A Redis server, its folder and its port: both outlive a kill. Killed when dropped.
pub struct Redis {
    /// None while it is dead. Goes before the folder that it writes to.
    process: Option<Process>,
    arguments: Vec<String>,
    dir: TempDir,
    port: Port,
}

impl Redis {
    /// Starts a server with these arguments on top of the tests' own; it answers when this returns.
    pub fn start(arguments: &[&str]) -> Self {
        let (dir, port) = (folder(), Port::claim());
        let mut all = vec!["--port".to_owned(), port.number().to_string()];
        all.extend(["--dir".to_owned(), dir.path().display().to_string()]);
        all.extend(ALWAYS.iter().chain(arguments).map(|argument| (*argument).to_owned()));
        let mut server = Self { process: None, arguments: all, dir, port };
        server.restart();
        server
    }

    /// Starts a sentinel, whose configuration is a file that it writes to.
    pub(super) fn sentinel(settings: &str) -> Self {
        let (dir, port) = (folder(), Port::claim());
        let file = dir.path().join("sentinel.conf");
        let own = format!(
            "port {0}\nbind 127.0.0.1\ndir {1}\nsentinel announce-ip 127.0.0.1\nsentinel announce-port {0}\n",
            port.number(),
            dir.path().display()
        );
        fs::write(&file, own + settings).unwrap();
        let arguments = vec![file.display().to_string(), "--sentinel".to_owned()];
        let mut sentinel = Self { process: None, arguments, dir, port };
        sentinel.restart();
        sentinel
    }

    /// Its `host:port`.
    pub fn address(&self) -> String {
        self.port.address()
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// What Dropgate is told to find it.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// The folder it writes to.
    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Whether it was started and not killed since. A stopped one is alive.
    pub fn is_alive(&self) -> bool {
        self.process.is_some()
    }

    /// `kill -9`, also of a stopped one. Dead and buried when this returns.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Starts it on the same port and folder, after a kill if it is alive; it answers when this returns.
    pub fn restart(&mut self) {
        self.kill();
        let mut command = Command::new("redis-server");
        command.current_dir(self.dir.path()).args(&self.arguments);
        let process =
            self.process.insert(Process::start(&format!("redis-server {}", self.port.number()), &mut command));
        // Whoever answers must be the one just started.
        let id = process.id().to_string();
        poll(&format!("the server at {} answers", self.address()), || match self.info("process_id") {
            Ok(answers) if answers == id => self.try_cli(&["PING"]).map(drop),
            other => Err(format!("{other:?}\n{}", self.log())),
        });
    }

    /// SIGSTOP: connections stay, new ones are even accepted, and nothing is answered. Stopped when this returns.
    pub fn pause(&self) {
        let process = self.process.as_ref().expect("a dead server can't be stopped");
        process.signal(Signal::SIGSTOP);
        let state = || fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap();
        poll_until("the server is stopped", state, |state| state.contains(") T "));
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.process.as_ref().expect("a dead server can't go on").signal(Signal::SIGCONT);
    }

    /// What it wrote to its log in this life.
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::output).unwrap_or_default()
    }

    /// Asks it something; the answer as text, a list as lines and nothing as an empty text.
    ///
    /// # Panics
    /// It refuses, or does not answer.
    pub fn cli(&self, command: &[&str]) -> String {
        self.try_cli(command).unwrap_or_else(|error| panic!("{} of {}: {error}", command.join(" "), self.address()))
    }

    /// [`Redis::cli`] where a refusal is an answer too.
    pub fn try_cli(&self, command: &[&str]) -> Result<String, String> {
        let ask = || {
            let client = redis::Client::open(self.url())?;
            let mut connection = client.get_connection_with_timeout(ANSWER)?;
            connection.set_read_timeout(Some(ANSWER))?;
            redis::cmd(command[0]).arg(&command[1..]).query::<Value>(&mut connection)
        };
        ask().map(|value| text_of(&value)).map_err(|error| error.to_string())
    }

    /// A field of its INFO.
    pub fn info(&self, field: &str) -> Result<String, String> {
        let info = self.try_cli(&["INFO"])?;
        let value = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value.map(str::to_owned).ok_or_else(|| format!("no {field} in:\n{info}"))
    }

    /// How often it was asked each command, by its lower-case name, since it started or was told `CONFIG RESETSTAT`.
    pub fn commandstats(&self) -> BTreeMap<String, u64> {
        let stats = self.cli(&["INFO", "commandstats"]);
        let calls = stats.lines().filter_map(|line| {
            let (name, numbers) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            Some((name.to_owned(), numbers.split(',').next()?.parse().ok()?))
        });
        calls.collect()
    }

    /// Makes it a replica of `primary`; in sync when this returns.
    pub fn replicate(&self, primary: &Redis) {
        self.cli(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]);
        self.wait_until_in_sync_with(primary);
    }

    /// Waits until it follows `primary` and has all that is written there by now.
    pub fn wait_until_in_sync_with(&self, primary: &Redis) {
        let hoped = format!("{} follows {}", self.address(), primary.address());
        poll_until(
            &hoped,
            || (self.info("master_port"), self.info("master_link_status")),
            |(port, link)| port.as_deref() == Ok(&primary.port().to_string()) && link.as_deref() == Ok("up"),
        );
        let written: u64 = primary.info("master_repl_offset").unwrap().parse().unwrap();
        poll_until(
            &hoped,
            || self.info("slave_repl_offset"),
            |read| read.as_ref().is_ok_and(|read| read.parse::<u64>().unwrap() >= written),
        );
    }

    /// Makes it a primary.
    pub fn promote(&self) {
        self.cli(&["REPLICAOF", "NO", "ONE"]);
    }

    /// Whether it takes itself for a primary.
    pub fn is_primary(&self) -> bool {
        self.info("role").as_deref() == Ok("master")
    }
}

fn folder() -> TempDir {
    tempfile::Builder::new().prefix("dropgate-redis-").tempdir().unwrap()
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Nil => String::new(),
        Value::Okay => "OK".to_owned(),
        Value::Int(number) => number.to_string(),
        Value::SimpleString(text) => text.clone(),
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Array(values) => values.iter().map(text_of).collect::<Vec<_>>().join("\n"),
        other => format!("{other:?}"),
    }
}
