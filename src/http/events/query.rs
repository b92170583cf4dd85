//! What a reader of the event feed asks for.

use std::{fmt, ops::RangeInclusive, time::Duration};

use url::form_urlencoded;

use crate::http::problem::Problem;

/// Events an answer may have: a thousand of them with twenty lines each stay below a few megabytes.
const LIMITS: RangeInclusive<u64> = 1..=1_000;
/// Events of an answer where the reader does not say.
const LIMIT_DEFAULT: u64 = 100;
/// Seconds a reader may wait: below the half minute after which proxies give up.
const WAITS: RangeInclusive<u64> = 0..=25;
/// The highest number of an event, and of a term: what every part of the system counts to.
const SEQ_MAX: u64 = 1 << 53;

/// A query, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Query {
    /// None: from the beginning.
    pub after: Option<Cursor>,
    pub limit: usize,
    pub wait: Duration,
}

/// A point in a sale's events: opaque to readers, `term.born.seq`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The recoveries of the store till then; 0 on a store that loses nothing.
    pub term: u64,
    /// The version that the sale's first document had: the next sale of its id counts its events from the beginning.
    pub born: u64,
    pub seq: u64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.term, self.born, self.seq)
    }
}

impl Cursor {
    fn parse(text: &str) -> Option<Self> {
        let (term, rest) = text.split_once('.')?;
        let (born, seq) = rest.split_once('.')?;
        let term = term.parse().ok().filter(|term| *term <= SEQ_MAX)?;
        let seq = seq.parse().ok().filter(|seq| *seq <= SEQ_MAX)?;
        let cursor = Self { term, born: born.parse().ok()?, seq };
        // One point, one spelling.
        (cursor.to_string() == text).then_some(cursor)
    }
}

impl Query {
    /// Reads a query string. Parameters that mean nothing here are left to mean nothing.
    ///
    /// # Errors
    /// 400 naming the parameter.
    pub fn read(text: &str) -> Result<Self, Problem> {
        let named = |name: &str| form_urlencoded::parse(text.as_bytes()).find(|(key, _)| key == name);
        let cursor = |(_, text): (_, std::borrow::Cow<'_, str>)| {
            let refused = || Problem::invalid_field("after", "must be a cursor as it was given, or left out");
            Cursor::parse(&text).ok_or_else(refused)
        };
        let after = named("after").map(cursor).transpose()?;
        let number = |name: &'static str, range: RangeInclusive<u64>, default: u64| {
            let Some((_, text)) = named(name) else { return Ok(default) };
            let number = Some(&text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            let number = number.and_then(|text| text.parse().ok()).filter(|number| range.contains(number));
            number.ok_or_else(|| {
                Problem::invalid_field(name, format!("must be a number from {} to {}", range.start(), range.end()))
            })
        };
        let limit = number("limit", LIMITS, LIMIT_DEFAULT)?;
        let wait = Duration::from_secs(number("wait", WAITS, 0)?);
        Ok(Self { after, limit: usize::try_from(limit).unwrap_or(usize::MAX), wait })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_read_and_what_is_wrong_named() {
        let read = |text| Query::read(text).map_err(|problem| problem.fields["field"].as_str().unwrap().to_owned());
        let query = |after, limit, wait| Ok(Query { after, limit, wait: Duration::from_secs(wait) });
        assert_eq!(read(""), query(None, 100, 0));
        let after = Some(Cursor { term: 3, born: 4, seq: 17 });
        assert_eq!(read("after=3.4.17&limit=1000&wait=25&fresh=1"), query(after, 1000, 25));
        for (wrong, field) in [
            ("after=", "after"),
            ("after=17", "after"),
            ("after=0.17", "after"),
            ("after=0.4.", "after"),
            ("after=0..17", "after"),
            ("after=0.04.17", "after"),
            ("after=0.4.17.", "after"),
            ("after=0.4.017", "after"),
            ("after=0.4.%2B17", "after"),
            ("after=0.4.-1", "after"),
            ("after=01.4.17", "after"),
            ("after=9007199254740993.4.17", "after"),
            ("after=0.4.18446744073709551615", "after"),
            ("after=0.4.18446744073709551616", "after"),
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("limit=", "limit"),
            ("limit=%2B1", "limit"),
            ("limit=1.5", "limit"),
            ("wait=26", "wait"),
            ("wait=-1", "wait"),
        ] {
            assert_eq!(read(wrong), Err(field.to_owned()), "{wrong}");
        }
    }
}
