//! The sentinels change the primary, because it died or because they were told to.

use super::{crowd::Crowd, fleet::Fleet};
use crate::support::redis::sentinels::Sentinels;

const EACH: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_primary_and_a_demoted_one_are_left_and_nothing_is_lost() {
    let mut group = Sentinels::start(&[]);
    let fleet = Fleet::start(&group.url(), 2);
    let crowd = Crowd::gather(&fleet).await;
    crowd.come(EACH);
    crowd.get_answers(100).await;
    group.kill_primary();
    group.wait_for_new_primary();
    crowd.get_answers(100).await;
    group.mend();
    // This time the old one lives on, and would answer whoever still asked it.
    let before = group.primary().address();
    let after = group.fail_over().address();
    assert_ne!(after, before);
    crowd.get_answers(100).await;
    crowd.go_home().await;
    crowd.hold_against(&fleet).await;
    fleet.stop();
}
