//! The primary is killed, and its replica, which heard of nothing for a while, is promoted.

use super::{crowd::Crowd, fleet::Fleet, times};
use crate::support::redis::pair::Pair;

/// Visitors, and buyers of each sale.
const EACH: usize = 6;

/// `DRILL_FAILOVERS` says how many.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failovers_that_forget_lose_nothing_while_every_instance_lives() {
    let mut pair = Pair::start(&[]);
    let fleet = Fleet::start(&pair.url(), 3);
    let crowd = Crowd::gather(&fleet).await;
    crowd.come(EACH);
    for failover in 0..times("DRILL_FAILOVERS", 4) {
        crowd.get_answers(60).await;
        pair.forget_from_now();
        // All this is acknowledged, and the server that takes over never heard of it.
        crowd.get_answers(60).await;
        pair.fail_over();
        crowd.get_answers(60).await;
        crowd.deliver(failover).await;
        // The server that was killed is the one that takes over next.
        pair.mend();
    }
    crowd.go_home().await;
    crowd.hold_against(&fleet).await;
    fleet.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_comes_back_to_its_office_is_noticed_by_the_same_instances() {
    let mut pair = Pair::start(&[]);
    let fleet = Fleet::start(&pair.url(), 2);
    let crowd = Crowd::gather(&fleet).await;
    let first = pair.primary().address();
    crowd.come(EACH);
    for change in 1..=times("DRILL_CHANGES", 4) {
        crowd.get_answers(100).await;
        pair.switch_over();
        assert_eq!(pair.primary().address() == first, change % 2 == 0);
    }
    crowd.get_answers(100).await;
    crowd.go_home().await;
    crowd.hold_against(&fleet).await;
    fleet.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_that_comes_back_goes_on_where_it_was() {
    let mut pair = Pair::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let fleet = Fleet::start(&pair.url(), 2);
    let crowd = Crowd::gather(&fleet).await;
    crowd.come(EACH);
    for _ in 0..times("DRILL_RESTARTS", 2) {
        crowd.get_answers(100).await;
        pair.restart_primary();
    }
    crowd.get_answers(100).await;
    crowd.go_home().await;
    crowd.hold_against(&fleet).await;
    fleet.stop();
}
