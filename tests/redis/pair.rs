//! A pair: what a failover forgets and what it keeps.

use crate::support::redis::{pair::Pair, proxy::Proxy};

/// Asks whoever the address leads to.
fn ask(proxy: &Proxy, command: &str) -> String {
    let client = redis::Client::open(proxy.url()).unwrap();
    let mut words = command.split(' ');
    let mut asked = redis::cmd(words.next().unwrap());
    asked.arg(words.collect::<Vec<_>>());
    asked.query::<Option<String>>(&mut client.get_connection().unwrap()).unwrap().unwrap_or_default()
}

#[test]
fn a_failover_forgets_just_what_the_replica_was_kept_from() {
    let mut pair = Pair::start(&[]);
    for round in 0..3 {
        let (before, after) = (format!("before-{round}"), format!("after-{round}"));
        ask(pair.proxy(), &format!("SET {before} 1"));
        pair.replica().wait_until_in_sync_with(pair.primary());
        let (old, id) = (pair.primary().address(), pair.primary().info("master_replid").unwrap());
        pair.forget_from_now();
        assert_eq!(ask(pair.proxy(), &format!("SET {after} 1")), "OK", "a write is answered though nobody else hears");
        pair.fail_over();
        assert_ne!(pair.primary().address(), old);
        assert_ne!(pair.primary().info("master_replid").unwrap(), id, "a promotion is seen");
        assert_eq!(
            (ask(pair.proxy(), &format!("GET {before}")), ask(pair.proxy(), &format!("GET {after}"))),
            ("1".into(), String::new())
        );
        assert!(!pair.replica().is_alive());
        pair.mend();
        assert_eq!(pair.replica().cli(&["GET", &before]), "1");
    }
}

#[test]
fn two_servers_change_around_and_back() {
    let mut pair = Pair::start(&[]);
    let (first, url) = (pair.primary().address(), pair.url());
    ask(pair.proxy(), "SET a 1");
    pair.replica().wait_until_in_sync_with(pair.primary());
    pair.switch_over();
    assert_ne!(pair.primary().address(), first);
    assert_eq!(ask(pair.proxy(), "SET b 1"), "OK");
    pair.replica().wait_until_in_sync_with(pair.primary());
    pair.switch_over();
    assert_eq!((pair.primary().address(), pair.url()), (first, url));
    assert_eq!((ask(pair.proxy(), "GET a"), ask(pair.proxy(), "GET b")), ("1".into(), "1".into()));
}
