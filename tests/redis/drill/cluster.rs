//! A cluster at work: a master falls, and a slot moves.

use super::{crowd::Crowd, fleet::Fleet};
use crate::support::redis::cluster::Cluster;

const EACH: usize = 4;
/// What all keys of the room and the sale have in common.
const ROOM: &str = "{r:main}";
const SALE: &str = "{s:drop}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_master_is_replaced_and_nothing_is_lost() {
    let mut cluster = Cluster::start(&[]);
    let fleet = Fleet::start(&cluster.url(), 2);
    let crowd = Crowd::gather(&fleet).await;
    crowd.come(EACH);
    for key in [ROOM, SALE] {
        crowd.get_answers(100).await;
        cluster.kill_master_of(key);
        cluster.wait_for_new_master_of(key);
        crowd.get_answers(100).await;
        cluster.mend();
    }
    crowd.go_home().await;
    crowd.hold_against(&fleet).await;
    fleet.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_move_key_by_key_and_nothing_is_lost() {
    let cluster = Cluster::start(&[]);
    let fleet = Fleet::start(&cluster.url(), 2);
    let crowd = Crowd::gather(&fleet).await;
    crowd.come(EACH);
    for key in [ROOM, SALE] {
        crowd.get_answers(50).await;
        let from = cluster.master_of(key).address();
        let moving = cluster.begin_to_move_slot_of(key, cluster.another_master_than_of(key));
        while moving.move_keys(1) > 0 {}
        moving.finish();
        crowd.get_answers(50).await;
        assert_ne!(cluster.master_of(key).address(), from);
    }
    crowd.go_home().await;
    crowd.hold_against(&fleet).await;
    fleet.stop();
}
