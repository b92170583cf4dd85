//! The session that a visitor's cookie names, and whether it lives.

use std::time::Duration;

use actix_web::cookie::Cookie;
use moka::sync::Cache;

use super::asked::Asked;
use crate::{
    http::{
        Context,
        cookies::{self, COOKIE_LIFE, Purpose, Transport},
    },
    id::RoomId,
    instance::LiveRoom,
    room::{Command, Epoch, Holder, Outcome, Position, Rules, Session, SessionRef},
    store::StoreError,
    time::UnixMs,
    token::{SessionCookie, return_url::Scheme},
};

/// How long a verdict is good for: a page with all its pictures, and hardly longer than a browser that has lost
/// its session to another may go on.
const VERDICT_MS: u64 = 5_000;
/// Verdicts kept at once, over all rooms: some 20 MB.
const VERDICTS_MAX: u64 = 100_000;
/// A live session is renewed no more often than this, in ms.
const RENEW_EVERY_MS: u64 = 60_000;
/// Cookies of one name that are looked at: hosts of one domain may each have set one.
const COOKIES_MAX: usize = 4;

/// Which sessions were found alive or not of late, by what their cookies say.
pub(crate) struct Verdicts(Cache<(RoomId, Epoch, Position, u64, UnixMs), Verdict>);

#[derive(Clone, Copy)]
struct Verdict {
    given: UnixMs,
    lives: bool,
}

/// What a visitor's cookies came to.
pub(super) enum Found {
    Live(SessionRef),
    /// There is one, and its session is over or no longer this browser's.
    Over,
    /// None of ours.
    Nothing,
    /// The store could not be asked.
    Failed(StoreError),
}

impl Verdicts {
    pub(crate) fn new() -> Self {
        Self(Cache::builder().max_capacity(VERDICTS_MAX).time_to_live(Duration::from_millis(VERDICT_MS)).build())
    }

    fn get(&self, cookie: &SessionCookie, now: UnixMs) -> Option<bool> {
        // By our own clock as well: the cache only knows when to forget.
        let fresh = |verdict: &Verdict| verdict.given <= now && now.since(verdict.given) < VERDICT_MS;
        self.0.get(&key(cookie)).filter(fresh).map(|verdict| verdict.lives)
    }

    fn put(&self, cookie: &SessionCookie, now: UnixMs, lives: bool) {
        self.0.insert(key(cookie), Verdict { given: now, lives });
    }
}

fn key(cookie: &SessionCookie) -> (RoomId, Epoch, Position, u64, UnixMs) {
    let SessionRef { epoch, position, tag } = cookie.session;
    (cookie.room.clone(), epoch, position, tag.0, cookie.exchanged)
}

/// The live session among the visitor's cookies, renewed where that is due.
pub(super) async fn find(context: &Context, room: &LiveRoom, asked: &Asked<'_>) -> Found {
    let name = cookie_name(room, asked);
    let keys = context.instance.keys();
    let mut found = Found::Nothing;
    for value in cookies::values(asked.headers, &name).take(COOKIES_MAX) {
        let Ok(cookie) = keys.verify_session_cookie(&room.id, value) else { continue };
        match lives(context, room, &cookie).await {
            Ok(true) => return Found::Live(cookie.session),
            Ok(false) => found = Found::Over,
            Err(error) => return Found::Failed(error),
        }
    }
    found
}

async fn lives(context: &Context, room: &LiveRoom, cookie: &SessionCookie) -> Result<bool, StoreError> {
    let now = context.instance.clock.now();
    if let Some(lives) = context.verdicts.get(cookie, now) {
        return Ok(lives);
    }
    let holder = Holder::Browser { exchanged: cookie.exchanged };
    let answer = room.lane.submit(Command::Check { session: cookie.session, holder }).await?;
    let lives = match answer.outcome {
        Outcome::Live(session) => {
            if renewal_is_due(&room.rules, &session, answer.now) {
                // If it fails the next one is due: the session lives all the same.
                let _ = room.lane.submit(Command::Renew { session: session.name }).await;
            }
            true
        }
        _ => false,
    };
    context.verdicts.put(cookie, now, lives);
    Ok(lives)
}

/// Whether the deadline has stood for a minute (half the session where that is shorter, lest it end under a
/// visitor's hands). Read off the deadline itself, so that all instances together renew no more often than one.
fn renewal_is_due(rules: &Rules, session: &Session, now: UnixMs) -> bool {
    let last = rules.session_max_ms.map_or(UnixMs(u64::MAX), |max| session.start.plus_ms(max));
    let renewed = now.plus_ms(rules.session_ms).min(last);
    rules.session_renewal && renewed.since(session.deadline) >= RENEW_EVERY_MS.min(rules.session_ms / 2)
}

/// The cookie that gives a browser its session.
pub(super) fn cookie(
    context: &Context,
    room: &LiveRoom,
    asked: &Asked<'_>,
    session: &SessionCookie,
) -> Cookie<'static> {
    let value = context.instance.keys().sign_session_cookie(session, context.instance.clock.now());
    let mut cookie = cookies::cookie(cookie_name(room, asked), value, COOKIE_LIFE, transport(asked));
    if let Some(domain) = cookie_domain(room, asked) {
        cookie.set_domain(domain.to_owned());
    }
    cookie
}

fn cookie_name(room: &LiveRoom, asked: &Asked<'_>) -> String {
    match cookie_domain(room, asked) {
        Some(_) => cookies::plain_name(Purpose::Session, &room.id),
        None => cookies::name(Purpose::Session, &room.id, transport(asked)),
    }
}

/// The domain of the cookie, where the room has one and the host asked for lies in it: browsers refuse any other.
fn cookie_domain<'a>(room: &'a LiveRoom, asked: &Asked<'_>) -> Option<&'a str> {
    let domain = room.document.cookie_domain.as_deref()?;
    let below = asked.host.strip_suffix(&domain.to_ascii_lowercase())?;
    (below.is_empty() || below.ends_with('.')).then_some(domain)
}

fn transport(asked: &Asked<'_>) -> Transport {
    match asked.scheme {
        Scheme::Https => Transport::Https,
        Scheme::Http => Transport::Http,
    }
}
