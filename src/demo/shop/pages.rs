//! The shop's words and how its pages are sent. No page has a script: a form, a link and a style sheet that counts
//! down are all it takes.

use actix_web::{
    HttpResponse,
    http::{StatusCode, header},
    web,
};
use askama::Template;
use jiff::{Timestamp, tz::TimeZone};

use super::{
    gate::Guest,
    till::{Refusal, Shelf, Short, Units},
};
use crate::{
    demo::goods::{SIZES, Size, size_of},
    time::UnixMs,
};

/// Where the shop says which session it let in.
pub const SESSION_HEADER: &str = "x-demo-session";

/// Where it says why not, in a word.
pub const REFUSAL_HEADER: &str = "x-demo-refusal";

/// Nothing from elsewhere and no script; forms go to the shop itself. The style of an element carries its countdown.
const POLICY: &str = "default-src 'none'; style-src 'self'; style-src-attr 'unsafe-inline'; img-src 'self' data:; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What went wrong, in plain words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notice {
    pub title: String,
    pub lines: Vec<String>,
    /// In a word, for those who read headers.
    pub word: &'static str,
}

#[derive(Template)]
#[template(path = "demo_notice.html")]
struct NoticePage {
    notice: Notice,
}

impl Notice {
    /// One sentence.
    pub fn plain(title: &str) -> Self {
        Self { title: title.to_owned(), lines: Vec::new(), word: "notice" }
    }

    /// To a form that no page of this shop sent.
    pub fn foreign_form() -> Self {
        Self::plain("That form did not come from this shop, so nothing was done.")
    }

    /// The sale's refusal as a buyer should read it.
    pub fn of(refusal: &Refusal) -> Self {
        let (title, lines, word) = match refusal {
            Refusal::SoldOut(short) => {
                let may_come_back = short.iter().all(|short| short.available + short.held > 0);
                let word = if may_come_back { "all_held" } else { "sold_out" };
                ("Someone was faster.", short.iter().map(words_of_shortage).collect(), word)
            }
            Refusal::Limit { sku, limit, used } => {
                ("That is more than one person gets.", vec![words_of_limit(sku.as_deref(), *limit, *used)], "limit")
            }
            Refusal::Invalid { detail, .. } => {
                ("That is no number of kites.", vec![format!("The number {detail}.")], "invalid")
            }
            Refusal::Closed => ("The drop is not open.", vec!["Nothing can be bought now.".to_owned()], "closed"),
            Refusal::Expired => (
                "Your basket’s time ran out.",
                vec!["The kites went back on the shelf. If there are any left, you can take some again.".to_owned()],
                "expired",
            ),
            Refusal::Released | Refusal::Unknown => {
                ("This basket is empty.", vec!["What was in it went back on the shelf.".to_owned()], "released")
            }
            Refusal::Conflict => ("This basket is bought already.", Vec::new(), "conflict"),
            Refusal::Busy => (
                "The till is busy.",
                vec!["Nothing was done that you don’t know of. Please try again in a moment.".to_owned()],
                "busy",
            ),
            Refusal::Other { status, code } => {
                ("Something went wrong at the till.", vec![format!("It said {status} {code}.")], "other")
            }
        };
        Self { title: title.to_owned(), lines, word }
    }
}

fn words_of_shortage(short: &Short) -> String {
    let name = size_of(&short.sku).map_or(short.sku.as_str(), |size| size.name);
    match (short.available, short.held) {
        (0, 0) => format!("{name} is sold out."),
        (0, 1) => format!("{name}: the last one is in somebody’s basket. It may come back: try again in a moment."),
        (0, held) => {
            format!("{name}: all are in people’s baskets. Up to {held} may come back: try again in a moment.")
        }
        (left, _) => {
            format!("{name}: you wanted {}, and {left} {} left.", short.wanted, if left == 1 { "is" } else { "are" })
        }
    }
}

fn words_of_limit(sku: Option<&str>, limit: u64, used: u64) -> String {
    let what = sku.and_then(size_of).map_or_else(String::new, |size| format!(" of size {}", size.name.to_lowercase()));
    let has = if used == 0 { String::new() } else { format!(", and {used} you have already") };
    format!("Each person gets {limit}{what} at most{has}.")
}

/// The status a refusal is shown with.
pub fn status_of(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::SoldOut(_) | Refusal::Limit { .. } | Refusal::Conflict => StatusCode::CONFLICT,
        Refusal::Invalid { .. } => StatusCode::BAD_REQUEST,
        Refusal::Closed => StatusCode::FORBIDDEN,
        Refusal::Expired | Refusal::Released | Refusal::Unknown => StatusCode::GONE,
        Refusal::Busy => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::Other { .. } => StatusCode::BAD_GATEWAY,
    }
}

/// One size on a page.
pub struct Row {
    pub size: &'static Size,
    /// How many are left, in words.
    pub left: String,
    /// Whether none will ever come back.
    pub is_gone: bool,
    /// How many the visitor has of it.
    pub has: u64,
}

/// All sizes as they stand, with what the visitor has of each.
pub fn rows(shelf: &Shelf, has: &Units) -> Vec<Row> {
    let row = |size: &'static Size| {
        let stock = shelf.of(size.sku);
        let left = match (stock.available, stock.held) {
            (0, 0) => "sold out".to_owned(),
            (0, held) => format!("all in baskets, {held} may come back"),
            (left, _) => format!("{left} left"),
        };
        let is_gone = stock.available == 0 && stock.held == 0;
        Row { size, left, is_gone, has: has.get(size.sku).copied().unwrap_or(0) }
    };
    SIZES.iter().map(row).collect()
}

/// Units in words, small to large: "2 × Medium, 1 × Large".
pub fn words_of_units(units: &Units) -> String {
    let word = |size: &Size| units.get(size.sku).map(|quantity| format!("{quantity} × {}", size.name));
    SIZES.iter().filter_map(word).collect::<Vec<_>>().join(", ")
}

/// What units cost, in euros.
pub fn price_of(units: &Units) -> u64 {
    units.iter().map(|(sku, quantity)| size_of(sku).map_or(0, |size| size.price) * quantity).sum()
}

/// A time of day, to the second.
pub fn time_of_day(at: UnixMs) -> String {
    let at = i64::try_from(at.0).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or_default();
    at.to_zoned(TimeZone::UTC).strftime("%H:%M:%S UTC").to_string()
}

/// A page, never to be kept: what it says is gone in a moment.
pub fn show(page: &impl Template, status: StatusCode) -> HttpResponse {
    match page.render() {
        Ok(html) => HttpResponse::build(status)
            .content_type("text/html; charset=utf-8")
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .insert_header((header::REFERRER_POLICY, "same-origin"))
            .body(html),
        Err(error) => HttpResponse::InternalServerError().body(error.to_string()),
    }
}

/// A page of the shop for whoever the gate let in.
pub fn show_to(guest: &Guest, page: &impl Template, status: StatusCode) -> HttpResponse {
    let mut response = show(page, status);
    if let Ok(session) = header::HeaderValue::from_str(&guest.session) {
        response.headers_mut().insert(header::HeaderName::from_static(SESSION_HEADER), session);
    }
    if let Some(cookie) = guest.cookie() {
        // A cookie that can't be set means a basket that is not found again, which the page will say.
        let _ = response.add_cookie(&cookie);
    }
    response
}

/// A word on why not, for those who read headers.
pub fn mark(mut response: HttpResponse, notice: &Notice) -> HttpResponse {
    let word = header::HeaderValue::from_static(notice.word);
    response.headers_mut().insert(header::HeaderName::from_static(REFUSAL_HEADER), word);
    response
}

/// A page that says why not, where no other page can.
pub fn refuse(status: StatusCode, notice: Notice) -> HttpResponse {
    let response = show(&NoticePage { notice: notice.clone() }, status);
    mark(response, &notice)
}

/// After a form: on to a page that can be loaded again.
pub fn see(path: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, path)).finish()
}

/// Puts what pages need into the server.
pub fn configure(config: &mut web::ServiceConfig) {
    config.route("/shop.css", web::get().to(style));
}

async fn style() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/css; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "public, max-age=60"))
        .body(include_str!("../../../templates/demo.css"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(available: u64, held: u64) -> String {
        words_of_shortage(&Short { sku: "kite-7-m".to_owned(), wanted: 2, available, held })
    }

    #[test]
    fn a_shortage_says_what_may_come_back() {
        assert_eq!(short(0, 0), "Medium is sold out.");
        assert!(short(0, 7).contains("Up to 7 may come back"));
        assert_eq!(short(1, 7), "Medium: you wanted 2, and 1 is left.");
    }

    #[test]
    fn a_limit_says_what_one_has_already() {
        assert_eq!(words_of_limit(Some("kite-7-s"), 2, 0), "Each person gets 2 of size small at most.");
        assert_eq!(words_of_limit(None, 3, 2), "Each person gets 3 at most, and 2 you have already.");
    }

    #[test]
    fn what_is_in_a_basket_is_named_and_priced() {
        let units = Units::from([("kite-7-l".to_owned(), 1), ("kite-7-m".to_owned(), 2)]);
        assert_eq!((words_of_units(&units).as_str(), price_of(&units)), ("2 × Medium, 1 × Large", 297));
    }

    #[test]
    fn the_time_of_day_is_read_off_a_deadline() {
        assert_eq!(time_of_day(UnixMs(86_400_000 + 3_600_000 + 61_999)), "01:01:01 UTC");
    }
}
