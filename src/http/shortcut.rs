//! Addresses that are asked most, found by comparison. The framework tries its patterns in turn, each a regular
//! expression, and finding the page that way was half of what it cost beyond a bare handler. Only an address whose
//! parameter is written as an id is found here; any other spelling of it goes the framework's way, to the same handler.

use actix_web::{
    Handler, Responder, Scope,
    guard::{self, GuardContext},
    web,
};

use crate::id::is_id;

/// An address with one parameter: what stands before it, its name, and what stands behind it. All of it is the program's
/// own text: a few bytes of the heap may share a line of memory with what other threads write, and comparing with those
/// took longer than the regular expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shortcut {
    before: &'static str,
    name: &'static str,
    behind: &'static str,
}

impl Shortcut {
    /// The shortcut of a pattern; none where it has another count of parameters than one.
    pub(super) fn of(pattern: &'static str) -> Option<Self> {
        let (before, rest) = pattern.split_once('{')?;
        let (name, behind) = rest.split_once('}')?;
        (!behind.contains('{')).then_some(Self { before, name, behind })
    }

    /// What a path of this address has in the place of the parameter of that name.
    pub(super) fn parameter<'p>(self, name: &str, path: &'p str) -> Option<&'p str> {
        if name == self.name { self.id(path) } else { None }
    }

    fn id(self, path: &str) -> Option<&str> {
        path.strip_prefix(self.before)?.strip_suffix(self.behind).filter(|id| is_id(id))
    }

    /// Leads requests of this address to a handler, where their method `fits`.
    pub(super) fn lead<F, Args>(self, fits: impl Fn(&GuardContext<'_>) -> bool + 'static, handler: F) -> Scope
    where
        F: Handler<Args>,
        Args: actix_web::FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let guard = guard::fn_guard(move |context| fits(context) && self.id(context.head().uri.path()).is_some());
        // A scope of no prefix takes whatever its guard lets in, without a pattern.
        web::scope("").guard(guard).default_service(web::route().to(handler))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("/w/{room}", "/w/line", Some("line"))]
    #[case("/w/{room}", "/w/line/place", None)]
    #[case("/w/{room}", "/w/", None)]
    #[case("/w/{room}", "/w/li%6ee", None)]
    #[case("/v1/rooms/{room}/status", "/v1/rooms/line/status", Some("line"))]
    #[case("/v1/rooms/{room}/status", "/v1/rooms/status", None)]
    #[case("/v1/rooms/{room}/status", "/v1/rooms//status", None)]
    #[case("/v1/rooms/{room}/status", "/v1/rooms/a/b/status", None)]
    fn only_an_id_in_its_place_takes_the_shortcut(
        #[case] pattern: &'static str,
        #[case] path: &str,
        #[case] expected: Option<&str>,
    ) {
        let shortcut = Shortcut::of(pattern).unwrap();
        assert_eq!(shortcut.parameter("room", path), expected);
        assert_eq!(shortcut.parameter("sale", path), None);
    }

    #[rstest::rstest]
    #[case("/healthz")]
    #[case("/w/{room}/logo/{hash}")]
    fn an_address_of_another_form_has_none(#[case] pattern: &'static str) {
        assert_eq!(Shortcut::of(pattern), None);
    }
}
