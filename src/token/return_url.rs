//! The check of return addresses: where a visitor may be sent, and nowhere else.
//!
//! An address is read twice, by the strict grammar of [`address`] and by the parser browsers use, and must mean
//! the same to both. What is refused counts as absent: the visitor goes to the shop's front door instead.

mod address;
mod parameter;

#[cfg(test)]
mod tests;

pub use address::{Address, Scheme};
pub use parameter::{CHECK, PARAMETER, cut_parameter, parameter, with_parameter};

use crate::room::Document;
use address::Host;

/// The longest return address, in bytes: what every browser, proxy and shop still takes in a URL.
pub const RETURN_URL_MAX_BYTES: usize = 2_048;

/// Where a room's visitors may be sent.
#[derive(Clone, Debug)]
pub struct ReturnPolicy {
    rules: Vec<Rule>,
    /// The shop itself is on plain http, so its visitors have nothing to lose by it.
    shop_is_plain: bool,
    public: Option<Address>,
    shop: ReturnUrl,
}

/// An address a visitor may be sent to, without any `dropgate` parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnUrl(String);

/// Why a return address was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Too long, or nothing a browser would write.
    #[error("not a plain http or https address of at most 2048 bytes")]
    Malformed,
    /// A host or port that is not the room's.
    #[error("the host is not one of the room's")]
    ForeignHost,
    /// Plain http, where the shop speaks https.
    #[error("the shop is reached by https only")]
    Plain,
    /// An address of our own: a visitor sent there would stand in line for the line.
    #[error("the address is the waiting room's own")]
    Own,
}

#[derive(Clone, Debug)]
struct Rule {
    host: HostRule,
    /// The port that must be given; none for the scheme's default, any on localhost.
    port: Option<u16>,
}

#[derive(Clone, Debug)]
enum HostRule {
    Exact(Host),
    /// `.example.com`: a subdomain of it, at any depth, and not the domain itself.
    Below(String),
}

impl ReturnPolicy {
    /// The policy of a room, where Dropgate itself is at `public_url`. Entries of a document that cannot be read
    /// allow nothing.
    pub fn new(document: &Document, public_url: &str) -> Self {
        let shop = Address::read(&document.shop_url).map(|(address, _)| address);
        let public = Address::read(public_url).map(|(address, _)| address);
        let mut rules: Vec<Rule> = document.allowed_hosts.iter().filter_map(|entry| Rule::read(entry)).collect();
        if let Some(shop) = &shop {
            rules.push(Rule { host: HostRule::Exact(shop.host.clone()), port: shop.port });
        }
        Self {
            rules,
            shop_is_plain: shop.is_some_and(|shop| shop.scheme == Scheme::Http),
            public,
            shop: ReturnUrl(cut_parameter(&document.shop_url)),
        }
    }

    /// The return address in `raw`, if a visitor may be sent there.
    pub fn check(&self, raw: &str) -> Option<ReturnUrl> {
        self.inspect(raw).ok()
    }

    /// As [`Self::check`], and says why not.
    ///
    /// # Errors
    /// The first reason against it.
    pub fn inspect(&self, raw: &str) -> Result<ReturnUrl, Refused> {
        if raw.len() > RETURN_URL_MAX_BYTES {
            return Err(Refused::Malformed);
        }
        let (address, _) = Address::read(raw).ok_or(Refused::Malformed)?;
        self.admits(&address)?;
        if self.is_own(&address) {
            return Err(Refused::Own);
        }
        Ok(ReturnUrl(cut_parameter(raw)))
    }

    /// The address a visitor is sent to: `raw` if it may be, else the shop's front door.
    pub fn resolve(&self, raw: Option<&str>) -> ReturnUrl {
        raw.and_then(|raw| self.check(raw)).unwrap_or_else(|| self.shop.clone())
    }

    /// Whether host, port and scheme are the room's.
    ///
    /// # Errors
    /// [`Refused::ForeignHost`] or [`Refused::Plain`].
    pub fn admits(&self, address: &Address) -> Result<(), Refused> {
        if !self.rules.iter().any(|rule| rule.admits(address)) {
            return Err(Refused::ForeignHost);
        }
        let plain_is_fine = self.shop_is_plain || address.host.is_local();
        if address.scheme == Scheme::Http && !plain_is_fine { Err(Refused::Plain) } else { Ok(()) }
    }

    /// Whether a page of `origin` belongs to the room, so that its script may call us.
    pub fn admits_origin(&self, origin: &str) -> bool {
        Address::read(origin).is_some_and(|(address, rest)| rest.is_empty() && self.admits(&address).is_ok())
    }

    /// The shop's front door.
    pub fn shop(&self) -> &ReturnUrl {
        &self.shop
    }

    fn is_own(&self, address: &Address) -> bool {
        // Compared without the scheme: our plain listener may redirect to the other.
        self.public.as_ref().is_some_and(|public| {
            let both_default = public.is_default_port() && address.is_default_port();
            public.host == address.host && (both_default || public.effective_port() == address.effective_port())
        })
    }
}

impl Rule {
    fn read(entry: &str) -> Option<Self> {
        // An entry is a host as it stands in an address, so it is read as one.
        let below = entry.strip_prefix('.');
        let as_address = format!("https://{}", below.unwrap_or(entry));
        let (address, rest) = Address::read(&as_address)?;
        if !rest.is_empty() {
            return None;
        }
        let host = match (below, address.host) {
            (None, host) => HostRule::Exact(host),
            (Some(_), Host::Name(name)) => HostRule::Below(name),
            (Some(_), Host::Ipv6(_)) => return None,
        };
        // `a.example:443` reads as the default of https, which is what it says.
        Some(Self { host, port: address.port })
    }

    fn admits(&self, address: &Address) -> bool {
        let host_fits = match &self.host {
            HostRule::Exact(host) => *host == address.host,
            HostRule::Below(parent) => address.host.is_below(parent),
        };
        let port_fits = match self.port {
            Some(port) => port == address.effective_port(),
            None => address.is_default_port() || address.host.is_local(),
        };
        host_fits && port_fits
    }
}

impl ReturnUrl {
    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address with an entry pass in it, for the way back.
    pub fn with_entry_pass(&self, token: &str) -> String {
        with_parameter(&self.0, token)
    }
}
