//! What a server says of itself, and whether a store can live there.

use std::collections::BTreeMap;

use redis::{Pipeline, Value};

use super::{
    Durability,
    connection::{Connection, DialError},
};

/// The oldest Redis: scripts count on how it declares, refuses and reports.
const OLDEST: Version = Version(7, 0);

/// From here on `WAITAOF` waits for the disk.
const WITH_WAITAOF: Version = Version(7, 2);

/// Major and minor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u32, u32);

/// The answer to INFO, as far as it matters here.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    version: Version,
    mode: String,
    /// How wide its integers are; empty where it does not say.
    bits: String,
    /// Anew with every start of the server.
    pub run_id: String,
    pub is_primary: bool,
    pub is_loading: bool,
    is_cluster: bool,
    maxmemory: Option<u64>,
    maxmemory_policy: Option<String>,
    has_aof: bool,
    replicas: u32,
}

/// What is asked of a server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demands {
    pub durability: Durability,
    pub is_cluster: bool,
}

/// What speaks against a server as it is set up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    /// A store must not live there.
    pub faults: Vec<String>,
    /// An operator should know.
    pub doubts: Vec<String>,
}

impl Facts {
    /// Asks the server.
    ///
    /// # Errors
    /// It can't be asked, or refuses to tell.
    pub async fn of(connection: &mut Connection) -> Result<Self, DialError> {
        let mut info = Pipeline::new();
        info.cmd("INFO");
        let answer = connection.ask(&info).await?.into_iter().next().unwrap_or_default();
        if let Value::ServerError(error) = &answer {
            let detail = format!("INFO is refused, and is needed: allow it to the user ({error})");
            return Err(DialError::Refused(detail));
        }
        let text: String = redis::from_redis_value(answer).map_err(|error| DialError::Refused(error.to_string()))?;
        Ok(Self::parse(&text))
    }

    fn parse(info: &str) -> Self {
        let fields: BTreeMap<&str, &str> = info.lines().filter_map(|line| line.trim_end().split_once(':')).collect();
        let text = |name: &str| fields.get(name).copied().unwrap_or_default().to_owned();
        let version = text("redis_version");
        let mut numbers = version.split('.').map(|part| part.parse().unwrap_or_default());
        Self {
            version: Version(numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default()),
            mode: text("redis_mode"),
            bits: text("arch_bits"),
            run_id: text("run_id"),
            is_primary: text("role") == "master",
            is_loading: text("loading") == "1",
            is_cluster: text("cluster_enabled") == "1",
            maxmemory: text("maxmemory").parse().ok(),
            maxmemory_policy: Some(text("maxmemory_policy")).filter(|policy| !policy.is_empty()),
            has_aof: text("aof_enabled") == "1",
            replicas: text("connected_slaves").parse().unwrap_or_default(),
        }
    }

    pub fn has_waitaof(&self) -> bool {
        self.version >= WITH_WAITAOF
    }

    /// What speaks against this server.
    pub async fn examine(&self, connection: &mut Connection, demands: Demands) -> Findings {
        let appendfsync = match self.needs_appendfsync(demands) {
            true => config_of(connection, "appendfsync").await,
            false => None,
        };
        self.judge(appendfsync.as_deref(), demands)
    }

    fn needs_appendfsync(&self, demands: Demands) -> bool {
        demands.durability == Durability::Local && self.has_aof && !self.has_waitaof()
    }

    fn judge(&self, appendfsync: Option<&str>, demands: Demands) -> Findings {
        let mut found = Findings::default();
        if self.mode == "sentinel" {
            found.faults.push("it is a sentinel: write store.url as redis+sentinel://host:port/NAME".to_owned());
            return found;
        }
        if self.version < OLDEST {
            let Version(major, minor) = self.version;
            found.faults.push(format!("it is Redis {major}.{minor}, and a store needs Redis 7.0 or Valkey"));
        }
        if self.bits == "32" {
            found
                .faults
                .push("it is built for 32 bits, in which its scripts can't write times: a store needs 64".to_owned());
        }
        match (self.is_cluster, demands.is_cluster) {
            (true, false) => {
                found.faults.push("it is a node of a cluster: write store.url as redis+cluster://…".to_owned());
            }
            (false, true) => {
                found.faults.push(
                    "it is no node of a cluster: write store.url as redis://…, or set cluster-enabled yes".to_owned(),
                );
            }
            _ => {}
        }
        match (self.maxmemory, self.maxmemory_policy.as_deref()) {
            (Some(0), _) | (_, Some("noeviction")) => {}
            (_, Some(policy)) => found.faults.push(format!(
                "its maxmemory-policy is {policy}, which throws data away when memory is short: set maxmemory-policy noeviction"
            )),
            (_, None) => found.doubts.push("its maxmemory-policy can't be read: it must be noeviction".to_owned()),
        }
        self.judge_durability(appendfsync, demands.durability, &mut found);
        found
    }

    fn judge_durability(&self, appendfsync: Option<&str>, durability: Durability, found: &mut Findings) {
        match durability {
            Durability::None => {}
            Durability::Local if !self.has_aof => {
                found.faults.push("store.durability is local, and it keeps no append-only file: set appendonly yes".to_owned());
            }
            Durability::Local if self.has_waitaof() => {}
            Durability::Local => match appendfsync {
                Some("always") => {}
                Some(other) => found.faults.push(format!(
                    "store.durability is local, and its appendfsync is {other}: set appendfsync always, or run Redis 7.2"
                )),
                None => found.doubts.push(
                    "store.durability is local, and its appendfsync can't be read, because CONFIG is refused: it must be always"
                        .to_owned(),
                ),
            },
            Durability::Replica { copies } if self.replicas < copies => found.doubts.push(format!(
                "store.durability is replica with {copies} copies, and it has {} replicas: every change is answered as unclear",
                self.replicas
            )),
            Durability::Replica { .. } => {}
        }
    }
}

/// A setting of the server; none if it may not be asked for.
async fn config_of(connection: &mut Connection, name: &str) -> Option<String> {
    let mut get = Pipeline::new();
    get.cmd("CONFIG").arg("GET").arg(name);
    let answer = connection.ask(&get).await.ok()?.into_iter().next()?;
    let pairs: Vec<String> = redis::from_redis_value(answer).ok()?;
    pairs.into_iter().nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nrole:master\r\nmaxmemory:0\r\n\
                        maxmemory_policy:allkeys-lru\r\naof_enabled:1\r\nconnected_slaves:1\r\ncluster_enabled:0\r\n";

    fn judged(info: &str, appendfsync: Option<&str>, durability: Durability) -> Findings {
        Facts::parse(info).judge(appendfsync, Demands { durability, is_cluster: false })
    }

    fn faults(info: &str, durability: Durability) -> String {
        judged(info, None, durability).faults.join("; ")
    }

    #[test]
    fn what_an_older_server_lacks_is_told() {
        assert_eq!(faults(INFO, Durability::None), "");
        let old = INFO.replace("7.0.15", "6.2.14");
        assert!(faults(&old, Durability::None).contains("it is Redis 6.2, and a store needs Redis 7.0"));
        let narrow = format!("{INFO}arch_bits:32\r\n");
        assert!(faults(&narrow, Durability::None).contains("it is built for 32 bits"));
        assert_eq!(faults(&format!("{INFO}arch_bits:64\r\n"), Durability::None), "");
    }

    #[test]
    fn a_server_with_waitaof_needs_its_file_and_no_more() {
        let new = INFO.replace("7.0.15", "7.2.4");
        assert!(Facts::parse(&new).has_waitaof() && !Facts::parse(INFO).has_waitaof());
        assert_eq!(judged(&new, None, Durability::Local), Findings::default());
        let without = new.replace("aof_enabled:1", "aof_enabled:0");
        assert!(faults(&without, Durability::Local).contains("set appendonly yes"));
        assert_eq!(judged(INFO, Some("always"), Durability::Local), Findings::default());
        assert_eq!(judged(INFO, None, Durability::Local).doubts.len(), 1);
    }

    #[test]
    fn what_can_not_be_read_is_a_doubt() {
        let managed = INFO.replace("maxmemory:0\r\n", "").replace("maxmemory_policy:allkeys-lru\r\n", "");
        let found = judged(&managed, None, Durability::Replica { copies: 2 });
        assert_eq!((found.faults.len(), found.doubts.len()), (0, 2), "{found:?}");
    }
}
