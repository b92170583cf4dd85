//! What goes to a script and what comes back: arguments one after the other, and lines of words.
//!
//! Whatever stands in an answer is visible ASCII without spaces, or the last thing in its line: so lines and words need
//! no quoting. `-` stands for none, and what is there stands behind a `=`.

use std::{fmt::Display, str::FromStr};

use crate::store::StoreError;

/// The arguments of a call, in the making.
#[derive(Clone, Debug, Default)]
pub(super) struct Args(Vec<Vec<u8>>);

impl Args {
    /// Adds a word.
    pub fn word(&mut self, word: impl Display) -> &mut Self {
        self.0.push(word.to_string().into_bytes());
        self
    }

    /// Adds a word that may be none.
    pub fn maybe(&mut self, word: Option<impl Display>) -> &mut Self {
        self.0.push(word.map_or_else(|| b"-".to_vec(), |word| format!("={word}").into_bytes()));
        self
    }

    /// Adds the arguments of another after these.
    pub fn append(&mut self, other: Self) -> &mut Self {
        self.0.extend(other.0);
        self
    }

    pub fn into_vec(self) -> Vec<Vec<u8>> {
        self.0
    }
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
