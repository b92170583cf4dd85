use super::*;

/// A primary, its replica, and three sentinels that watch them under the name `main`.
struct Watched {
    primary: RedisServer,
    replica: RedisServer,
    sentinels: Vec<RedisServer>,
}

impl Watched {
    fn start() -> Self {
        let primary = RedisServer::start(&[]);
        let port = primary.port().to_string();
        let replica = RedisServer::start(&["--replicaof", "127.0.0.1", &port]);
        followed_by(&primary, 1);
        let sentinels: Vec<_> = (0..3).map(|_| sentinel(&port)).collect();
        let this = Self { primary, replica, sentinels };
        eventually("the sentinels know of each other and of the replica", || this.sentinels.iter().all(knows_all));
        this
    }

    fn url(&self) -> RedisUrl {
        let list: Vec<_> = self.sentinels.iter().map(|one| format!("127.0.0.1:{}", one.port())).collect();
        url(&format!("redis+sentinel://{}/main", list.join(",")))
    }
}

fn sentinel(port: &str) -> RedisServer {
    let folder = tempfile::tempdir().unwrap();
    let lines = [
        &format!("sentinel monitor main 127.0.0.1 {port} 2"),
        "sentinel down-after-milliseconds main 500",
        "sentinel failover-timeout main 2000",
    ];
    std::fs::write(folder.path().join("sentinel.conf"), lines.join("\n")).unwrap();
    RedisServer::start_in(folder, &["{dir}/sentinel.conf", "--sentinel"])
}

fn knows_all(sentinel: &RedisServer) -> bool {
    let info: String = sentinel.ask(&["INFO", "sentinel"]);
    info.contains("status=ok") && info.contains("slaves=1") && info.contains("sentinels=3")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_is_followed() {
    let mut watched = Watched::start();
    let link = open(&watched.url()).await;
    append(&link, "k", "a").await.unwrap();
    eventually("the replica has it", || watched.replica.ask::<i64>(&["LLEN", "k"]) == 1);
    // One sentinel may be away as well.
    watched.sentinels[0].kill();
    watched.primary.kill();
    let (took, said) = until_it_works(&link, "k", "b").await;
    assert!(took < Duration::from_secs(10), "{took:?}");
    certain(&said);
    assert_eq!(append(&link, "k", "c").await.unwrap(), "a,b,c");
    assert_eq!(link.0.shared.metrics.redis.primaries_changed.get(), 1);
    assert_eq!(link.0.shared.metrics.redis.breakers_open.get(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demoted_primary_that_still_answers_is_left() {
    let watched = Watched::start();
    let link = open(&watched.url()).await;
    append(&link, "k", "a").await.unwrap();
    let _: String = watched.sentinels[1].ask(&["SENTINEL", "FAILOVER", "main"]);
    // All the while somebody calls, and hears no more than that nothing was sent.
    let start = Instant::now();
    while link.0.shared.metrics.redis.primaries_changed.get() == 0 {
        match append(&link, "k", "b").await {
            Ok(_) | Err(CallError::NotSent(_)) => {}
            // The old one cuts its connections when it is demoted.
            Err(CallError::Unclear(_)) => {}
            Err(error) => panic!("{error}"),
        }
        assert!(start.elapsed() < Duration::from_secs(15));
        sleep(Duration::from_millis(20)).await;
    }
    until_it_works(&link, "k", "c").await;
    let last: Vec<String> = watched.replica.ask(&["LRANGE", "k", "-1", "-1"]);
    assert_eq!(last, ["c"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_link_notices_a_new_primary_by_itself() {
    let watched = Watched::start();
    let link = open(&watched.url()).await;
    let _: String = watched.sentinels[0].ask(&["SENTINEL", "FAILOVER", "main"]);
    let start = Instant::now();
    while link.0.shared.metrics.redis.primaries_changed.get() == 0 {
        assert!(start.elapsed() < Duration::from_secs(15));
        sleep(Duration::from_millis(20)).await;
    }
    append(&link, "k", "a").await.unwrap();
    assert_eq!(watched.replica.ask::<i64>(&["LLEN", "k"]), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_no_sentinel_knows_is_told_and_so_is_a_sentinel_where_a_server_should_be() {
    let primary = RedisServer::start(&[]);
    let sentinel = sentinel(&primary.port().to_string());
    let said = refusal(&url(&format!("redis+sentinel://127.0.0.1:{}/other", sentinel.port())), options()).await;
    assert!(said.contains("knows no \"other\""), "{said}");
    let said = refusal(&sentinel.url(), options()).await;
    assert!(said.contains("it is a sentinel"), "{said}");
    let said = refusal(&url(&format!("redis+sentinel://127.0.0.1:{}/main", primary.port())), options()).await;
    assert!(said.contains("no sentinel could name a primary"), "{said}");
}
