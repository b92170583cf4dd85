//! The styles and scripts, compiled in. Their comments, their indentation and, for the crowd, their spaces stay here:
//! readers of the source need them, a phone on a train does not.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::STANDARD};

use super::accent::Palette;

/// The waiting page's script. Constant: nothing of a room or a visitor is ever in it, so one hash names it.
pub fn line_script() -> &'static str {
    static SCRIPT: LazyLock<String> = LazyLock::new(|| dense(include_str!("../../templates/line.js")));
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

/// As [`tight`], and without the spaces and line breaks that separate nothing. The source keeps to rules that make this
/// safe without reading the language: each statement ends with `;` or stands on a line of its own, and no quote, space
/// or line break stands in a regular expression.
fn dense(source: &str) -> String {
    let mut text = String::with_capacity(source.len());
    for line in tight(source, LineBreaks::Kept).lines().map(squeezed) {
        let goes_on = text.ends_with([';', '{', ',', '(', '[']) || line.starts_with(['}', ')', '?', ':', '.']);
        if !text.is_empty() && !goes_on {
            text.push('\n');
        }
        text.push_str(&line);
    }
    text
}

/// A line without the spaces outside of its texts that do not keep two words, or two signs, apart.
fn squeezed(line: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    let (mut text, mut quote) = (String::with_capacity(line.len()), None);
    let mut signs = line.chars().peekable();
    while let Some(sign) = signs.next() {
        let (before, after) = (text.chars().next_back(), signs.peek().copied());
        let apart = |is: &dyn Fn(char) -> bool| before.is_some_and(is) && after.is_some_and(is);
        let is_needed = apart(&is_word) || apart(&|c| matches!(c, '+' | '-'));
        match quote {
            None if sign == ' ' && !is_needed => continue,
            None if matches!(sign, '\'' | '"' | '`') => quote = Some(sign),
            Some(open) if sign == open && before != Some('\\') => quote = None,
            _ => {}
        }
        text.push(sign);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dense_script_is_the_same_script() {
        let source = "
            // A comment.
            const a = b => b ? 'it is  so' : \"\\\" no \" + c;
            let d = 1 - -2, e = typeof d;
            if (d) return e
            f({
              g: [1, 2],
            });
        ";
        let expected = "const a=b=>b?'it is  so':\"\\\" no \"+c;let d=1- -2,e=typeof d;if(d)return e\nf({g:[1,2],});";
        assert_eq!(dense(source), expected);
    }

    #[test]
    fn the_pages_script_keeps_to_the_rules_that_make_this_safe() {
        let source = include_str!("../../templates/line.js");
        for line in source.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
            // The only slashes that are no regular expression stand in texts or divide what is a word or a bracket.
            for (at, _) in line.match_indices('/') {
                let starts_one =
                    line[..at].trim_end().ends_with(['(', '=', '?', ':', '&', '|', ',']) && !line[..at].ends_with('<');
                let expression = &line[at + 1..];
                if starts_one && line[..at].matches('\'').count().is_multiple_of(2) {
                    let inner = expression.split('/').next().unwrap();
                    assert!(!inner.contains([' ', '\'', '"', '`']), "{line}");
                }
            }
            assert!(line.matches('\'').count().is_multiple_of(2), "a text ends where its line does: {line}");
        }
    }
}
