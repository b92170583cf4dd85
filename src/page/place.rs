//! The journey of a browser without script: a place page that refreshes itself and forms that do the rest.
//! It speaks to one visitor, so it is never cached; it never claims by itself, because a GET changes nothing.

use askama::Template;
use jiff::{Timestamp, tz::TimeZone};
use url::form_urlencoded::byte_serialize;

use super::{
    Rendered,
    accent::Palette,
    asset,
    policy::{form_action, policy},
    text::{Language, localized},
    waiting::{logo_address, rendered},
};
use crate::{
    room::{
        Document, HeldBack, Phase, Position,
        estimate::{Chance, Wait},
        stock::Level,
    },
    time::UnixMs,
};

/// Bounds of the refresh, in seconds: the same that the script polls by.
const REFRESH_MIN_SECONDS: u64 = 2;
const REFRESH_MAX_SECONDS: u64 = 30;

/// One visitor's way through one room.
#[derive(Clone, Copy, Debug)]
pub struct Journey<'a> {
    pub document: &'a Document,
    pub language: Language,
    /// Where the visitor wants to go, as `t` said it; unchecked, it is only handed on.
    pub return_url: Option<&'a str>,
    /// The room's time, shown as the time of the page.
    pub now: UnixMs,
}

/// What there is to say to the visitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlaceState {
    /// No ticket came along: not in line, or the browser keeps no cookies.
    Outside,
    /// No ticket, and the room takes nobody.
    Shut,
    /// In line.
    Waiting(InLine),
    /// May enter until then.
    Called { position: Position, deadline: UnixMs },
    /// Claimed; the session lives until then.
    Inside { position: Position, deadline: UnixMs },
    /// Called, and not come in time.
    Lapsed,
    /// The session is over, or the place was given back.
    Over,
    /// The ticket is of a line that the operator has reset.
    Reset,
    /// The store can't be asked; `holds_ticket` says whether a place is kept meanwhile.
    Trouble { holds_ticket: bool },
}

/// A place in a line that has not come up yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InLine {
    pub position: Position,
    pub ahead: u64,
    pub head: Position,
    /// The estimate of [`crate::room::estimate`], where one can be given.
    pub wait: Option<Wait>,
    pub phase: Phase,
    pub held_back: Option<HeldBack>,
    /// What is left of the sale behind the room, where the line is to know.
    pub stock: Option<Level>,
    /// How many units may come back, where everyone may know.
    pub stock_held: Option<u64>,
    pub chance: Option<Chance>,
}

#[derive(Template)]
#[template(path = "line.html")]
struct Page<'a> {
    language: Language,
    title: &'a str,
    style: &'a str,
    logo: Option<String>,
    message: Option<&'a str>,
    view: &'static str,
    heading: &'static str,
    refresh: Option<u64>,
    big: Option<String>,
    wait: Option<String>,
    has_bar: bool,
    texts: Vec<String>,
    notes: Vec<String>,
    /// The one form of the page: where it posts, what its button says.
    act: Option<(String, &'static str)>,
    facts: Vec<(&'static str, String)>,
    leave: Option<String>,
}

/// The place page (and, for [`PlaceState::Outside`], the page to join from).
pub fn place(journey: &Journey<'_>, state: &PlaceState) -> Rendered {
    let document = journey.document;
    let progress = match state {
        PlaceState::Waiting(line) => line.head * 100 / (line.head + line.ahead + 1),
        PlaceState::Called { .. } | PlaceState::Inside { .. } => 100,
        _ => 0,
    };
    let palette = Palette::of(document.page.accent.as_deref());
    // No style attribute passes the policy, so the one number that differs stands in the hashed style.
    let style = format!("{}:root{{--p:{}.{:02}}}", asset::line_style(&palette), progress / 100, progress % 100);
    let mut page = blank(journey, &style);
    match state {
        PlaceState::Outside => {
            page.refresh = None;
            page.heading = journey.language.text("join");
            page.act = Some((journey.address(""), journey.language.text("join")));
            page.notes = vec![journey.language.text("no_cookies").to_owned()];
        }
        PlaceState::Shut => page.tell(journey, "closed", "closed_t"),
        PlaceState::Waiting(line) => page.wait_in_line(journey, line),
        PlaceState::Called { position, deadline } => page.enter(journey, *position, *deadline, "turn"),
        PlaceState::Inside { position, deadline } => page.enter(journey, *position, *deadline, "inside"),
        PlaceState::Lapsed => page.rejoin(journey, "lapsed", "lapsed_t"),
        PlaceState::Over => page.rejoin(journey, "over", "over_t"),
        PlaceState::Reset => page.rejoin(journey, "over", "reset_t"),
        PlaceState::Trouble { holds_ticket } => {
            page.tell(journey, "load", "trouble");
            if *holds_ticket {
                page.texts.push(journey.language.text("kept").to_owned());
            }
        }
    }
    Rendered { html: rendered(&page), csp: policy(&style, None, &form_action(document)) }
}

impl Journey<'_> {
    /// An address of this room that keeps where the visitor wants to go.
    fn address(&self, call: &str) -> String {
        let room = &self.document.id;
        let query = self.return_url.map_or_else(String::new, |url| {
            let encoded: String = byte_serialize(url.as_bytes()).collect();
            format!("?t={encoded}")
        });
        format!("/w/{room}{call}{query}")
    }

    /// A quarter of the claim window at most, so that no turn is slept through.
    fn refresh_seconds(&self, likely_wait: Option<u64>) -> u64 {
        let most = self.document.claim_window_seconds / 4;
        // A refresh of 0 would be a loop: rooms with a window below four seconds live with one second.
        (likely_wait.unwrap_or(u64::MAX) / 10).clamp(REFRESH_MIN_SECONDS, REFRESH_MAX_SECONDS).min(most).max(1)
    }
}

impl Page<'_> {
    fn tell(&mut self, journey: &Journey<'_>, view: &'static str, text: &str) {
        self.view = view;
        self.heading = journey.language.text(heading_key(view));
        self.texts = vec![journey.language.text(text).to_owned()];
    }

    fn rejoin(&mut self, journey: &Journey<'_>, view: &'static str, text: &str) {
        self.tell(journey, view, text);
        self.refresh = None;
        self.act = Some((journey.address(""), journey.language.text("again")));
    }

    fn enter(&mut self, journey: &Journey<'_>, position: Position, deadline: UnixMs, view: &'static str) {
        let language = journey.language;
        self.view = view;
        self.heading = language.text("h_turn");
        self.has_bar = true;
        self.texts = vec![language.text("until").replace("{}", &clock(deadline))];
        self.act = Some((journey.address("/enter"), language.text("go")));
        self.facts = vec![(language.text("num"), grouped(position)), (language.text("upd"), clock(journey.now))];
        self.leave = Some(journey.address("/leave"));
        // Nothing on this page changes before the deadline, and a reload would take the button from under a finger.
        self.refresh = Some(deadline.since(journey.now) / 1000 + 1);
    }

    fn wait_in_line(&mut self, journey: &Journey<'_>, line: &InLine) {
        let language = journey.language;
        let (view, texts): (_, &[&str]) = match line.phase {
            Phase::Scheduled => ("soon", &["soon_t"]),
            Phase::Paused => ("pause", &["pause_t", "kept"]),
            Phase::Closed => ("closed", &["closed_t", "kept"]),
            Phase::Running | Phase::Free if line.stock == Some(Level::SoldOut) => ("sold", &["sold_t", "refresh"]),
            Phase::Running | Phase::Free if line.ahead == 0 => ("next", &["refresh"]),
            Phase::Running | Phase::Free => ("line", &["refresh"]),
        };
        self.view = view;
        self.heading = language.text(heading_key(view));
        self.texts = texts.iter().map(|key| language.text(key).to_owned()).collect();
        if view != "sold" {
            self.big = Some(grouped(line.ahead));
            self.wait = waits(line, language);
            self.has_bar = true;
            self.notes = note(line, language).into_iter().collect();
        }
        self.facts = vec![
            (language.text("num"), grouped(line.position)),
            (language.text("head"), grouped(line.head)),
            (language.text("upd"), clock(journey.now)),
        ];
        if let (Phase::Scheduled, Some(opens_at)) = (line.phase, journey.document.opens_at) {
            self.wait = Some(format!("{}: {}", language.text("wait"), date(opens_at.0)));
        }
        self.leave = Some(journey.address("/leave"));
        self.refresh = Some(journey.refresh_seconds(line.wait.map(|wait| wait.likely)));
    }
}

fn blank<'a>(journey: &Journey<'a>, style: &'a str) -> Page<'a> {
    let document = journey.document;
    let title = document.page.title.as_ref().map_or(document.name.as_str(), |title| localized(title, journey.language));
    Page {
        language: journey.language,
        title,
        style,
        logo: logo_address(document),
        message: document.page.message.as_ref().map(|message| localized(message, journey.language)),
        view: "load",
        heading: "",
        refresh: Some(journey.refresh_seconds(None)),
        big: None,
        wait: None,
        has_bar: false,
        texts: Vec::new(),
        notes: Vec::new(),
        act: None,
        facts: Vec::new(),
        leave: None,
    }
}

fn heading_key(view: &str) -> &'static str {
    match view {
        "line" => "h_line",
        "next" => "h_next",
        "soon" => "h_soon",
        "sold" => "h_sold",
        "pause" => "h_pause",
        "closed" => "h_closed",
        "lapsed" => "h_lapsed",
        "over" => "h_over",
        _ => "h_load",
    }
}

/// Whether there is stock, and how long the wait may be.
fn waits(line: &InLine, language: Language) -> Option<String> {
    let in_stock = (line.stock == Some(Level::InStock)).then(|| language.text("stock").to_owned());
    let wait = line.wait.map(|wait| format!("{}: {}", language.text("wait"), span(wait, language)));
    match (in_stock, wait) {
        (Some(stock), Some(wait)) => Some(format!("{stock}\n{wait}")),
        (stock, wait) => stock.or(wait),
    }
}

/// What there is to know of the stock, or else what holds the line up.
fn note(line: &InLine, language: Language) -> Option<String> {
    if line.stock == Some(Level::AllHeld) {
        let number = line.stock_held.map_or_else(String::new, |held| format!(" ({})", grouped(held)));
        return Some(language.text("held").replace("{}", &number));
    }
    let few = (line.chance == Some(Chance::Unlikely)).then_some("few");
    few.or(line.held_back.map(held_back_key)).map(|key| language.text(key).to_owned())
}

fn held_back_key(cause: HeldBack) -> &'static str {
    match cause {
        HeldBack::ShopFull => "full",
        HeldBack::NoShows => "ghosts",
        HeldBack::Stock => "few",
    }
}

/// Digits in groups of three, apart by a narrow space that no line breaks at: right in every language we speak.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// An interval in words. The server knows no time zone and no plural forms, so the units are short ones.
fn span(wait: Wait, language: Language) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    let (unit, key) = match wait.high {
        0..MINUTE => return language.text("soon").to_owned(),
        // From an hour and a half on, minutes would pretend to know more than anyone does.
        MINUTE..5400 => (MINUTE, "minutes"),
        _ => (HOUR, "hours"),
    };
    let (low, high) = ((wait.low / unit).max(1), wait.high.div_ceil(unit));
    let numbers = if low < high { format!("{low}–{high}") } else { high.to_string() };
    language.text(key).replace("{}", &numbers)
}

/// A time of day, in UTC and said so: a page without script can't know where its reader is.
fn clock(time: UnixMs) -> String {
    formatted(time, "%H:%M:%S UTC")
}

fn date(time: UnixMs) -> String {
    formatted(time, "%Y-%m-%d %H:%M UTC")
}

fn formatted(time: UnixMs, format: &str) -> String {
    // Times past the calendar's end show as its last moment.
    let ms = i64::try_from(time.0).unwrap_or(i64::MAX);
    let timestamp = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX);
    timestamp.to_zoned(TimeZone::UTC).strftime(format).to_string()
}
