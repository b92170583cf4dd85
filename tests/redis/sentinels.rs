//! Servers watched by sentinels: these find a new primary by themselves.

use crate::support::redis::{poll, sentinels::Sentinels};

#[test]
fn a_killed_primary_is_replaced_and_follows_when_it_comes_back() {
    let mut group = Sentinels::start(&[]);
    let old = group.primary().address();
    group.primary().cli(&["SET", "a", "1"]);
    group.wait_until_in_sync();
    group.kill_primary();
    let new = group.wait_for_new_primary();
    assert_ne!(new.address(), old);
    assert_eq!(new.cli(&["GET", "a"]), "1");
    group.mend();
    assert_ne!(group.primary().address(), old);
    assert_eq!(group.servers().iter().filter(|server| server.is_primary()).count(), 1);
    assert_eq!(group.url().matches("127.0.0.1").count(), group.sentinels().len());
}

#[test]
fn a_stopped_primary_is_replaced_and_takes_itself_for_one_until_it_is_told() {
    let mut group = Sentinels::start(&[]);
    let old = group.primary().address();
    group.primary().pause();
    let new = group.wait_for_other_primary(&old).address();
    let stale = group.servers().iter().find(|server| server.address() == old).unwrap();
    stale.resume();
    poll(
        "the stale one follows",
        || if stale.is_primary() { Err("it still thinks it is the primary") } else { Ok(()) },
    );
    group.mend();
    assert_eq!(group.primary().address(), new);
    assert_ne!(group.fail_over().address(), new, "by order");
}
