//! What happens when Redis does not do what it should. First that what the tests do to it is what they mean to do.

#[path = "../support/mod.rs"]
mod support;

mod cluster;
mod pair;
mod proxy;
mod sentinels;
mod server;
