//! A Redis server of the benchmark's own: its processor time, and calls of scripts with nothing between.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use redis::{Connection, Script};
use tempfile::TempDir;

/// A Redis that writes nothing to disk, as the yardsticks do not either. Killed when dropped.
pub struct Redis {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Redis {
    pub fn start() -> Self {
        let folder = crate::server::folder();
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        let command = command.arg("--dir").arg(folder.path()).stdout(Stdio::null());
        let child = command.spawn().expect("redis-server is installed");
        let redis = Self { child, port, _folder: folder };
        drop(redis.connect());
        redis
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// Host and port.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn connect(&self) -> Connection {
        const PATIENCE: Duration = Duration::from_secs(10);
        let client = redis::Client::open(self.url()).expect("an address");
        let deadline = Instant::now() + PATIENCE;
        loop {
            match client.get_connection() {
                Ok(connection) => return connection,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Processor time so far, as Redis itself counts it, to the microsecond.
    pub fn cpu(&self) -> Duration {
        let seconds: f64 = ["used_cpu_user", "used_cpu_sys"].iter().map(|name| self.info("cpu", name)).sum();
        Duration::from_secs_f64(seconds)
    }

    /// How many calls of scripts it has been asked for.
    pub fn script_calls(&self) -> f64 {
        let text = self.info_text("commandstats");
        let calls = |command| {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
            line.and_then(|rest| rest.split(',').next()?.parse().ok()).unwrap_or(0.0)
        };
        ["evalsha", "fcall"].into_iter().map(calls).sum()
    }

    /// Memory that its data and their bookkeeping take, in bytes.
    pub fn memory(&self) -> u64 {
        self.info("memory", "used_memory") as u64
    }

    fn info(&self, section: &str, name: &str) -> f64 {
        let text = self.info_text(section);
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("INFO has no {name}"))
    }

    fn info_text(&self, section: &str) -> String {
        redis::cmd("INFO").arg(section).query(&mut self.connect()).expect("INFO")
    }

    /// Makes calls one after the other for `each`; the processor time of one, in microseconds, and how many there were a
    /// second.
    pub fn drive(&self, each: Duration, mut call: impl FnMut(&mut Connection)) -> (f64, f64) {
        let mut connection = self.connect();
        let (cpu, started) = (self.cpu(), Instant::now());
        let mut calls = 0.0;
        while started.elapsed() < each {
            call(&mut connection);
            calls += 1.0;
        }
        let elapsed = started.elapsed();
        ((self.cpu() - cpu).as_secs_f64() * 1e6 / calls, calls / elapsed.as_secs_f64())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The work of `k` reservations of one unit and nothing else: the stock looked at and moved, a record, its deadline, the
/// buyer's count and an event each. No keys seen before, no limits, no pass, no expiry, no recovery.
pub fn least() -> Script {
    Script::new(
        "local now = tonumber(redis.call('TIME')[1])\n\
         local available = tonumber(redis.call('HGET', KEYS[1], 'available'))\n\
         local taken, told = 0, {}\n\
         for i = 1, #ARGV, 2 do\n\
           local id, buyer = ARGV[i], ARGV[i + 1]\n\
           if taken < available then\n\
             taken = taken + 1\n\
             redis.call('HSET', KEYS[2], id, 'H ' .. buyer .. ' ' .. now + 600 .. ' kite 1')\n\
             redis.call('ZADD', KEYS[3], now + 600, id)\n\
             redis.call('HINCRBY', KEYS[4], buyer, 1)\n\
             redis.call('RPUSH', KEYS[5], 'held ' .. id .. ' ' .. buyer .. ' ' .. now + 600 .. ' kite 1')\n\
             told[#told + 1] = id .. ' ' .. now + 600\n\
           else told[#told + 1] = 'sold_out' end\n\
         end\n\
         redis.call('HINCRBY', KEYS[1], 'available', -taken)\n\
         redis.call('HINCRBY', KEYS[1], 'held', taken)\n\
         return table.concat(told, '\\n')",
    )
}

/// The keys of [`least`].
pub const LEAST_KEYS: [&str; 5] = ["{y}:stock", "{y}:records", "{y}:due", "{y}:counts", "{y}:events"];
/// More than any run takes.
pub const LEAST_STOCK: u64 = 1_000_000_000;
