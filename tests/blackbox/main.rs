//! The server from outside: a spawned process, real HTTP.

#[path = "../support/mod.rs"]
mod support;

mod cli;
mod crash;
mod demo;
mod journey;
mod machine;
mod operators;
mod sales;
mod stock;
mod wire;

#[test]
fn the_program_names_itself() {
    let output = support::server::dropgate().arg("--version").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
}
