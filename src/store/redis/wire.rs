//! What goes to a script and what comes back: arguments one after the other, and lines of words.
//!
//! All arguments of a call are one list in MessagePack, which Redis's scripts read at once: it costs the server, and the sender,
//! a fraction of what as many arguments of their own do.
//!
//! Whatever stands in an answer is visible ASCII without spaces, or the last thing in its line: so lines and words need
//! no quoting. `-` stands for none, and what is there stands behind a `=`.

use std::{fmt::Display, str::FromStr};

use crate::store::StoreError;

/// The arguments of a call, in the making.
#[derive(Clone, Debug, Default)]
pub(super) struct Args {
    words: Vec<u8>,
    count: u32,
}

impl Args {
    /// Adds a word.
    pub fn word(&mut self, word: impl Display) -> &mut Self {
        self.text(&word.to_string())
    }

    /// Adds a word that is a text already.
    pub fn text(&mut self, text: &str) -> &mut Self {
        // What is written into memory is always written.
        let _ = rmp::encode::write_str(&mut self.words, text);
        self.count += 1;
        self
    }

    /// Adds a number. What a script computes with ends at 2^53, and whatever is above that is as good as it.
    pub fn number(&mut self, number: u64) -> &mut Self {
        let _ = rmp::encode::write_uint(&mut self.words, number.min(1 << 53));
        self.count += 1;
        self
    }

    /// Adds a word that may be none.
    pub fn maybe(&mut self, word: Option<impl Display>) -> &mut Self {
        self.text(&maybe(word))
    }

    /// Adds the arguments of another after these.
    pub fn append(&mut self, other: &Self) -> &mut Self {
        self.words.extend(&other.words);
        self.count += other.count;
        self
    }

    /// The list, as it goes to the script.
    pub fn pack(&self) -> Vec<u8> {
        // A list's length takes at most so many bytes.
        const HEADER_MAX: usize = 5;
        let mut list = Vec::with_capacity(HEADER_MAX + self.words.len());
        let _ = rmp::encode::write_array_len(&mut list, self.count);
        list.extend(&self.words);
        list
    }
}

/// A word that may be none, as a text.
pub(super) fn maybe(word: Option<impl Display>) -> String {
    word.map_or_else(|| "-".to_owned(), |word| format!("={word}"))
}

/// An answer that is not what the script says: another version of it, or a server that is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the script's answer can't be read: {0}")]
pub(super) struct Misread(pub String);

impl From<Misread> for StoreError {
    fn from(misread: Misread) -> Self {
        Self::Unavailable(misread.to_string())
    }
}

/// A line's words, taken one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words<'a> {
    line: &'a str,
    rest: &'a str,
}

impl<'a> Words<'a> {
    pub fn of(line: &'a str) -> Self {
        Self { line, rest: line }
    }

    /// The next word.
    pub fn word(&mut self) -> Result<&'a str, Misread> {
        if self.rest.is_empty() {
            return Err(self.misread());
        }
        let (word, rest) = self.rest.split_once(' ').unwrap_or((self.rest, ""));
        self.rest = rest;
        Ok(word)
    }

    /// The next word as a value.
    pub fn parse<T: FromStr>(&mut self) -> Result<T, Misread> {
        self.word()?.parse().map_err(|_| self.misread())
    }

    /// The next word, which may be none.
    pub fn maybe(&mut self) -> Result<Option<&'a str>, Misread> {
        match self.word()? {
            "-" => Ok(None),
            word => word.strip_prefix('=').map(Some).ok_or_else(|| self.misread()),
        }
    }

    /// The next word as a value, which may be none.
    pub fn maybe_parse<T: FromStr>(&mut self) -> Result<Option<T>, Misread> {
        self.maybe()?.map(|word| word.parse().map_err(|_| self.misread())).transpose()
    }

    /// Whether there are no more.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What is left of the line.
    pub fn rest(&mut self) -> &'a str {
        std::mem::take(&mut self.rest)
    }

    pub fn misread(&self) -> Misread {
        Misread(self.line.chars().take(200).collect())
    }
}

/// An answer of parts that are any text, each with its length before it.
pub(super) struct Parts<'a>(&'a [u8]);

impl<'a> Parts<'a> {
    pub fn of(answer: &'a [u8]) -> Self {
        Self(answer)
    }

    /// The next part.
    pub fn next(&mut self) -> Result<&'a str, Misread> {
        self.take().ok_or_else(|| Misread(String::from_utf8_lossy(self.0).chars().take(200).collect()))
    }

    /// The next part as a value.
    pub fn parse<T: FromStr>(&mut self) -> Result<T, Misread> {
        let text = self.next()?;
        text.parse().map_err(|_| Misread(text.chars().take(200).collect()))
    }

    /// Whether there are no more.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self) -> Option<&'a str> {
        let colon = self.0.iter().position(|byte| *byte == b':')?;
        let len: usize = std::str::from_utf8(&self.0[..colon]).ok()?.parse().ok()?;
        let (part, rest) = self.0[colon + 1..].split_at_checked(len)?;
        self.0 = rest;
        std::str::from_utf8(part).ok()
    }
}
