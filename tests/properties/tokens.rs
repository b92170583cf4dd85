//! A million random texts, many of them damaged originals, into everything that reads what a visitor brings: none
//! panics, none is taken for a token of ours, and no address is let through that leads elsewhere.

use dropgate::{
    id::RoomId,
    room::{Document, SessionRef, Tag},
    time::UnixMs,
    token::{
        DashboardCookie, EntryPass, KeyRing, Pass, ReturnPolicy, SessionCookie, Ticket, TicketKind, keys, return_url,
    },
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};

const NOW: UnixMs = UnixMs(1_800_000_000_000);

/// Pieces that mean something to one parser or another.
const PIECES: &[&str] = &[
    "https://",
    "http://",
    "HTTPS://",
    "//",
    "/\\",
    "\\",
    "@",
    ":",
    ":443",
    ":80",
    "?",
    "#",
    "&",
    "=",
    "%",
    "%00",
    "%0a",
    "%2f",
    "%64",
    "dropgate",
    "dropgate=",
    "check",
    "shop.example",
    ".cdn.example",
    "evil.example",
    "localhost",
    "[::1]",
    "[",
    "]",
    "xn--",
    ".",
    "..",
    "-",
    "_",
    "/",
    "\t",
    "\n",
    "\r",
    " ",
    "\0",
    "ü",
    "。",
    "\u{202e}",
    "eyJ",
    "{}",
    "{\"alg\":\"none\"}",
    "null",
    "e30",
    "1-1-0000000000000001",
    "0",
    "9",
    "99999999999999999999",
];

fn ring() -> (KeyRing, RoomId) {
    let publish = keys::plan(NOW, &[], keys::Policy::default()).publish;
    let keys = publish.into_iter().map(|slot| keys::generate(slot, NOW).unwrap()).collect();
    (KeyRing::new("https://wait.shop.example", keys).unwrap(), RoomId::parse("main").unwrap())
}

fn policy() -> ReturnPolicy {
    let document: Document = serde_json::from_value(serde_json::json!({
        "id": "main", "name": "Main", "shop_url": "https://shop.example/", "allowed_hosts": [".cdn.example", "localhost"],
    }))
    .unwrap();
    ReturnPolicy::new(&document, "https://wait.shop.example")
}

/// Originals to damage: those signed with a secret, and those with a key pair, which take longer to refuse.
fn originals(ring: &KeyRing, room: &RoomId) -> ([String; 3], [String; 2]) {
    let session = SessionRef { epoch: 1, position: 7, tag: Tag(9) };
    let room = || room.clone();
    let ticket = Ticket { room: room(), kind: TicketKind::Position, number: 7, epoch: 1, issued: NOW };
    let cookie = SessionCookie { room: room(), session, exchanged: NOW };
    let dashboard = DashboardCookie { key: "a".to_owned(), expires: NOW.plus_ms(60_000) };
    let pass = Pass { room: room(), session, start: NOW, deadline: NOW.plus_ms(60_000) };
    let entry = EntryPass { room: room(), session, issued: NOW, session_deadline: NOW.plus_ms(60_000) };
    let secret = [
        ring.sign_ticket(&ticket, NOW),
        ring.sign_session_cookie(&cookie, NOW),
        ring.sign_dashboard_cookie(&dashboard, NOW),
    ];
    (secret, [ring.sign_pass(&pass, NOW), ring.sign_entry_pass(&entry, NOW)])
}

fn noise(rng: &mut StdRng) -> String {
    let mut bytes = vec![0; rng.random_range(0..80)];
    rng.fill(bytes.as_mut_slice());
    String::from_utf8_lossy(&bytes).into_owned()
}

fn pieces(rng: &mut StdRng) -> String {
    (0..rng.random_range(0..12)).map(|_| *PIECES.choose(rng).unwrap()).collect()
}

/// One of the originals with one to three bytes changed, dropped or put in.
fn damaged(rng: &mut StdRng, originals: &[String]) -> String {
    let mut bytes = originals.choose(rng).map(|original| original.as_bytes().to_vec()).unwrap();
    for _ in 0..rng.random_range(1..4) {
        let at = rng.random_range(0..bytes.len());
        match rng.random_range(0..4) {
            0 => bytes[at] = rng.random(),
            1 => bytes[at] = rng.random_range(0x20..0x7f),
            2 => drop(bytes.remove(at)),
            _ => bytes.insert(at, rng.random()),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn no_token(ring: &KeyRing, room: &RoomId, text: &str) {
    let _ = (text.parse::<SessionRef>(), RoomId::parse(text));
    assert!(ring.verify_ticket(room, text).is_err(), "{text:?}");
    assert!(ring.verify_pass(room, text).is_err(), "{text:?}");
    assert!(ring.verify_entry_pass(room, text, NOW).is_err(), "{text:?}");
    assert!(ring.verify_session_cookie(room, text).is_err(), "{text:?}");
    assert!(ring.verify_dashboard_cookie(text, NOW).is_err(), "{text:?}");
}

/// True if it was let through, so that the test can tell that it tested something.
fn leads_nowhere_else(policy: &ReturnPolicy, text: &str) -> bool {
    let _ = policy.admits_origin(text);
    let clean = return_url::cut_parameter(text);
    assert_eq!(return_url::cut_parameter(&clean), clean, "{text:?}");
    assert_eq!(return_url::parameter(&clean), None, "{text:?}");
    let with = return_url::with_parameter(text, "T");
    assert_eq!(return_url::parameter(&with), Some("T"), "{text:?}");
    assert_eq!(return_url::cut_parameter(&with), clean, "{text:?}");
    let Some(taken) = policy.check(text) else { return false };
    let read = url::Url::parse(&taken.with_entry_pass("T")).unwrap();
    let host = read.host_str().unwrap();
    assert!(
        host == "shop.example" || host == "localhost" || host.ends_with(".cdn.example"),
        "{text:?} leads to {read}"
    );
    assert!(read.scheme() == "https" || host == "localhost", "{text:?} leads to {read}");
    assert!(read.username().is_empty() && read.password().is_none(), "{text:?}");
    let ours: Vec<_> = read.query_pairs().filter(|(name, _)| name == "dropgate").collect();
    assert_eq!(ours, [("dropgate".into(), "T".into())], "{text:?}");
    true
}

#[test]
fn a_million_random_texts_are_no_tokens_and_cause_no_panic() {
    let (ring, room) = ring();
    let (secret, public) = originals(&ring, &room);
    let mut rng = StdRng::seed_from_u64(20_261_121);
    for round in 0..1_000_000 {
        let text = match round % 100 {
            0..40 => noise(&mut rng),
            40..50 => pieces(&mut rng),
            50..99 => damaged(&mut rng, &secret),
            _ => damaged(&mut rng, &public),
        };
        // Damage may cancel itself out.
        if !secret.contains(&text) && !public.contains(&text) {
            no_token(&ring, &room, &text);
        }
    }
}

#[test]
fn a_million_random_texts_lead_nowhere_else_and_cause_no_panic() {
    let policy = policy();
    let addresses = [
        "https://shop.example/a/b?x=1&dropgate=2&y=%20#frag".to_owned(),
        "https://a.cdn.example:443/?dropgate=check".to_owned(),
        "http://localhost:3000".to_owned(),
    ];
    let mut rng = StdRng::seed_from_u64(20_261_122);
    let mut let_through = 0;
    for round in 0..1_000_000 {
        let text = match round % 4 {
            0 => noise(&mut rng),
            1 => pieces(&mut rng),
            _ => damaged(&mut rng, &addresses),
        };
        let_through += usize::from(leads_nowhere_else(&policy, &text));
    }
    assert!(let_through > 1_000, "the damaged addresses are too damaged to test anything: {let_through}");
}
