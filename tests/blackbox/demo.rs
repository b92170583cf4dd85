//! The demo as a whole: a small crowd, half a minute, every promise checked by the demo itself.

use crate::support::server::dropgate;

/// Runs a demo to its end: what it said on both outputs, and its exit code.
fn demo(arguments: &[&str]) -> (String, String, Option<i32>) {
    let output = dropgate().args(["demo", "--listen", "127.0.0.1:0"]).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

/// The number that stands before these words in the summary.
fn number_before(words: &str, summary: &str) -> u64 {
    let (before, _) = summary.split_once(words).unwrap_or_else(|| panic!("{words:?} is not in {summary}"));
    let number = before.rsplit([' ', '\n']).next().unwrap_or_default();
    number.parse().unwrap_or_else(|_| panic!("{number:?} before {words:?} in {summary}"))
}

#[test]
fn a_small_crowd_is_let_in_at_the_rate_and_buys_and_the_demo_judges_itself() {
    let (stdout, stderr, code) = demo(&["--crowd", "400", "--rate", "600", "--stock", "500", "--for", "28s"]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    for said in [
        "join the line   http://127.0.0.1:",
        "its key         dropgate_",
        "of 500 sold, 0 oversold",
        "events, folded, are the stock as it stands",
        "nobody paid without an answer",
        "the rate is 600",
    ] {
        assert!(stdout.contains(said), "{said}: {stdout}");
    }
    for happened in [" bought,", " expired", " above the limit", " came again"] {
        assert!(number_before(happened, &stdout) > 0, "none{happened}: {stdout}");
    }
    assert!(stderr.contains("waiting ") && stderr.contains("left "), "no terminal, so plain lines: {stderr}");
    assert!(!stdout.contains("BROKEN") && !stdout.contains("unknown"), "every promise was measured: {stdout}");
}

#[test]
fn a_crowd_before_a_handful_of_kites_is_called_no_further_than_they_go() {
    let (stdout, stderr, code) = demo(&["--crowd", "300", "--rate", "6000", "--stock", "12", "--for", "20s"]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert!(!stdout.contains("BROKEN"), "{stdout}");
    let (sold, entered) = (number_before(" of 12 sold, 0 oversold", &stdout), number_before(" entered\n", &stdout));
    assert!((1..=12).contains(&sold), "{stdout}");
    // Whoever gives units back makes room for others: but nobody is led in for units that are gone.
    let back = number_before(" units sold on to others", &stdout);
    assert!(entered <= 12 + back, "{entered} entered for 12 units and {back} that came back: {stdout}");
}
