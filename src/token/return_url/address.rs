//! Scheme, host and port of an address, by a grammar that leaves nothing to interpretation.

use std::net::Ipv6Addr;

/// The longest name of a host, in bytes, by the rules of DNS.
const HOST_MAX_BYTES: usize = 253;

/// The schemes a shop may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

/// Where a server is: what stands before the path of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub(super) scheme: Scheme,
    pub(super) host: Host,
    /// None where it is not given.
    pub(super) port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// A name or an IPv4 address, in lower case.
    Name(String),
    Ipv6(Ipv6Addr),
}

impl Scheme {
    /// The scheme with its separator.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Http => "http://",
            Self::Https => "https://",
        }
    }

    const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl Address {
    /// Reads the front of `raw` and gives the rest: path, query and fragment as they stand, or nothing. Takes
    /// only what a browser would write: printable ASCII without backslashes, no user, no empty port, no
    /// percent signs in the host, no escaped control characters anywhere, no path of two slashes. And only where
    /// the parser browsers use reads the same host and port.
    pub fn read(raw: &str) -> Option<(Self, &str)> {
        if !is_clean(raw) {
            return None;
        }
        let (scheme, after) = [Scheme::Https, Scheme::Http]
            .into_iter()
            .find_map(|scheme| Some((scheme, raw.strip_prefix(scheme.prefix())?)))?;
        let end = after.find(['/', '?', '#']).unwrap_or(after.len());
        let (authority, rest) = after.split_at(end);
        if rest.starts_with("//") {
            return None;
        }
        let (host, port) = split_port(authority)?;
        let address = Self { scheme, host: Host::read(host)?, port };
        address.is_what_browsers_read(raw).then_some((address, rest))
    }

    /// How the server is spoken to.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host alone, in lower case.
    pub fn host_text(&self) -> String {
        match &self.host {
            Host::Name(name) => name.clone(),
            Host::Ipv6(address) => format!("[{address}]"),
        }
    }

    /// Scheme, host and port as an address starts with them.
    pub fn origin(&self) -> String {
        let port = self.port.map_or_else(String::new, |port| format!(":{port}"));
        format!("{}{}{port}", self.scheme.prefix(), self.host_text())
    }

    /// The same server by https; a port that was the default stays the default.
    #[must_use]
    pub fn secured(&self) -> Self {
        let port = self.port.filter(|_| !self.is_default_port());
        Self { scheme: Scheme::Https, host: self.host.clone(), port }
    }

    /// The port that a browser would connect to.
    pub fn effective_port(&self) -> u16 {
        self.port.unwrap_or(self.scheme.default_port())
    }

    pub(super) fn is_default_port(&self) -> bool {
        self.effective_port() == self.scheme.default_port()
    }

    fn is_what_browsers_read(&self, raw: &str) -> bool {
        let Ok(url) = url::Url::parse(raw) else { return false };
        let same_host = match (url.host(), &self.host) {
            (Some(url::Host::Domain(theirs)), Host::Name(ours)) => theirs == ours,
            (Some(url::Host::Ipv4(theirs)), Host::Name(ours)) => theirs.to_string() == *ours,
            (Some(url::Host::Ipv6(theirs)), Host::Ipv6(ours)) => theirs == *ours,
            _ => false,
        };
        let same_user = url.username().is_empty() && url.password().is_none();
        same_host && same_user && url.port_or_known_default() == Some(self.effective_port())
    }
}

impl Host {
    fn read(text: &str) -> Option<Self> {
        if let Some(inner) = text.strip_prefix('[') {
            // A zone id is no part of what parses here.
            return inner.strip_suffix(']')?.parse().ok().map(Self::Ipv6);
        }
        let is_label = |label: &str| {
            !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        // A trailing dot makes an empty label, and with it another name for the same host: refused.
        let is_name = text.len() <= HOST_MAX_BYTES && text.split('.').all(is_label);
        is_name.then(|| Self::Name(text.to_ascii_lowercase()))
    }

    /// Whether this is the visitor's own machine, where nobody listens in between.
    pub(super) fn is_local(&self) -> bool {
        match self {
            Self::Name(name) => name == "localhost" || name == "127.0.0.1",
            Self::Ipv6(address) => address.is_loopback(),
        }
    }

    pub(super) fn is_below(&self, parent: &str) -> bool {
        match self {
            Self::Name(name) => name
                .strip_suffix(parent)
                .and_then(|front| front.strip_suffix('.'))
                .is_some_and(|front| !front.is_empty()),
            Self::Ipv6(_) => false,
        }
    }
}

/// Printable ASCII without whitespace and backslashes, and no escaped control character: a shop that decodes and
/// repeats it must not be made to split a header.
fn is_clean(raw: &str) -> bool {
    let bytes = raw.as_bytes();
    let plain = bytes.iter().all(|b| b.is_ascii_graphic() && *b != b'\\');
    let escaped_control = bytes.windows(3).any(|three| match three {
        [b'%', b'0' | b'1', _] => true,
        [b'%', b'7', last] => last.eq_ignore_ascii_case(&b'f'),
        _ => false,
    });
    plain && !escaped_control
}

fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let after_host = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    let Some(colon) = authority[after_host..].find(':') else { return Some((authority, None)) };
    let (host, port) = authority.split_at(after_host + colon);
    let digits = &port[1..];
    let canonical = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    if !canonical {
        return None;
    }
    digits.parse().ok().map(|port| (host, Some(port)))
}
