//! Finds the line of a key in a TOML text, so that an error can point at it.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// The line, from 1, of byte `offset`.
pub fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// The line of a dotted path such as `rooms[1].page.accent`; that of the nearest part above it where the last
/// parts are not written. None if not even the first is there.
pub fn line_of(text: &str, path: &str) -> Option<usize> {
    let document = DeTable::parse(text).ok()?.into_inner();
    let mut parts = path.split(['.', '[']).map(|part| part.trim_end_matches(']'));
    let (key, mut value) = document.get_key_value(parts.next()?)?;
    let mut found = start(key, value);
    for part in parts {
        let next = match value.get_ref() {
            DeValue::Table(table) => table.get_key_value(part).map(|(key, value)| (key.span().start, value)),
            DeValue::Array(items) => {
                part.parse::<usize>().ok().and_then(|i| items.get(i)).map(|item| (item.span().start, item))
            }
            _ => None,
        };
        let Some((offset, inner)) = next else { break };
        (found, value) = (offset, inner);
    }
    Some(line_at(text, found))
}

fn start<K>(key: &Spanned<K>, value: &Spanned<DeValue<'_>>) -> usize {
    // An array of tables has its own span only at its first header, which is where its key is too.
    key.span().start.min(value.span().start)
}
