//! The `dropgate` parameter of an address: cut out and put in with every other byte as it was.

use std::borrow::Cow;

/// The parameter an entry pass travels in.
pub const PARAMETER: &str = "dropgate";

/// The value that asks whether the browser keeps cookies.
pub const CHECK: &str = "check";

/// The address without any parameter `dropgate`, also where its name is written with escapes: a shop that decodes
/// names must not find one that we left.
pub fn cut_parameter(url: &str) -> String {
    let (front, query, fragment) = split(url);
    let Some(query) = query else { return url.to_owned() };
    let kept: Vec<&str> = query.split('&').filter(|pair| !is_ours(pair)).collect();
    // An empty query that was there stays there: `?` and `` are two addresses.
    if kept.is_empty() { format!("{front}{fragment}") } else { format!("{front}?{}{fragment}", kept.join("&")) }
}

/// The address with `dropgate=value` put in, at the end of its query. Whatever was there is cut out first.
pub fn with_parameter(url: &str, value: &str) -> String {
    let clean = cut_parameter(url);
    let (front, query, fragment) = split(&clean);
    match query {
        None => format!("{front}?{PARAMETER}={value}{fragment}"),
        Some(query) => format!("{front}?{query}&{PARAMETER}={value}{fragment}"),
    }
}

/// The value of the first parameter `dropgate`, as it stands.
pub fn parameter(url: &str) -> Option<&str> {
    let pair = split(url).1?.split('&').find(|pair| is_ours(pair))?;
    Some(pair.split_once('=').map_or("", |(_, value)| value))
}

/// Front, query without its mark if there is one, fragment with its mark.
fn split(url: &str) -> (&str, Option<&str>, &str) {
    let (before, fragment) = url.split_at(url.find('#').unwrap_or(url.len()));
    match before.split_once('?') {
        Some((front, query)) => (front, Some(query), fragment),
        None => (before, None, fragment),
    }
}

fn is_ours(pair: &str) -> bool {
    let name = pair.split('=').next().unwrap_or_default();
    name == PARAMETER || (name.contains('%') && decode(name) == PARAMETER.as_bytes())
}

fn decode(name: &str) -> Cow<'_, [u8]> {
    url::form_urlencoded::parse(name.as_bytes())
        .next()
        .map_or(Cow::Borrowed(&[][..]), |(name, _)| Cow::Owned(name.into_owned().into_bytes()))
}
