//! The stress scripts, each run for a few seconds by the real k6 against a spawned server: they have to work on the
//! day they are needed, and what they find wrong is wrong.

#[path = "../support/mod.rs"]
mod support;

use std::process::Command;

use serde_json::Value;

use self::support::server::{ADMIN_KEY, Home};

/// The test server is not optimised and shares its cores with other tests: what counts here is that every answer and
/// every book is right, not how fast.
const PATIENCE: &str = "100";

/// Runs a script in small; its figures. It has to end well: every threshold held.
fn run(script: &str, environment: &[(&str, &str)]) -> Value {
    let home = Home::in_memory();
    let server = home.start();
    let results = tempfile::tempdir().unwrap();
    let output = Command::new("scripts/k6/run")
        .arg(script)
        .env("TARGET", server.url(""))
        .env("ADMIN_KEY", ADMIN_KEY)
        .env("PATIENCE", PATIENCE)
        .env("RESULTS", results.path())
        .envs(environment.iter().copied())
        .output()
        .expect("scripts/k6/run can't be started");
    let said = format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}: {}\n{said}", output.status);
    let figures = std::fs::read_to_string(results.path().join(format!("{script}.json"))).expect(&said);
    let figures: Value = serde_json::from_str(&figures).unwrap();
    assert_eq!(figures["failed"], serde_json::json!([]), "{said}");
    figures
}

/// What no small run shows: a ramp past the limit, a server that miscounts.
#[test]
fn judgement() {
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("k6")
        .args(["inspect", "tests/k6/judgement.js"])
        // Where scripts/test puts it.
        .env("PATH", format!("{path}:target/tools/k6/bin"))
        .output()
        .expect("k6 can't be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn count(figures: &Value, name: &str) -> u64 {
    figures["counts"][name].as_u64().unwrap_or(0)
}

#[test]
fn smoke() {
    let figures = run("smoke", &[]);
    assert_eq!((count(&figures, "joined"), count(&figures, "confirmed")), (1, 1), "{figures}");
}

#[test]
fn journey() {
    let small =
        [("VISITORS", "60"), ("RAMP", "4s"), ("DURATION", "12s"), ("RATE", "1200"), ("STOCK", "10"), ("PACE", "20")];
    let figures = run("journey", &small);
    assert!(count(&figures, "joined") >= 40, "{figures}");
    assert!(count(&figures, "server_sold") <= 10, "{figures}");
}

#[test]
fn join_spike() {
    let figures = run("join-spike", &[("VISITORS", "300"), ("SPIKE", "3s")]);
    assert!(count(&figures, "joined") >= 300, "{figures}");
}

#[test]
fn poll_soak() {
    let figures = run("poll-soak", &[("VISITORS", "10"), ("DURATION", "4s"), ("PACE", "10")]);
    assert_eq!(count(&figures, "joined"), 10, "{figures}");
}

#[test]
fn reserve_storm() {
    let figures = run("reserve-storm", &[("ARRIVALS", "60"), ("DURATION", "6s"), ("STOCK", "50")]);
    assert_eq!(count(&figures, "server_sold"), count(&figures, "confirmed"), "{figures}");
    assert!(count(&figures, "sold_out") > 0, "nobody lost: {figures}");
}

#[test]
fn break_at_last() {
    for work in ["join", "reserve"] {
        let small = [("WORK", work), ("FROM", "20"), ("STEPS", "2"), ("STEP", "2s")];
        let figures = run("break", &small);
        assert!(count(&figures, "served") >= 80, "{figures}");
    }
}
