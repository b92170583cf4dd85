//! A cluster: its masters fall and its slots move.

use crate::support::redis::cluster::Cluster;

#[test]
fn a_killed_master_is_replaced_and_follows_when_it_comes_back() {
    let mut cluster = Cluster::start(&[]);
    let master = cluster.master_of("{a}1");
    let old = master.address();
    master.cli(&["SET", "{a}1", "1"]);
    cluster.wait_until_in_sync();
    cluster.kill_master_of("{a}1");
    let new = cluster.wait_for_new_master_of("{a}1");
    assert_ne!(new.address(), old);
    assert_eq!(new.cli(&["GET", "{a}1"]), "1");
    cluster.mend();
    assert_ne!(cluster.master_of("{a}1").address(), old);
    assert_eq!(cluster.url().matches("127.0.0.1").count(), 3);
}

#[test]
fn a_slot_moves_key_by_key() {
    let cluster = Cluster::start(&[]);
    let (from, to) = (cluster.master_of("{a}"), cluster.another_master_than_of("{a}"));
    from.cli(&["MSET", "{a}1", "1", "{a}2", "2", "{a}3", "3"]);
    let elsewhere = to.try_cli(&["GET", "{a}1"]).unwrap_err().to_lowercase();
    assert!(elsewhere.contains("moved"), "{elsewhere}");
    let resharding = cluster.begin_to_move_slot_of("{a}", to);
    assert_eq!(from.cli(&["MGET", "{a}1", "{a}2", "{a}3"]), "1\n2\n3");
    assert_eq!(resharding.move_keys(1), 1);
    let torn = from.try_cli(&["MGET", "{a}1", "{a}2", "{a}3"]).unwrap_err().to_lowercase();
    assert!(torn.contains("tryagain") || torn.contains("multiple keys"), "{torn}");
    assert_eq!((resharding.move_keys(10), resharding.move_keys(10)), (2, 0));
    let gone = from.try_cli(&["GET", "{a}1"]).unwrap_err().to_lowercase();
    assert!(gone.contains("ask"), "{gone}");
    resharding.finish();
    assert_eq!(cluster.master_of("{a}").address(), to.address());
    assert_eq!(to.cli(&["MGET", "{a}1", "{a}2", "{a}3"]), "1\n2\n3");
    cluster.migrate_slot_of("{a}", from);
    assert_eq!(cluster.master_of("{a}").cli(&["GET", "{a}3"]), "3");
    assert_eq!(cluster.master_of("{a}").address(), from.address());
    assert_eq!(cluster.nodes().len(), 6);
}
