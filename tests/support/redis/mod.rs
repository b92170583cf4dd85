//! Real Redis servers for tests: one alone, a pair, a group watched by Sentinel, a cluster, and a proxy to trouble the
//! way to them. Each in a folder and on ports of its own, on this machine only, and gone when dropped.
//!
//! All of it blocks, because tests begin and end it; load runs in tasks of its own.

pub mod cluster;
pub mod pair;
pub mod proxy;
pub mod sentinels;
pub mod server;

use std::{
    fmt::Debug,
    thread,
    time::{Duration, Instant},
};

/// How long anything that should happen soon may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How long between two looks: short beside what is waited for, long beside what a look costs.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Looks again and again, at most for [`PATIENCE`], until `look` sees what was hoped for; returns it.
///
/// # Panics
/// The patience passed: says what was hoped for and what was seen last.
pub fn poll<T, E: Debug>(hoped: &str, mut look: impl FnMut() -> Result<T, E>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look() {
            Ok(seen) => return seen,
            Err(last) if Instant::now() > deadline => panic!("not within {PATIENCE:?}: {hoped}; last seen: {last:?}"),
            Err(_) => thread::sleep(LOOK_AGAIN),
        }
    }
}

/// [`poll`] for what is either so or not yet.
pub fn poll_until<S: Debug>(hoped: &str, mut look: impl FnMut() -> S, is_so: impl Fn(&S) -> bool) {
    poll(hoped, || {
        let seen = look();
        if is_so(&seen) { Ok(()) } else { Err(seen) }
    });
}
