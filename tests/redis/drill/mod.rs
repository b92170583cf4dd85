//! Drills: instances at work, and a store that is killed, emptied, moved or taken away under them.
//!
//! What was acknowledged is written down as it comes, and asked for at the end. Each drill is short; an environment
//! variable named in it makes it as long as one likes.

mod away;
mod calls;
mod cluster;
mod crowd;
mod cut;
mod failover;
mod fleet;
mod flush;
mod instances;
mod sentinels;
mod topology;

/// How often something is done: what the environment says, or a number that suits a test run.
fn times(variable: &str, usual: usize) -> usize {
    std::env::var(variable).map_or(usual, |said| said.parse().expect(variable))
}
