//! The waiting page in a real browser, against a real server and a shop.
//!
//! Each test has a server, a shop and a browser of its own. Pictures of what was seen are left in
//! `target/tmp/pictures`, for eyes.

mod journey;
mod looks;
mod refusals;
mod scene;
mod shop;
mod stock;
mod trouble;

#[path = "../support/mod.rs"]
mod support;
