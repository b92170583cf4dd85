//! The waiting page: rendered when a room's document changes, the same bytes for every visitor.

use askama::Template;
use serde::Serialize;

use super::{
    Rendered,
    accent::Palette,
    asset,
    logo::{self, logo},
    policy::{form_action, policy},
    text::{self, BrowserTexts, LANGUAGES, Language, localized},
};
use crate::room::{Document, settings::Localized};

#[derive(Template)]
#[template(path = "waiting.html")]
struct Waiting<'a> {
    title: &'a str,
    style: &'a str,
    logo: Option<String>,
    /// The button of a browser without script, in every language: language, direction, text.
    joins: Vec<(&'a str, &'a str, &'a str)>,
    data: String,
    script: &'a str,
}

/// What the script is told: a JSON block that no browser runs.
#[derive(Serialize)]
struct Data<'a> {
    room: &'a str,
    title: &'a Localized,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a Localized>,
    #[serde(flatten)]
    texts: &'a BrowserTexts,
}

/// The waiting page of a room. Depends on nothing but the document, so it can be rendered once and served to all.
pub fn waiting(document: &Document) -> Rendered {
    let name = Localized::One(document.name.clone());
    let title = document.page.title.as_ref().unwrap_or(&name);
    let style = asset::line_style(&Palette::of(document.page.accent.as_deref()));
    let script = asset::line_script();
    let data =
        Data { room: document.id.as_str(), title, message: document.page.message.as_ref(), texts: text::for_browser() };
    let page = Waiting {
        title: localized(title, Language::default()),
        style: &style,
        logo: logo_address(document),
        joins: LANGUAGES.iter().map(|l| (l.code(), l.dir(), l.text("join"))).collect(),
        data: data_block(&data),
        script,
    };
    Rendered { html: rendered(&page), csp: policy(&style, Some(script), &form_action(document)) }
}

/// The address of a document's logo, if it has one that can be served.
pub(super) fn logo_address(document: &Document) -> Option<String> {
    let picture = logo(document.page.logo.as_deref()?)?;
    Some(logo::address(document.id.as_str(), &picture))
}

/// JSON that can stand inside a script element: without `<` no text can end the element or open a comment.
fn data_block(data: &impl Serialize) -> String {
    // A map with text keys and no fallible parts: serialising can't fail.
    serde_json::to_string(data).unwrap_or_default().replace('<', "\\u003c")
}

/// Renders a template. Ours hold no fallible filters, so the only error would be writing to a String.
pub(super) fn rendered(template: &impl Template) -> String {
    template.render().unwrap_or_default()
}
