//! What the black-box suites share: a spawned server, clients, a browser.
//!
//! Include it as `#[path = "../support/mod.rs"] mod support;`. Nothing here retries a failed check: what has to be
//! waited for is waited for once, with a deadline, and what was last seen is told when it passes.

// Every suite is a binary of its own and uses its part of this.
#![allow(dead_code)]

pub mod browser;
pub mod client;
pub mod port;
pub mod process;
pub mod redis;
pub mod server;
pub mod shop;
pub mod stock;
pub mod visits;

use std::{
    fmt::Debug,
    future::Future,
    time::{Duration, Instant},
};

/// How long anything that should happen at once may take on a busy machine.
pub const SOON: Duration = Duration::from_secs(20);

/// Looks again and again, at most for `patience`, until `look` sees what was hoped for; returns it.
///
/// # Panics
/// `patience` passed: says what was hoped for and what was seen last.
pub async fn eventually<T, E: Debug, F>(hoped: &str, patience: Duration, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, E>>,
{
    let deadline = Instant::now() + patience;
    loop {
        match look().await {
            Ok(seen) => return seen,
            Err(last) if Instant::now() > deadline => panic!("not within {patience:?}: {hoped}; last seen: {last:?}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
