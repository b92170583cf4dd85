//! The styles and scripts, compiled in. Their comments and indentation stay here: readers of the source need
//! them, a phone on a train does not.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::STANDARD};

use super::accent::Palette;

/// The waiting page's script. Constant: nothing of a room or a visitor is ever in it, so one hash names it.
pub fn line_script() -> &'static str {
    static SCRIPT: LazyLock<String> =
        LazyLock::new(|| tight(include_str!("../../templates/line.js"), LineBreaks::Kept));
    &SCRIPT
}

/// The style of everything visitors see, in a room's colours.
pub fn line_style(palette: &Palette) -> String {
    static STYLE: LazyLock<String> =
        LazyLock::new(|| tight(include_str!("../../templates/line.css"), LineBreaks::Dropped));
    format!("{palette}{}", *STYLE)
}

/// The dashboard's script.
pub fn dashboard_script() -> &'static str {
    static SCRIPT: LazyLock<String> =
        LazyLock::new(|| tight(include_str!("../../templates/dashboard.js"), LineBreaks::Kept));
    &SCRIPT
}

/// The dashboard's style.
pub fn dashboard_style() -> &'static str {
    static STYLE: LazyLock<String> =
        LazyLock::new(|| tight(include_str!("../../templates/dashboard.css"), LineBreaks::Dropped));
    &STYLE
}

/// A source expression of a Content-Security-Policy for exactly these bytes.
pub fn csp_hash(bytes: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(digest(&SHA256, bytes.as_bytes())))
}

/// Whether lines stay lines. A script's must: a line break ends a statement.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LineBreaks {
    Kept,
    Dropped,
}

/// Drops indentation, blank lines and the lines that are comments as a whole. Knows no language on purpose:
/// the sources keep to comments on lines of their own, and a test holds them to it.
fn tight(source: &str, breaks: LineBreaks) -> String {
    let is_comment = |line: &&str| line.starts_with("//") || (line.starts_with("/*") && line.ends_with("*/"));
    let lines: Vec<&str> = source.lines().map(str::trim).filter(|l| !l.is_empty() && !is_comment(l)).collect();
    lines.join(match breaks {
        LineBreaks::Kept => "\n",
        LineBreaks::Dropped => "",
    })
}
