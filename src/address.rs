//! The kinds of address a setting can be, parsed once.

mod redis;
#[cfg(test)]
mod tests;

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr};

use serde::Deserialize;
use url::{Position, Url};

pub use self::redis::{HostPort, Password, RedisUrl, Servers};

/// The address visitors reach us by: scheme, host and port, without a trailing slash.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PublicUrl(String);

/// Where rooms live.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum StoreUrl {
    /// `memory:` everything is gone when the process ends.
    Memory,
    /// `file:PATH` embedded and durable, in that folder.
    File(PathBuf),
    /// `redis://…` and its kin: shared by several instances.
    Redis(RedisUrl),
}

/// A text that is not the address it should be: a sentence that says what it must be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidAddress(String);

impl PublicUrl {
    /// The address of a listener that stands behind nothing.
    pub fn of_listener(bound: SocketAddr, is_tls: bool) -> Self {
        let scheme = if is_tls { "https" } else { "http" };
        Self(format!("{scheme}://{bound}"))
    }

    /// `https://host[:port]`, no trailing slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The scheme and the port, named or implied: what a listener and its address to the world share where nothing
    /// stands between them.
    pub fn scheme_and_port(&self) -> Option<(String, u16)> {
        let url = Url::parse(&self.0).ok()?;
        Some((url.scheme().to_owned(), url.port_or_known_default()?))
    }

    /// Whether browsers reach us over TLS, here or at a proxy.
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https:")
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PublicUrl {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let no = |why: &str| InvalidAddress(format!("must be like https://line.shop.example: {why}"));
        let url = Url::parse(text).map_err(|error| no(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(no("the scheme must be http or https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(no("it must not name a user"));
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(no("it must end after the host and port"));
        }
        Ok(Self(url[..Position::BeforePath].to_owned()))
    }
}

impl StoreUrl {
    /// The default of `dropgate serve`.
    pub const DEFAULT_FOLDER: &str = "./dropgate-data";
}

impl Default for StoreUrl {
    fn default() -> Self {
        Self::File(PathBuf::from(Self::DEFAULT_FOLDER))
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Redis(url) => url.fmt(f),
        }
    }
}

impl FromStr for StoreUrl {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let no = |why: &str| Err(InvalidAddress(why.to_owned()));
        match text.split_once(':') {
            Some(("memory", "")) => Ok(Self::Memory),
            Some(("file", "")) => no("file: needs a folder behind it, like file:./dropgate-data"),
            Some(("file", path)) => Ok(Self::File(PathBuf::from(path))),
            Some((scheme, _)) if RedisUrl::SCHEMES.contains(&scheme) => text.parse().map(Self::Redis),
            // Not echoed: what was meant as an address of Redis may carry a password.
            _ => no("must be memory:, file:PATH, redis://…, redis+sentinel://… or redis+cluster://…"),
        }
    }
}

impl TryFrom<String> for PublicUrl {
    type Error = InvalidAddress;

    fn try_from(text: String) -> Result<Self, InvalidAddress> {
        text.parse()
    }
}

impl TryFrom<String> for StoreUrl {
    type Error = InvalidAddress;

    fn try_from(text: String) -> Result<Self, InvalidAddress> {
        text.parse()
    }
}
