//! The demo as a whole: a small crowd, a few seconds, every promise checked by the demo itself.

use crate::support::server::dropgate;

#[test]
fn a_small_crowd_is_let_in_at_the_rate_and_the_demo_judges_itself() {
    let output = dropgate()
        .args(["demo", "--listen", "127.0.0.1:0", "--crowd", "400", "--rate", "600", "--stock", "20", "--for", "24s"])
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{stdout}{stderr}");
    for said in [
        "join the line   http://127.0.0.1:",
        "its key         dropgate_",
        "20 of 20 sold, 0 oversold",
        "the rate is 600",
    ] {
        assert!(stdout.contains(said), "{said}: {stdout}");
    }
    assert!(stderr.contains("waiting ") && stderr.contains("entered "), "no terminal, so plain lines: {stderr}");
    assert!(!stdout.contains("BROKEN") && !stdout.contains("unknown"), "every promise was measured: {stdout}");
}
