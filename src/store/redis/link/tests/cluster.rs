use super::*;

/// Three servers that share the slots, and whatever follows them.
struct Three(Vec<RedisServer>);

impl Three {
    fn start() -> Self {
        let this = Self((0..3).map(|_| node()).collect());
        let shares = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];
        for (server, (first, last)) in this.0.iter().zip(shares) {
            let _: String = server.ask(&["CLUSTER", "ADDSLOTSRANGE", first, last]);
        }
        for server in &this.0[1..] {
            this.meet(server);
        }
        eventually("the cluster is whole", || this.0.iter().all(|server| is_whole(server, 3)));
        this
    }

    fn meet(&self, server: &RedisServer) {
        let bus: Vec<String> = server.ask(&["CONFIG", "GET", "cluster-port"]);
        let _: String = self.0[0].ask(&["CLUSTER", "MEET", "127.0.0.1", &server.port().to_string(), &bus[1]]);
    }

    /// By one server alone: the others are to be found.
    fn url(&self) -> RedisUrl {
        url(&format!("redis+cluster://127.0.0.1:{}", self.0[0].port()))
    }

    /// A key whose slot the server of this number has.
    fn key_at(&self, number: u16) -> String {
        let share = number * 5_461..(number + 1) * 5_461;
        (0..).map(|n| format!("{{k{n}}}")).find(|key| share.contains(&slot_of(key))).unwrap()
    }

    /// Begins to move a key's slot from the first server to the second.
    fn begin_to_move(&self, key: &str) {
        let (slot, [from, to]) = (slot_of(key).to_string(), self.ids());
        let _: String = self.0[1].ask(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from]);
        let _: String = self.0[0].ask(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to]);
    }

    fn move_key(&self, key: &str) {
        let to = self.0[1].port().to_string();
        let _: String = self.0[0].ask(&["MIGRATE", "127.0.0.1", &to, key, "0", "1000"]);
    }

    fn end_move(&self, key: &str) {
        let (slot, [_, to]) = (slot_of(key).to_string(), self.ids());
        for server in [1, 0, 2] {
            let _: String = self.0[server].ask(&["CLUSTER", "SETSLOT", &slot, "NODE", &to]);
        }
    }

    fn ids(&self) -> [String; 2] {
        [0, 1].map(|n: usize| self.0[n].ask(&["CLUSTER", "MYID"]))
    }
}

fn node() -> RedisServer {
    let bus = free_port().to_string();
    let settings = ["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-node-timeout", "1000"];
    RedisServer::start(&[&settings[..], &["--cluster-require-full-coverage", "no"]].concat())
}

fn is_whole(server: &RedisServer, servers: usize) -> bool {
    let info: String = server.ask(&["CLUSTER", "INFO"]);
    info.contains("cluster_state:ok")
        && info.contains("cluster_slots_ok:16384")
        && info.contains(&format!("cluster_known_nodes:{servers}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_server_of_a_cluster_is_found_by_one_and_a_moved_slot_is_followed() {
    let three = Three::start();
    let link = open(&three.url()).await;
    for number in 0..3 {
        assert_eq!(append(&link, &three.key_at(number), "a").await.unwrap(), "a");
    }
    let key = three.key_at(0);
    three.begin_to_move(&key);
    // Still there.
    assert_eq!(append(&link, &key, "b").await.unwrap(), "a,b");
    three.move_key(&key);
    // On its way: the first server says ASK.
    assert_eq!(append(&link, &key, "c").await.unwrap(), "a,b,c");
    let other = format!("{key}-new");
    assert_eq!(append(&link, &other, "x").await.unwrap(), "x");
    three.end_move(&key);
    // The first server says MOVED.
    assert_eq!(append(&link, &key, "d").await.unwrap(), "a,b,c,d");
    let at = link.0.route.node(slot_of(&key)).unwrap().at.port;
    assert_eq!(at, three.0[1].port());
    assert_eq!(append(&link, &other, "y").await.unwrap(), "x,y");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_are_on_both_sides_of_a_move_are_waited_for() {
    static BOTH: LazyLock<Script> =
        LazyLock::new(|| Script::new(&["return redis.call('GET', KEYS[1]) .. redis.call('GET', KEYS[2])"]));
    let three = Three::start();
    let link = open(&three.url()).await;
    let key = three.key_at(0);
    let keys = [format!("{key}1"), format!("{key}2")];
    for key in &keys {
        let _: String = three.0[0].ask(&["SET", key, "x"]);
    }
    three.begin_to_move(&key);
    three.move_key(&keys[0]);
    let (called, ()) = tokio::join!(link.call(&BOTH, &keys, Vec::new()), async {
        sleep(Duration::from_millis(200)).await;
        three.move_key(&keys[1]);
        three.end_move(&key);
    });
    assert_eq!(called.unwrap(), b"xx");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_that_is_away_hurts_its_own_slots_alone_until_its_replica_takes_over() {
    let mut three = Three::start();
    let link = open(&three.url()).await;
    let (lost, kept) = (three.key_at(2), three.key_at(1));
    append(&link, &lost, "a").await.unwrap();
    let replica = node();
    three.meet(&replica);
    eventually("the new one is known", || is_whole(&replica, 4) && three.0.iter().all(|one| is_whole(one, 4)));
    let id: String = three.0[2].ask(&["CLUSTER", "MYID"]);
    let _: String = replica.ask(&["CLUSTER", "REPLICATE", &id]);
    followed_by(&three.0[2], 1);
    three.0[2].kill();
    certain(&[append(&link, &lost, "never").await.unwrap_err()]);
    append(&link, &kept, "a").await.unwrap();
    let (took, said) = until_it_works(&link, &lost, "b").await;
    assert!(took < Duration::from_secs(10), "{took:?}");
    certain(&said);
    assert_eq!(append(&link, &lost, "c").await.unwrap(), "a,b,c");
    assert_eq!(link.0.shared.metrics.redis.breakers_open.get(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_no_cluster_is_told() {
    let server = RedisServer::start(&[]);
    let said = refusal(&url(&format!("redis+cluster://127.0.0.1:{}", server.port())), options()).await;
    assert!(said.contains("it is no node of a cluster"), "{said}");
}
