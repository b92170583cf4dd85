use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_is_called_and_loaded_where_it_is_not_known() {
    let server = RedisServer::start(&[]);
    let link = open(&server.url()).await;
    assert_eq!(append(&link, "k", "a").await.unwrap(), "a");
    let _: String = server.ask(&["SCRIPT", "FLUSH"]);
    assert_eq!(append(&link, "k", "b").await.unwrap(), "a,b");
    static BROKEN: LazyLock<Script> = LazyLock::new(|| Script::new(&["return ("]));
    let error = link.call(&BROKEN, &["k".to_owned()], Vec::new()).await.unwrap_err();
    assert!(matches!(&error, CallError::Script(said) if said.contains("compiling")), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_go_and_come_as_they_are() {
    let server = RedisServer::start(&[]);
    let link = open(&server.url()).await;
    let all: Vec<u8> = (0..=255).chain(*b"\r\n$3\r\n").collect();
    static LAST: LazyLock<Script> = LazyLock::new(|| Script::new(&["return ARGV[#ARGV]"]));
    let answer = link.call(&LAST, &["k".to_owned()], vec![Vec::new(), all.clone()]).await;
    assert_eq!(answer.unwrap(), all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_of_the_script_is_told_as_that() {
    let server = RedisServer::start(&[]);
    let link = open(&server.url()).await;
    let error = append(&link, "k", "fail").await.unwrap_err();
    assert_eq!(error, CallError::Script("ERR asked to".to_owned()));
    let error = append(&link, "k", "other").await.unwrap_err();
    assert!(matches!(&error, CallError::Script(said) if said.starts_with("WRONGTYPE")), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_another_kind_are_left_alone_and_a_full_server_is_no_fault_of_the_script() {
    let server = RedisServer::start(&[]);
    let link = open(&server.url()).await;
    assert_eq!(append(&link, "k", "a").await.unwrap(), "a");
    let _: String = server.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    let error = append(&link, "k", "b").await.unwrap_err();
    assert!(matches!(&error, CallError::NotSent(said) if said.starts_with("OOM")), "{error}");
    let _: String = server.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(append(&link, "k", "c").await.unwrap(), "a,c");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_are_counted() {
    let server = RedisServer::start(&[]);
    let durability = Durability::Replica { copies: 1 };
    let link = Link::open(&server.url(), LinkOptions { durability, ..options() }).await.unwrap();
    assert_eq!(link.durability(), durability);
    assert_eq!(append(&link, "k", "a").await.unwrap_err(), CallError::TooFewCopies { wanted: 1, found: 0 });
    let replica = RedisServer::start(&["--replicaof", "127.0.0.1", &server.port().to_string()]);
    followed_by(&server, 1);
    // It was applied, which is why it is unclear and not refused.
    assert_eq!(append(&link, "k", "b").await.unwrap(), "a,b");
    replica.stop();
    assert_eq!(append(&link, "k", "c").await.unwrap_err(), CallError::TooFewCopies { wanted: 1, found: 0 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demoted_server_is_asked_again_until_it_takes_writes() {
    let server = RedisServer::start(&[]);
    let link = open(&server.url()).await;
    append(&link, "k", "a").await.unwrap();
    let nobody = free_port().to_string();
    let _: String = server.ask(&["REPLICAOF", "127.0.0.1", &nobody]);
    let (called, ()) = tokio::join!(append(&link, "k", "b"), async {
        sleep(Duration::from_millis(300)).await;
        let _: String = server.ask(&["REPLICAOF", "NO", "ONE"]);
    });
    assert_eq!(called.unwrap(), "a,b");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stays_demoted_is_given_up_after_two_seconds_and_keeps_nobody_else_waiting() {
    let server = RedisServer::start(&[]);
    let link = open(&server.url()).await;
    append(&link, "k", "a").await.unwrap();
    let nobody = free_port().to_string();
    let _: String = server.ask(&["REPLICAOF", "127.0.0.1", &nobody]);
    let error = append(&link, "k", "b").await.unwrap_err();
    assert!(matches!(&error, CallError::NotSent(said) if said.contains("refused for 2 s")), "{error}");
    let start = Instant::now();
    assert!(matches!(append(&link, "k", "c").await, Err(CallError::NotSent(_))));
    assert!(start.elapsed() < Duration::from_millis(500));
    let _: String = server.ask(&["REPLICAOF", "NO", "ONE"]);
    until_it_works(&link, "k", "d").await;
    assert_eq!(append(&link, "k", "e").await.unwrap(), "a,d,e");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_busy_with_a_script_is_asked_again() {
    let server = RedisServer::start(&["--busy-reply-threshold", "20"]);
    let link = open(&server.url()).await;
    append(&link, "k", "a").await.unwrap();
    let port = server.port();
    let endless = std::thread::spawn(move || {
        let client = redis::Client::open(format!("redis://127.0.0.1:{port}")).unwrap();
        let mut connection = client.get_connection().unwrap();
        redis::cmd("EVAL").arg("while true do end").arg(0).query::<redis::Value>(&mut connection)
    });
    let (called, ()) = tokio::join!(
        async {
            sleep(Duration::from_millis(100)).await;
            append(&link, "k", "b").await
        },
        async {
            sleep(Duration::from_millis(400)).await;
            let _: String = server.ask(&["SCRIPT", "KILL"]);
        }
    );
    assert_eq!(called.unwrap(), "a,b");
    assert!(endless.join().unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_distrusted_server_is_met_anew() {
    let server = RedisServer::start(&[]);
    let link = open(&server.url()).await;
    let ours = || {
        let list: String = server.ask(&["CLIENT", "LIST"]);
        let ours = list.lines().filter(|line| line.contains("cmd=evalsha"));
        ours.map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    append(&link, "k", "a").await.unwrap();
    let before = ours();
    append(&link, "k", "b").await.unwrap();
    assert_eq!((before.len(), &ours()), (1, &before), "connections are used again");
    link.distrust("k");
    append(&link, "k", "c").await.unwrap();
    eventually("the old connection is closed", || !ours().contains(&before[0]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_outlive_the_runtime_of_who_called_first() {
    let server = RedisServer::start(&[]);
    let link = Link::open(&server.url(), LinkOptions { connections: 1, ..options() }).await.unwrap();
    let other = link.clone();
    // As a thread of the web server does.
    let elsewhere = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(append(&other, "k", "a"))
    });
    assert_eq!(elsewhere.join().unwrap().unwrap(), "a");
    let id =
        || server.ask::<String>(&["CLIENT", "LIST", "TYPE", "normal"]).lines().next().map(|line| line[..9].to_owned());
    let before = id();
    assert_eq!(append(&link, "k", "b").await.unwrap(), "a,b");
    assert_eq!(id(), before);
}
