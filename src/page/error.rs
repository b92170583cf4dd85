//! An error as a page: what the problem+json says, for a browser that navigated into it.

use askama::Template;

use super::{Rendered, accent::Palette, asset, policy::policy, text::Language, waiting::rendered};

/// A problem (RFC 9457) as the HTTP layer has it.
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a> {
    pub status: u16,
    /// `urn:dropgate:<code>`
    pub kind: &'a str,
    pub title: &'a str,
    pub detail: &'a str,
    /// The waiting page, where a place in line is what is missing. It opens in a tab of its own: a form that was
    /// refused stays where it is and can be sent again.
    pub line: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "error.html")]
struct Page<'a> {
    language: Language,
    status: u16,
    style: &'a str,
    heading: &'a str,
    problem_title: &'a str,
    detail: &'a str,
    kind: &'a str,
    line: Option<&'a str>,
    join: &'a str,
}

/// The page of an error: a plain sentence in the visitor's language, and the problem's own words under it.
pub fn error(problem: &Problem<'_>, language: Language) -> Rendered {
    let style = asset::line_style(&Palette::of(None));
    let heading = language.text(match problem.status {
        404 => "not_found",
        429 | 503 => "busy",
        500.. => "broken",
        _ => "refused",
    });
    let page = Page {
        language,
        status: problem.status,
        style: &style,
        heading,
        problem_title: problem.title,
        detail: problem.detail,
        kind: problem.kind,
        line: problem.line,
        join: language.text("join"),
    };
    Rendered { html: rendered(&page), csp: policy(&style, None, "'none'") }
}
