use rstest::rstest;

use super::*;

const LOCAL: Durability = Durability::Local;

#[rstest]
#[case::eviction(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"], Durability::None, "set maxmemory-policy noeviction")]
#[case::cluster(&["--cluster-enabled", "yes", "--cluster-port", "{free}"], Durability::None, "redis+cluster://")]
#[case::no_aof(&[], LOCAL, "set appendonly yes")]
#[case::lazy_aof(&["--appendonly", "yes"], LOCAL, "its appendfsync is everysec: set appendfsync always")]
#[case::replica(&["--replicaof", "127.0.0.1", "{free}"], Durability::None, "is a replica: name its primary")]
#[case::password(&["--requirepass", "pw"], Durability::None, "NOAUTH")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_set_up_wrongly_is_refused_with_what_to_set(
    #[case] args: &[&str],
    #[case] durability: Durability,
    #[case] expected: &str,
) {
    let free = free_port().to_string();
    let args: Vec<&str> = args.iter().map(|arg| if *arg == "{free}" { &free } else { *arg }).collect();
    let server = RedisServer::start(&args);
    let said = refusal(&server.url(), LinkOptions { durability, ..options() }).await;
    assert!(said.contains(expected) && said.contains(&server.port().to_string()), "{said}");
}

#[rstest]
#[case(&["--maxmemory", "100mb"], Durability::None)]
#[case(&["--maxmemory-policy", "allkeys-lru"], Durability::None)]
#[case(&["--appendonly", "yes", "--appendfsync", "always"], LOCAL)]
#[case(&[], Durability::Replica { copies: 1 })]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_set_up_rightly_is_taken(#[case] args: &[&str], #[case] durability: Durability) {
    let server = RedisServer::start(args);
    Link::open(&server.url(), LinkOptions { durability, ..options() }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_is_named() {
    let said = refusal(&url(&format!("redis://127.0.0.1:{}", free_port())), options()).await;
    assert!(said.contains("can't be reached: Connection refused"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_does_not_keep_the_start_waiting() {
    let server = RedisServer::start(&[]);
    server.stop();
    let start = Instant::now();
    let said = refusal(&server.url(), impatient()).await;
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert!(said.contains("no answer in time"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_and_users_are_those_of_the_url_or_the_options() {
    let server = RedisServer::start(&["--requirepass", "p@ss"]);
    let at = |login: &str| url(&format!("redis://{login}127.0.0.1:{}", server.port()));
    append(&open(&at(":p%40ss@")).await, "k", "a").await.unwrap();
    let said = refusal(&at(":wrong@"), options()).await;
    assert!(said.contains("refuses the user or the password") && !said.contains("wrong@"), "{said}");
    let password = Some(SecretString::from("p@ss"));
    Link::open(&at(":wrong@"), LinkOptions { password, ..options() }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_needs_info_and_may_go_without_config() {
    let user =
        |name: &str, without: &str| ["--user", name, "on", ">pw", "~*", "&*", "+@all", without].map(str::to_owned);
    let args = [user("gate", "-config"), user("blind", "-info")].concat();
    let args: Vec<&str> = args.iter().map(String::as_str).chain(["--appendonly", "yes"]).collect();
    let server = RedisServer::start(&args);
    let at = |user: &str| url(&format!("redis://{user}:pw@127.0.0.1:{}", server.port()));
    // What can't be read is told as a doubt, in the log.
    let link = Link::open(&at("gate"), LinkOptions { durability: LOCAL, ..options() }).await.unwrap();
    append(&link, "k", "a").await.unwrap();
    let said = refusal(&at("blind"), options()).await;
    assert!(said.contains("INFO is refused, and is needed"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_number_of_a_database_counts() {
    let server = RedisServer::start(&[]);
    let link = open(&url(&format!("redis://127.0.0.1:{}/3", server.port()))).await;
    append(&link, "k", "a").await.unwrap();
    assert!(server.ask::<String>(&["INFO"]).contains("db3:keys=1"));
}
