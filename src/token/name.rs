//! The name of a session as text: `<epoch>-<position>-<16 hex>`, the `sub` of passes.

use std::{fmt, str::FromStr};

use crate::room::{SessionRef, Tag};

/// A text that names no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a session")]
pub struct InvalidName;

impl fmt::Display for SessionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{:016x}", self.epoch, self.position, self.tag.0)
    }
}

impl FromStr for SessionRef {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let mut parts = text.splitn(3, '-');
        let mut next = || parts.next().ok_or(InvalidName);
        let (epoch, position, tag) = (next()?, next()?, next()?);
        let tag = u64::from_str_radix(tag, 16).map_err(|_| InvalidName)?;
        let name = Self { epoch: number(epoch)?, position: number(position)?, tag: Tag(tag) };
        // One session, one name: whatever `parse` lets through beside it (signs, zeros, capitals) is refused here.
        if name.to_string() == text { Ok(name) } else { Err(InvalidName) }
    }
}

fn number(text: &str) -> Result<u64, InvalidName> {
    text.parse().map_err(|_| InvalidName)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back() {
        let name = SessionRef { epoch: 3, position: 17, tag: Tag(0xab) };
        assert_eq!(name.to_string(), "3-17-00000000000000ab");
        assert_eq!(name.to_string().parse(), Ok(name));
    }

    #[test]
    fn only_the_one_spelling_is_a_name() {
        for text in [
            "",
            "3",
            "3-17",
            "3-17-ab",
            "03-17-00000000000000ab",
            "3-+17-00000000000000ab",
            "3-17-00000000000000AB",
            "3-17-+0000000000000ab",
            "3-17-00000000000000ab-",
            "3-17-00000000000000ab ",
            "-3-17-00000000000000ab",
            "3-17-000000000000000ab",
            "3-99999999999999999999-00000000000000ab",
        ] {
            assert_eq!(text.parse::<SessionRef>(), Err(InvalidName), "{text:?}");
        }
    }
}
