use super::*;

/// What every caller must hear within, once a server is known to be away.
const AT_ONCE: Duration = Duration::from_millis(50);

/// Half a second is promised; the rest is for a machine that runs many tests at once.
const RECOVERY: Duration = Duration::from_millis(1_000);

/// Calls a few hundred times at once, and makes sure that all hear quickly that nothing was sent; all but those that the
/// machine itself kept waiting.
async fn everybody_hears_at_once(link: &Link) {
    let calls = (0..300).map(|_| async {
        let start = Instant::now();
        let error = append(link, "k", "never").await.unwrap_err();
        assert!(matches!(error, CallError::NotSent(_)), "{error}");
        start.elapsed()
    });
    let took = futures_util::future::join_all(calls).await;
    let late = took.iter().filter(|took| **took > AT_ONCE).count();
    assert!(late < 15, "{late} of {} wait: {:?}", took.len(), took.iter().max());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_is_told_of_at_once_and_used_again_once_it_is_back() {
    let mut server = RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let link = open(&server.url()).await;
    append(&link, "k", "a").await.unwrap();
    server.kill();
    let mut said = Vec::new();
    for _ in 0..4 {
        said.push(append(&link, "k", "never").await.unwrap_err());
    }
    certain(&said);
    everybody_hears_at_once(&link).await;
    let metrics = &link.0.shared.metrics.redis;
    assert_eq!(metrics.breakers_open.get(), 1);
    server.restart();
    let (took, said) = until_it_works(&link, "k", "b").await;
    assert!(took < RECOVERY, "{took:?}");
    assert!(said.iter().all(|error| matches!(error, CallError::NotSent(_))), "{said:?}");
    assert_eq!(metrics.breakers_open.get(), 0);
    // Everybody comes back at once, and yet there are no more connections than allowed, and the one that asks.
    let all = futures_util::future::join_all((0..200).map(|_| append(&link, "other", "x"))).await;
    assert!(all.iter().all(Result::is_ok));
    let connections = server.ask::<String>(&["CLIENT", "LIST"]).lines().count();
    assert!(connections <= options().connections + 1, "{connections}");
    // Nothing was applied that was said not to be sent.
    assert_eq!(append(&link, "k", "c").await.unwrap(), "a,b,c");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_unclear_once_and_then_told_of_at_once() {
    let server = RedisServer::start(&[]);
    let link = Link::open(&server.url(), impatient()).await.unwrap();
    append(&link, "k", "a").await.unwrap();
    server.stop();
    let error = append(&link, "k", "maybe").await.unwrap_err();
    assert!(matches!(error, CallError::Unclear(_)), "{error}");
    everybody_hears_at_once(&link).await;
    // Also after the first probe has failed.
    sleep(Duration::from_secs(1)).await;
    everybody_hears_at_once(&link).await;
    server.cont();
    let (took, said) = until_it_works(&link, "k", "b").await;
    assert!(took < RECOVERY, "{took:?}");
    assert!(said.iter().all(|error| matches!(error, CallError::NotSent(_))), "{said:?}");
    assert_eq!(append(&link, "k", "c").await.unwrap(), "a,maybe,b,c");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_connection_hears_with_the_first_that_the_server_hangs() {
    let server = RedisServer::start(&[]);
    let link = Link::open(&server.url(), LinkOptions { connections: 1, ..impatient() }).await.unwrap();
    append(&link, "k", "a").await.unwrap();
    server.stop();
    let start = Instant::now();
    let answers = futures_util::future::join_all((0..100).map(|_| append(&link, "k", "b"))).await;
    // One timeout, and not one after the other.
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    let unclear = answers.iter().filter(|answer| matches!(answer, Err(CallError::Unclear(_)))).count();
    let not_sent = answers.iter().filter(|answer| matches!(answer, Err(CallError::NotSent(_)))).count();
    assert_eq!((unclear, not_sent), (1, 99));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_leaves_takes_its_answer_along() {
    let server = RedisServer::start(&[]);
    let link = Link::open(&server.url(), LinkOptions { connections: 1, ..options() }).await.unwrap();
    append(&link, "k", "a").await.unwrap();
    server.stop();
    let left = tokio::time::timeout(Duration::from_millis(30), append(&link, "other", "x")).await;
    assert!(left.is_err());
    server.cont();
    assert_eq!(append(&link, "k", "b").await.unwrap(), "a,b");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_cut_is_unclear() {
    let mut server = RedisServer::start(&[]);
    let link = open(&server.url()).await;
    append(&link, "k", "a").await.unwrap();
    server.stop();
    let (called, ()) = tokio::join!(append(&link, "k", "b"), async {
        sleep(Duration::from_millis(50)).await;
        server.kill();
    });
    assert!(matches!(called, Err(CallError::Unclear(_))), "{called:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_dropped_leaves_nothing_behind() {
    let server = RedisServer::start(&[]);
    let link = open(&server.url()).await;
    append(&link, "k", "a").await.unwrap();
    drop(link);
    // The one that asks is the only one.
    eventually("its connections are closed", || server.ask::<String>(&["CLIENT", "LIST"]).lines().count() == 1);
}
