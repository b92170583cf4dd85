//! `scripts/topology`: two instances behind a balancer, of which one dies.

use std::{path::Path, process::Command, time::Duration};

use crate::support::process::Process;

/// Joins at both through the balancer and at each by itself, kills one, and goes on at the other.
const DRILL: &str = r#"
set -euo pipefail
room=/v1/rooms/main
join() { curl -fsS -X POST -H 'content-type: application/json' -d '{}' "$1$room/tickets"; }
field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
tickets=() numbers=()
for at in "$INSTANCE_1" "$INSTANCE_2" "$LINE" "$LINE" "$LINE" "$LINE"; do
  joined=$(join "$at")
  tickets+=("$(field ticket <<<"$joined")") numbers+=("$(field number <<<"$joined")")
done
[ "$(printf '%s\n' "${numbers[@]}" | sort -u | wc -l)" = 6 ]
kill -9 "$PID_1"
for i in "${!tickets[@]}"; do
  place=$(curl -fsS -H "x-dropgate-ticket: ${tickets[i]}" "$LINE$room/place")
  [ "$(field position <<<"$place")" = "${numbers[i]}" ]
done
echo "positions ${numbers[*]}"
join "$LINE" >/dev/null
echo "the line goes on"
"#;

#[test]
fn visitors_of_a_dead_instance_go_on_at_the_other_through_the_balancer() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/topology");
    let mut command = Command::new(script);
    command.args(["bash", "-c", DRILL]).env("DROPGATE", env!("CARGO_BIN_EXE_dropgate"));
    let mut topology = Process::start("scripts/topology", &mut command);
    let status = topology.wait(Duration::from_secs(60));
    assert!(status.success() && topology.output().contains("the line goes on"), "{status}: {}", topology.output());
}
