use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::{
    keys::{self, PUBLISHED_BEFORE_MS, Policy, Slot},
    *,
};
use crate::{
    id::{RoomId, SaleId},
    room::SessionRef,
    sale::{ReservationId, Sku},
    time::UnixMs,
};

const NOW: UnixMs = UnixMs(1_800_000_000_000);
const ISSUER: &str = "https://wait.shop.example";
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

fn first_keys() -> Vec<SigningKey> {
    keys::plan(NOW, &[], Policy::default()).publish.into_iter().map(|slot| keys::generate(slot, NOW).unwrap()).collect()
}

fn ring() -> KeyRing {
    KeyRing::new(ISSUER, first_keys()).unwrap()
}

fn room(id: &str) -> RoomId {
    RoomId::parse(id).unwrap()
}

fn session() -> SessionRef {
    SessionRef { epoch: 2, position: 41, tag: Tag(0x1234) }
}

fn ticket() -> Ticket {
    Ticket { room: room("main"), kind: TicketKind::Position, number: 41, epoch: 2, issued: NOW }
}

fn pass() -> Pass {
    Pass { room: room("main"), session: session(), start: NOW, deadline: NOW.plus_ms(600_000) }
}

fn entry_pass() -> EntryPass {
    EntryPass {
        room: room("main"),
        session: session(),
        issued: UnixMs(NOW.0 + 7),
        session_deadline: NOW.plus_ms(600_000),
    }
}

fn session_cookie() -> SessionCookie {
    SessionCookie { room: room("main"), session: session(), exchanged: UnixMs(NOW.0 + 7) }
}

fn dashboard_cookie() -> DashboardCookie {
    DashboardCookie { key: "env-admin".to_owned(), expires: NOW.plus_ms(3_600_000) }
}

fn reservation() -> ReservationToken {
    ReservationToken {
        sale: SaleId::parse("drop").unwrap(),
        born: 7,
        id: ReservationId(0xf5f4_7872_8414_888a_a45a_74fa_c051_e2c9),
        lines: [(Sku::parse("shoe-42").unwrap(), 2)].into(),
        deadline: NOW.plus_ms(300_007),
        term: 0,
    }
}

/// One token of each kind, with its purpose.
fn all_kinds(ring: &KeyRing) -> [(Purpose, String); 6] {
    [
        (Purpose::Ticket, ring.sign_ticket(&ticket(), NOW)),
        (Purpose::Pass, ring.sign_pass(&pass(), NOW)),
        (Purpose::EntryPass, ring.sign_entry_pass(&entry_pass(), NOW)),
        (Purpose::SessionCookie, ring.sign_session_cookie(&session_cookie(), NOW)),
        (Purpose::Dashboard, ring.sign_dashboard_cookie(&dashboard_cookie(), NOW)),
        (Purpose::Reservation, ring.sign_reservation(&reservation(), NOW)),
    ]
}

fn verify_as(ring: &KeyRing, purpose: Purpose, room: &RoomId, token: &str) -> Result<(), TokenError> {
    match purpose {
        Purpose::Ticket => ring.verify_ticket(room, token).map(drop),
        Purpose::Pass => ring.verify_pass(room, token).map(drop),
        Purpose::EntryPass => ring.verify_entry_pass(room, token, NOW).map(drop),
        Purpose::SessionCookie => ring.verify_session_cookie(room, token).map(drop),
        Purpose::Dashboard => ring.verify_dashboard_cookie(token, NOW).map(drop),
        Purpose::Reservation => ring.verify_reservation((&reservation().sale, 7), reservation().id, token).map(drop),
    }
}

/// A part of a token, read without any check.
fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn encode_part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[test]
fn each_kind_reads_back() {
    let ring = ring();
    let main = room("main");
    let [(_, a), (_, b), (_, c), (_, d), (_, e), (_, f)] = all_kinds(&ring);
    assert_eq!(ring.verify_ticket(&main, &a), Ok(ticket()));
    assert_eq!(ring.verify_pass(&main, &b), Ok(pass()));
    assert_eq!(ring.verify_entry_pass(&main, &c, NOW), Ok(entry_pass()));
    assert_eq!(ring.verify_session_cookie(&main, &d), Ok(session_cookie()));
    assert_eq!(ring.verify_dashboard_cookie(&e, NOW), Ok(dashboard_cookie()));
    assert_eq!(ring.verify_reservation((&reservation().sale, 7), reservation().id, &f), Ok(reservation()));
    let draw = Ticket { kind: TicketKind::Draw, ..ticket() };
    assert_eq!(ring.verify_ticket(&main, &ring.sign_ticket(&draw, NOW)), Ok(draw));
}

fn assert_each_is_only_itself(ring: &KeyRing) {
    for (kind, token) in all_kinds(ring) {
        for asked in Purpose::ALL.into_iter().filter(|asked| *asked != kind) {
            assert_eq!(
                verify_as(ring, asked, &room("main"), &token),
                Err(TokenError::Invalid),
                "{kind:?} as {asked:?}"
            );
        }
    }
}

#[test]
fn no_kind_is_taken_for_another() {
    assert_each_is_only_itself(&ring());
}

#[test]
fn no_kind_is_taken_for_another_even_with_one_key_for_all() {
    let mut keys = first_keys();
    for pair in [[0, 3], [0, 4], [0, 5], [1, 2]] {
        (keys[pair[1]].kid, keys[pair[1]].secret) = (keys[pair[0]].kid.clone(), keys[pair[0]].secret.clone());
    }
    let ring = KeyRing::new(ISSUER, keys).unwrap();
    assert_each_is_only_itself(&ring);
}

#[test]
fn another_rooms_token_is_told_apart() {
    let ring = ring();
    let is_of_a_room = |kind: &Purpose| !matches!(kind, Purpose::Dashboard | Purpose::Reservation);
    for (kind, token) in all_kinds(&ring).into_iter().filter(|(kind, _)| is_of_a_room(kind)) {
        assert_eq!(verify_as(&ring, kind, &room("other"), &token), Err(TokenError::OtherRoom), "{kind:?}");
    }
}

#[test]
fn keys_of_another_installation_are_not_ours() {
    let (ours, theirs) = (ring(), ring());
    for (kind, token) in all_kinds(&theirs) {
        assert_eq!(verify_as(&ours, kind, &room("main"), &token), Err(TokenError::Invalid), "{kind:?}");
    }
}

#[test]
fn another_issuer_is_not_us() {
    let keys = first_keys();
    let (ours, theirs) =
        (KeyRing::new(ISSUER, keys.clone()).unwrap(), KeyRing::new("https://other.example", keys).unwrap());
    let pass = theirs.sign_pass(&pass(), NOW);
    assert_eq!(ours.verify_pass(&room("main"), &pass), Err(TokenError::Invalid));
    let entry = theirs.sign_entry_pass(&entry_pass(), NOW);
    assert_eq!(ours.verify_entry_pass(&room("main"), &entry, NOW), Err(TokenError::Invalid));
}

#[test]
fn a_token_cut_short_or_changed_anywhere_is_refused() {
    let ring = ring();
    for (kind, token) in all_kinds(&ring) {
        for length in 0..token.len() {
            assert_eq!(
                verify_as(&ring, kind, &room("main"), &token[..length]),
                Err(TokenError::Invalid),
                "{kind:?} {length}"
            );
        }
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(verify_as(&ring, kind, &room("main"), &changed), Err(TokenError::Invalid), "{kind:?} {at}");
        }
        for longer in
            [format!("{token}A"), format!("{token}."), format!(".{token}"), format!("{token} "), format!("{token}=")]
        {
            assert_eq!(verify_as(&ring, kind, &room("main"), &longer), Err(TokenError::Invalid), "{kind:?} {longer}");
        }
    }
}

#[test]
fn a_token_longer_than_any_of_ours_is_not_looked_at() {
    let ring = ring();
    let key = &first_keys()[0];
    let token = ring.sign_ticket(&ticket(), NOW);
    assert!(token.len() < 1_000, "{}", token.len());
    let padded =
        KeyRing::new(ISSUER, first_keys()).unwrap().sign(Purpose::Ticket, NOW, &json!({"x": "y".repeat(4_000)}));
    assert!(padded.len() > TOKEN_MAX_BYTES);
    assert_eq!(ring.verify::<Value>(Purpose::Ticket, &padded), Err(TokenError::Invalid));
    // With its own ring too: the length alone refuses it.
    let own = KeyRing::new(ISSUER, [vec![key.clone()], first_keys()].concat()).unwrap();
    let padded = own.sign(Purpose::Ticket, NOW, &json!({"x": "y".repeat(4_000)}));
    assert_eq!(own.verify::<Value>(Purpose::Ticket, &padded), Err(TokenError::Invalid));
}

#[test]
fn no_algorithm_but_the_keys_own_is_taken() {
    let keys = first_keys();
    let ring = KeyRing::new(ISSUER, keys.clone()).unwrap();
    let main = room("main");
    for (kind, token) in all_kinds(&ring) {
        let (header, claims) = (part(&token, 0), part(&token, 1));
        for alg in ["none", "None", "HS256", "HS384", "ES256", "ES384", "RS256", "PS256", "EdDSA"] {
            let mut forged = header.clone();
            forged["alg"] = json!(alg);
            let signature = token.rsplit('.').next().unwrap();
            for signature in ["", signature] {
                let forged = format!("{}.{}.{signature}", encode_part(&forged), encode_part(&claims));
                if forged != token {
                    assert_eq!(verify_as(&ring, kind, &main, &forged), Err(TokenError::Invalid), "{kind:?} {alg}");
                }
            }
        }
    }
}

#[test]
fn a_public_key_is_no_secret_to_sign_with() {
    let keys = first_keys();
    let ring = KeyRing::new(ISSUER, keys.clone()).unwrap();
    let jwks = serde_json::to_value(ring.jwks()).unwrap();
    let claims = part(&ring.sign_pass(&pass(), NOW), 1);
    let public = &jwks["keys"].as_array().unwrap()[0];
    let point: Vec<u8> = [vec![4], field(public, "x"), field(public, "y")].concat();
    for secret in [point, public.to_string().into_bytes(), Vec::new()] {
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some(Purpose::Pass.typ().to_owned());
        header.kid = Some(keys[1].kid.clone());
        let forged = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(&secret)).unwrap();
        assert_eq!(ring.verify_pass(&room("main"), &forged), Err(TokenError::Invalid));
    }
}

fn field(jwk: &Value, name: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap()
}

#[test]
fn a_header_that_says_more_than_ours_is_refused() {
    let keys = first_keys();
    let ring = KeyRing::new(ISSUER, keys.clone()).unwrap();
    let claims = part(&ring.sign_ticket(&ticket(), NOW), 1);
    let secret = EncodingKey::from_secret(&STANDARD.decode(&keys[0].secret).unwrap());
    let ours = || {
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some("dropgate-ticket+jwt".to_owned());
        header.kid = Some(keys[0].kid.clone());
        header
    };
    let verify =
        |header: &Header| ring.verify_ticket(&room("main"), &jsonwebtoken::encode(header, &claims, &secret).unwrap());
    assert_eq!(verify(&ours()), Ok(ticket()));
    let changes: [fn(&mut Header); 6] = [
        |header| header.typ = None,
        |header| header.typ = Some("JWT".to_owned()),
        |header| header.kid = None,
        |header| header.kid = Some("../../etc/passwd".to_owned()),
        |header| header.crit = Some(vec!["exp".to_owned()]),
        |header| header.jku = Some("https://evil.example/jwks".to_owned()),
    ];
    for change in changes {
        let mut header = ours();
        change(&mut header);
        assert_eq!(verify(&header), Err(TokenError::Invalid), "{header:?}");
    }
}

#[test]
fn a_pass_claims_what_the_contract_says_and_the_same_each_time() {
    let ring = ring();
    let token = ring.sign_pass(&pass(), NOW);
    let seconds = NOW.unix_seconds();
    let claims = part(&token, 1);
    assert_eq!(
        claims,
        json!({
            "iss": ISSUER, "aud": "main", "sub": "2-41-0000000000001234", "jti": claims["jti"],
            "iat": seconds - 60, "nbf": seconds - 60, "exp": seconds + 600,
        })
    );
    assert_eq!(part(&token, 0)["typ"], "dropgate+jwt");
    assert_eq!(part(&token, 0)["alg"], "ES256");
    assert_eq!(part(&ring.sign_pass(&pass(), NOW.plus_ms(5_000)), 1), claims);
    let other = Pass { session: SessionRef { tag: Tag(0x1235), ..session() }, ..pass() };
    assert_ne!(part(&ring.sign_pass(&other, NOW), 1)["jti"], claims["jti"]);
}

#[test]
fn a_reservations_token_is_the_same_while_the_reservation_is() {
    let ring = ring();
    let (sale, id) = (reservation().sale, reservation().id);
    let token = ring.sign_reservation(&reservation(), NOW);
    assert_eq!(ring.sign_reservation(&reservation(), NOW.plus_ms(9_999)), token);
    let extended = ReservationToken { deadline: reservation().deadline.plus_ms(1), ..reservation() };
    assert_ne!(ring.sign_reservation(&extended, NOW), token);
    let (other_sale, other_id) = (SaleId::parse("other").unwrap(), ReservationId(id.0 + 1));
    assert_eq!(ring.verify_reservation((&other_sale, 7), id, &token), Err(TokenError::Invalid));
    assert_eq!(ring.verify_reservation((&sale, 7), other_id, &token), Err(TokenError::Invalid));
    assert_eq!(ring.verify_reservation((&sale, 8), id, &token), Err(TokenError::Invalid), "of a sale that is gone");
}

#[test]
fn the_largest_reservation_still_has_a_token_that_is_read() {
    // Twenty of the longest SKUs, each letter of which JSON escapes.
    let sku = |n: usize| Sku::parse(&format!("{}{}", "\\".repeat(126), n + 10)).unwrap();
    let lines = (0..20).map(|n| (sku(n), 1_000_000_000)).collect();
    let sale = SaleId::parse(&"s".repeat(63)).unwrap();
    let largest =
        ReservationToken { sale, lines, deadline: UnixMs(1 << 53), term: 1 << 53, born: 1 << 53, ..reservation() };
    let ring = ring();
    let token = ring.sign_reservation(&largest, NOW);
    assert!((7_000..RESERVATION_TOKEN_MAX_BYTES).contains(&token.len()), "{}", token.len());
    assert_eq!(ring.verify_reservation((&largest.sale, 1 << 53), largest.id, &token), Ok(largest));
}

#[test]
fn an_entry_pass_is_new_each_time_and_good_for_two_minutes() {
    let ring = ring();
    let main = room("main");
    let token = ring.sign_entry_pass(&entry_pass(), NOW);
    let claims = part(&token, 1);
    let seconds = NOW.unix_seconds();
    assert_eq!((&claims["exp"], &claims["nbf"]), (&json!(seconds + 120), &json!(seconds - 60)));
    assert_eq!(claims["session_exp"], json!(seconds + 600));
    assert_ne!(part(&ring.sign_entry_pass(&entry_pass(), NOW), 1)["jti"], claims["jti"]);
    let last = NOW.plus_ms(180_000 - 1);
    assert!(ring.verify_entry_pass(&main, &token, last).is_ok());
    assert_eq!(ring.verify_entry_pass(&main, &token, last.plus_ms(1)), Err(TokenError::Expired));
    assert_eq!(ring.verify_entry_pass(&main, &token, UnixMs(NOW.0 - 121_000)), Err(TokenError::Invalid));
}

#[test]
fn a_sign_in_ends() {
    let ring = ring();
    let token = ring.sign_dashboard_cookie(&dashboard_cookie(), NOW);
    assert_eq!(ring.verify_dashboard_cookie(&token, NOW.plus_ms(3_600_000)), Err(TokenError::Expired));
}

#[test]
fn the_jwks_shows_public_keys_only() {
    let keys = first_keys();
    let ring = KeyRing::new(ISSUER, keys.clone()).unwrap();
    let jwks = serde_json::to_value(ring.jwks()).unwrap();
    let shown = jwks["keys"].as_array().unwrap();
    assert_eq!(shown.len(), 2);
    for (jwk, key) in shown.iter().zip(&keys[1..=2]) {
        let expected = json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": key.kid, "x": jwk["x"], "y": jwk["y"],
        });
        assert_eq!(jwk, &expected);
    }
}

#[test]
fn a_secret_is_never_printed() {
    for key in first_keys() {
        assert!(!format!("{key:?}").contains(&key.secret));
    }
}

#[test]
fn a_key_that_cannot_be_used_is_named() {
    for (at, secret, why) in [
        (0, "?", "the secret is not base64"),
        (0, "c2hvcnQ=", "the secret is too short"),
        (1, "c2hvcnQ=", "the secret is not a P-256 key in PKCS#8"),
    ] {
        let mut keys = first_keys();
        keys[at].secret = secret.to_owned();
        let error = KeyRing::new(ISSUER, keys.clone()).err().unwrap();
        assert_eq!(error.to_string(), format!("signing key {}: {why}", keys[at].kid));
    }
    let mut keys = first_keys();
    keys.remove(4);
    assert_eq!(KeyRing::new(ISSUER, keys).err(), Some(ring::KeyError::Missing(Purpose::Dashboard)));
}

#[test]
fn the_first_keys_sign_at_once_and_then_nothing_is_to_be_done() {
    let keys = first_keys();
    assert_eq!(keys.len(), Purpose::ALL.len());
    assert!(keys.iter().all(|key| key.signs_from == NOW && key.generation == 1));
    let policy = Policy::default();
    assert_eq!(keys::plan(NOW, &keys, policy), keys::Plan::default());
    let last = NOW.plus_ms(policy.rotate_every_ms - 1);
    assert_eq!(keys::plan(last, &keys, policy), keys::Plan::default());
    assert_eq!(keys::plan(last.plus_ms(1), &keys, policy).publish.len(), Purpose::ALL.len());
}

#[test]
fn two_instances_that_rotate_at_once_want_the_same_document() {
    let slot = Slot { purpose: Purpose::EntryPass, generation: 2 };
    let (a, b) = (keys::generate(slot, NOW).unwrap(), keys::generate(slot, NOW).unwrap());
    assert_ne!(a.kid, b.kid);
    assert_eq!((a.document_id().as_str(), b.document_id().as_str()), ("entry-pass-2", "entry-pass-2"));
}

/// Three years of rotation, an hour at a time: what was signed verifies for as long as it is good for, whoever
/// signs has been public for ten minutes, and the keys do not pile up.
#[test]
fn rotation_never_breaks_a_living_token() {
    let policy = Policy { rotate_every_ms: 30 * DAY_MS };
    let mut keys = first_keys();
    let mut living: Vec<(UnixMs, String)> = Vec::new();
    for hour in 0..3 * 365 * 24 {
        let now = NOW.plus_ms(hour * 3_600_000);
        let plan = keys::plan(now, &keys, policy);
        keys.retain(|key| !plan.retire.contains(&key.kid));
        let started = plan.publish.iter().map(|slot| keys::generate(*slot, now).unwrap());
        keys.extend(started.collect::<Vec<_>>());
        if !plan.publish.is_empty() || !plan.retire.is_empty() || hour % 240 == 0 {
            let ring = KeyRing::new(ISSUER, keys.clone()).unwrap();
            living.retain(|(until, _)| *until > now);
            for (_, token) in &living {
                assert!(ring.verify_ticket(&room("main"), token).is_ok(), "hour {hour}");
            }
            let token = ring.sign_ticket(&ticket(), now);
            let signer = keys.iter().find(|key| key.kid == part(&token, 0)["kid"]).unwrap();
            assert!(signer.generation == 1 || now.since(signer.published) >= PUBLISHED_BEFORE_MS);
            living.push((now.plus_ms(Purpose::Ticket.longest_life_ms()), token));
            assert!(now.since(signer.signs_from) < policy.rotate_every_ms + 2 * PUBLISHED_BEFORE_MS + 3_600_000);
        }
        assert!(keys.len() <= 20, "{}", keys.len());
    }
}

#[test]
fn a_key_announced_is_public_and_does_not_sign_yet() {
    let mut keys = first_keys();
    let next = keys::generate(Slot { purpose: Purpose::Pass, generation: 2 }, NOW).unwrap();
    keys.push(next.clone());
    let ring = KeyRing::new(ISSUER, keys.clone()).unwrap();
    assert_eq!(serde_json::to_value(ring.jwks()).unwrap()["keys"].as_array().unwrap().len(), 3);
    assert_eq!(part(&ring.sign_pass(&pass(), NOW), 0)["kid"], keys[1].kid.as_str());
    let later = next.signs_from;
    assert_eq!(later, NOW.plus_ms(PUBLISHED_BEFORE_MS));
    assert_eq!(part(&ring.sign_pass(&pass(), later), 0)["kid"], next.kid.as_str());
    // An instance whose clock is behind the one that made the first keys signs all the same.
    assert_eq!(part(&ring.sign_pass(&pass(), UnixMs(0)), 0)["kid"], keys[1].kid.as_str());
}
