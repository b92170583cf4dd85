//! A cluster of three masters with a replica each, whose slots can be moved and whose masters can be killed.

use super::{PATIENCE, poll, poll_until, server::Redis};

const MASTERS: usize = 3;
const NODES: usize = 2 * MASTERS;
const SLOTS: usize = 16_384;

/// What every node is started with: one silent for a second is taken for dead, and a replica takes over however long
/// it has not heard of its master.
const ALWAYS: &[&str] =
    &["--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-replica-validity-factor", "0"];

/// The nodes: masters at first, then their replicas.
pub struct Cluster {
    nodes: Vec<Redis>,
}

/// A slot on its way from one master to another: what is there is asked for here, what is gone or new there.
pub struct Resharding<'a> {
    cluster: &'a Cluster,
    slot: String,
    from: &'a Redis,
    to: &'a Redis,
}

impl Cluster {
    /// Starts the nodes with these arguments and joins them; every slot is served and every replica in sync when this
    /// returns.
    pub fn start(arguments: &[&str]) -> Self {
        let arguments: Vec<_> = ALWAYS.iter().chain(arguments).copied().collect();
        let cluster = Self { nodes: (0..NODES).map(|_| Redis::start(&arguments)).collect() };
        cluster.introduce();
        let (masters, replicas) = cluster.nodes.split_at(MASTERS);
        for (number, (master, replica)) in masters.iter().zip(replicas).enumerate() {
            let (first, after) = (number * SLOTS / MASTERS, (number + 1) * SLOTS / MASTERS);
            master.cli(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &(after - 1).to_string()]);
            replica.cli(&["CLUSTER", "REPLICATE", &id_of(master)]);
        }
        cluster.settle();
        cluster.wait_until_in_sync();
        cluster
    }

    /// What Dropgate is told: some of the nodes, to find the others.
    pub fn url(&self) -> String {
        let addresses: Vec<_> = self.nodes.iter().take(MASTERS).map(Redis::address).collect();
        format!("redis+cluster://{}", addresses.join(","))
    }

    /// All nodes.
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// Who serves the key, as the nodes see it that live.
    pub fn master_of(&self, key: &str) -> &Redis {
        &self.nodes[self.place_of_master_of(key)]
    }

    /// A master that serves other keys.
    pub fn another_master_than_of(&self, key: &str) -> &Redis {
        let master = self.master_of(key).port();
        let other = |node: &&Redis| node.port() != master && node.is_alive() && node.is_primary();
        self.nodes.iter().find(other).expect("no second master")
    }

    /// `kill -9` of whoever serves the key.
    pub fn kill_master_of(&mut self, key: &str) {
        let place = self.place_of_master_of(key);
        self.nodes[place].kill();
    }

    /// Waits until its replica serves the key, after [`Cluster::kill_master_of`], and all living nodes know.
    pub fn wait_for_new_master_of(&self, key: &str) -> &Redis {
        self.settle();
        self.master_of(key)
    }

    /// Starts the dead again and waits until they follow whoever replaced them.
    pub fn mend(&mut self) {
        for node in self.nodes.iter_mut().filter(|node| !node.is_alive()) {
            node.restart();
        }
        self.settle();
        self.wait_until_in_sync();
    }

    /// Waits until half of the nodes are replicas again and have all that is written by now.
    pub fn wait_until_in_sync(&self) {
        // A master that comes back learns that it is none any more.
        let replicas = poll("half of the nodes are replicas", || {
            let (primaries, replicas): (Vec<_>, Vec<_>) = self.nodes.iter().partition(|node| node.is_primary());
            if replicas.len() == MASTERS { Ok(replicas) } else { Err(primaries.len()) }
        });
        for replica in replicas {
            let master = replica.info("master_port").unwrap();
            let master = self.nodes.iter().find(|node| node.port().to_string() == master).unwrap();
            replica.wait_until_in_sync_with(master);
        }
    }

    /// Moves the slot of a key to another master, with all that is in it.
    pub fn migrate_slot_of(&self, key: &str, to: &Redis) {
        let resharding = self.begin_to_move_slot_of(key, to);
        while resharding.move_keys(10) > 0 {}
        resharding.finish();
    }

    /// Begins to move the slot of a key; nothing has moved when this returns.
    pub fn begin_to_move_slot_of<'a>(&'a self, key: &str, to: &'a Redis) -> Resharding<'a> {
        let (from, slot) = (self.master_of(key), self.slot_of(key).to_string());
        to.cli(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &id_of(from)]);
        from.cli(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id_of(to)]);
        Resharding { cluster: self, slot, from, to }
    }

    fn alive(&self) -> impl Iterator<Item = &Redis> {
        self.nodes.iter().filter(|node| node.is_alive())
    }

    fn slot_of(&self, key: &str) -> usize {
        self.alive().next().expect("no node lives").cli(&["CLUSTER", "KEYSLOT", key]).parse().unwrap()
    }

    fn place_of_master_of(&self, key: &str) -> usize {
        let slot = self.slot_of(key);
        poll(&format!("the nodes agree who serves {key}"), || {
            let mut owners: Vec<_> =
                self.alive().map(|node| owner_of(slot, &node.try_cli(&["CLUSTER", "NODES"])?)).collect();
            owners.dedup();
            let place = match &owners[..] {
                [Ok(address)] => self.nodes.iter().position(|node| node.address() == *address),
                _ => None,
            };
            place.filter(|place| self.nodes[*place].is_alive()).ok_or(owners)
        })
    }

    /// Makes every node known to every other.
    fn introduce(&self) {
        // Only a node that knows nobody takes an epoch.
        for (number, node) in (1..).zip(&self.nodes) {
            node.cli(&["CLUSTER", "SET-CONFIG-EPOCH", &number.to_string()]);
        }
        for (number, node) in self.nodes.iter().enumerate() {
            for other in &self.nodes[number + 1..] {
                node.cli(&["CLUSTER", "MEET", "127.0.0.1", &other.port().to_string()]);
            }
        }
        for node in &self.nodes {
            let known = || node.cli(&["CLUSTER", "NODES"]);
            poll_until("every node knows every other", known, |known| {
                known.lines().count() == NODES && !known.contains("handshake")
            });
        }
    }

    /// Waits until every living node takes the cluster for whole.
    fn settle(&self) {
        for node in self.alive() {
            let seen = || node.cli(&["CLUSTER", "INFO"]);
            poll_until("every slot is served", seen, |seen| {
                seen.contains("cluster_state:ok") && seen.contains(&format!("cluster_slots_ok:{SLOTS}"))
            });
        }
    }
}

impl Resharding<'_> {
    /// Moves at most so many keys; how many it were. Zero: all are there.
    pub fn move_keys(&self, at_most: usize) -> usize {
        let keys = self.from.cli(&["CLUSTER", "GETKEYSINSLOT", &self.slot, &at_most.to_string()]);
        let keys: Vec<_> = keys.lines().collect();
        if !keys.is_empty() {
            let (port, patience) = (self.to.port().to_string(), PATIENCE.as_millis().to_string());
            let mut migrate = vec!["MIGRATE", "127.0.0.1", &port, "", "0", &patience, "KEYS"];
            migrate.extend(&keys);
            self.from.cli(&migrate);
        }
        keys.len()
    }

    /// Names the new master to all, first to itself: if it fell now, the slot would still have somebody.
    pub fn finish(self) {
        let id = id_of(self.to);
        let masters = || self.cluster.alive().filter(|node| node.is_primary());
        let others = masters().filter(|node| node.port() != self.to.port() && node.port() != self.from.port());
        for node in [self.to, self.from].into_iter().chain(others) {
            node.cli(&["CLUSTER", "SETSLOT", &self.slot, "NODE", &id]);
        }
    }
}

fn id_of(node: &Redis) -> String {
    node.cli(&["CLUSTER", "MYID"])
}

/// The address of the slot's master in what a node says of all nodes.
fn owner_of(slot: usize, nodes: &str) -> Result<String, String> {
    let serves = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        // What is in brackets is under way, and still where it was.
        matches!((first.parse::<usize>(), last.parse::<usize>()), (Ok(first), Ok(last)) if (first..=last).contains(&slot))
    };
    let owner = nodes
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .find(|words| words.len() > 8 && words[2].contains("master") && words[8..].iter().any(|range| serves(range)));
    let address = owner.and_then(|words| words[1].split('@').next().map(str::to_owned));
    address.ok_or_else(|| format!("nobody serves {slot}:\n{nodes}"))
}
