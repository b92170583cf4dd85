//! A primary and two replicas, watched by three sentinels that agree among themselves who is the primary.

use super::{poll, poll_until, server::Redis};

/// What the sentinels call the primary.
pub const NAME: &str = "main";

const SERVERS: usize = 3;
const SENTINELS: usize = 3;

/// A server silent for so long is taken for dead.
const DOWN_AFTER_MS: u64 = 500;

/// How soon a failover that came to nothing is tried again, and how long a server may be on its way to its new primary.
const FAILOVER_TIMEOUT_MS: u64 = 3_000;

/// Sentinels look at everybody every ten seconds and speak every two, far too seldom for a test; and one that a busy
/// machine kept from running for two seconds would trust nothing it sees for thirty.
const HURRY: &[(&str, &str)] = &[
    ("INFO-PERIOD", "500"),
    ("PING-PERIOD", "200"),
    ("ASK-PERIOD", "200"),
    ("PUBLISH-PERIOD", "200"),
    ("MIN-LINK-RECONNECT-PERIOD", "500"),
    ("TILT-TRIGGER", "20000"),
    ("TILT-PERIOD", "2000"),
];

/// Servers and the sentinels that watch them.
pub struct Sentinels {
    servers: Vec<Redis>,
    sentinels: Vec<Redis>,
}

impl Sentinels {
    /// Starts everything, the servers with these arguments; all know each other when this returns.
    pub fn start(arguments: &[&str]) -> Self {
        let servers: Vec<_> = (0..SERVERS).map(|_| Redis::start(arguments)).collect();
        for replica in &servers[1..] {
            replica.replicate(&servers[0]);
        }
        // Not before the replicas are there: a sentinel finds them by asking the primary.
        let settings = format!(
            "sentinel monitor {NAME} 127.0.0.1 {} 2\nsentinel down-after-milliseconds {NAME} {DOWN_AFTER_MS}\n\
             sentinel failover-timeout {NAME} {FAILOVER_TIMEOUT_MS}\nsentinel parallel-syncs {NAME} 2\n",
            servers[0].port()
        );
        let sentinels: Vec<_> = (0..SENTINELS).map(|_| Redis::sentinel(&settings)).collect();
        for sentinel in &sentinels {
            for (what, milliseconds) in HURRY {
                sentinel.cli(&["SENTINEL", "DEBUG", what, milliseconds]);
            }
        }
        let group = Self { servers, sentinels };
        for sentinel in &group.sentinels {
            let known = |what| {
                let list = sentinel.try_cli(&["SENTINEL", what, NAME]).unwrap_or_default();
                list.lines().filter(|line| *line == "runid").count()
            };
            let count = || (known("REPLICAS"), known("SENTINELS"));
            poll_until("every sentinel knows everybody", count, |seen| *seen == (SERVERS - 1, SENTINELS - 1));
            poll("the sentinels can agree", || sentinel.try_cli(&["SENTINEL", "CKQUORUM", NAME]));
        }
        group
    }

    /// What Dropgate is told to find the primary.
    pub fn url(&self) -> String {
        let addresses: Vec<_> = self.sentinels.iter().map(Redis::address).collect();
        format!("redis+sentinel://{}/{NAME}", addresses.join(","))
    }

    /// All servers, in no order that means anything.
    pub fn servers(&self) -> &[Redis] {
        &self.servers
    }

    /// All sentinels.
    pub fn sentinels(&self) -> &[Redis] {
        &self.sentinels
    }

    /// Who is the primary, as soon as all sentinels say the same and it is so.
    pub fn primary(&self) -> &Redis {
        &self.servers[self.place_of_primary(None)]
    }

    /// `kill -9` of the primary.
    pub fn kill_primary(&mut self) {
        let place = self.place_of_primary(None);
        self.servers[place].kill();
    }

    /// Waits until the sentinels have made another one the primary, after [`Sentinels::kill_primary`].
    pub fn wait_for_new_primary(&self) -> &Redis {
        self.primary()
    }

    /// Waits until somebody else than `old` is the primary: it may be stopped, and not know.
    pub fn wait_for_other_primary(&self, old: &str) -> &Redis {
        &self.servers[self.place_of_primary(Some(old))]
    }

    /// Has the sentinels change the primary while it lives; the new one.
    pub fn fail_over(&self) -> &Redis {
        let (old, port) = (self.primary().address(), self.primary().port().to_string());
        poll("a failover by order", || {
            let said = self.sentinels[0].cli(&["SENTINEL", "MASTER", NAME]);
            let mut words = said.lines();
            let mut after = |name| words.by_ref().skip_while(|word| *word != name).nth(1);
            if after("port") != Some(&port) {
                return Ok(());
            }
            // The order is refused, or taken and then dropped, while no replica seems fit to a sentinel; and given
            // once too often, it leads back.
            if after("flags").is_some_and(|flags| !flags.contains("failover_in_progress")) {
                let _ = self.sentinels[0].try_cli(&["SENTINEL", "FAILOVER", NAME]);
            }
            Err(said)
        });
        self.wait_for_other_primary(&old)
    }

    /// Starts the dead again and waits until all follow the primary.
    pub fn mend(&mut self) {
        for server in self.servers.iter_mut().filter(|server| !server.is_alive()) {
            server.restart();
        }
        self.wait_until_in_sync();
    }

    /// Waits until every replica has all that is written by now.
    pub fn wait_until_in_sync(&self) {
        let primary = self.primary();
        for replica in self.servers.iter().filter(|server| server.port() != primary.port()) {
            replica.wait_until_in_sync_with(primary);
        }
    }

    fn place_of_primary(&self, other_than: Option<&str>) -> usize {
        poll("the sentinels agree on a primary that is one", || {
            let mut said: Vec<_> = self.sentinels.iter().map(Self::primary_said_by).collect();
            said.dedup();
            let place = match &said[..] {
                [Ok(address)] if other_than != Some(address) => {
                    self.servers.iter().position(|server| server.address() == *address)
                }
                _ => None,
            };
            place.filter(|place| self.servers[*place].is_alive() && self.servers[*place].is_primary()).ok_or(said)
        })
    }

    fn primary_said_by(sentinel: &Redis) -> Result<String, String> {
        let said = sentinel.try_cli(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME])?;
        Ok(said.lines().collect::<Vec<_>>().join(":"))
    }
}
