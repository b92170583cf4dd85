//! The checks of a room's document: every field against its bounds and the others.

use super::{
    bounds::{self, PERMIT},
    settings::{Document, FieldError, Localized, Page, StockGate},
};

type Checked = Result<(), FieldError>;

impl Document {
    /// Checks every field against its bounds and the others.
    ///
    /// # Errors
    /// The first field that can't be taken.
    pub fn validate(&self) -> Checked {
        text("name", &self.name, 1, bounds::NAME_MAX_CHARS)?;
        self.check_hosts()?;
        self.check_rate()?;
        self.check_sessions()?;
        self.check_times()?;
        self.check_stock()?;
        self.check_later_versions()?;
        at_most("join_per_address", self.join_per_address, bounds::JOIN_PER_ADDRESS_MAX)?;
        check_page(&self.page)
    }

    fn check_hosts(&self) -> Checked {
        let Some(shop_host) = http_host(&self.shop_url) else {
            return refuse(
                "shop_url",
                format!("must be an absolute http or https address of at most {} bytes", bounds::URL_MAX_BYTES),
            );
        };
        if self.allowed_hosts.len() > bounds::ALLOWED_HOSTS_MAX {
            return refuse("allowed_hosts", format!("must be at most {}", bounds::ALLOWED_HOSTS_MAX));
        }
        for (at, host) in self.allowed_hosts.iter().enumerate() {
            if !is_allowed_host(host) {
                let detail =
                    "must be a host like shop.example or shop.example:8443, or .shop.example for its subdomains";
                return refuse(format!("allowed_hosts[{at}]"), detail);
            }
        }
        let Some(domain) = &self.cookie_domain else { return Ok(()) };
        if !is_host_name(domain) || !domain.contains('.') || is_ipv4(domain) {
            return refuse("cookie_domain", "must be a domain like shop.example, without a dot before it or a port");
        }
        let (shop_host, domain) = (shop_host.to_ascii_lowercase(), domain.to_ascii_lowercase());
        if shop_host != domain && !shop_host.ends_with(&format!(".{domain}")) {
            return refuse("cookie_domain", "must be the host of shop_url or a domain above it");
        }
        Ok(())
    }

    fn check_rate(&self) -> Checked {
        within("rate_per_minute", self.rate_per_minute, bounds::RATE_MIN, bounds::RATE_MAX)?;
        if let Some(burst) = self.burst {
            within("burst", burst, bounds::BURST_MIN, bounds::BURST_MAX)?;
        }
        if let Some(cap) = self.max_active {
            within("max_active", cap, bounds::ACTIVE_MIN, bounds::ACTIVE_MAX)?;
        }
        let (min, max) = (bounds::CLAIM_WINDOW_MIN_SECONDS, bounds::CLAIM_WINDOW_MAX_SECONDS);
        within("claim_window_seconds", self.claim_window_seconds, min, max)?;
        at_most("overcall", self.overcall, bounds::OVERCALL_MAX)?;
        if self.rules().ceiling_exact() > bounds::CEILING_MAX {
            let limit = bounds::CEILING_MAX / PERMIT;
            let detail = format!(
                "overcall × rate_per_minute × claim_window_seconds / 60 + burst must be at most {limit} visitors"
            );
            return refuse("overcall", detail);
        }
        Ok(())
    }

    fn check_sessions(&self) -> Checked {
        let (min, max) = (bounds::SESSION_MIN_SECONDS, bounds::SESSION_MAX_SECONDS);
        within("session_seconds", self.session_seconds, min, max)?;
        let Some(total) = self.session_max_seconds else { return Ok(()) };
        at_most("session_max_seconds", total, bounds::SESSION_TOTAL_MAX_SECONDS)?;
        if total < self.session_seconds {
            return refuse("session_max_seconds", "must not be shorter than session_seconds");
        }
        Ok(())
    }

    fn check_times(&self) -> Checked {
        match (self.opens_at, self.closes_at) {
            (Some(opens), Some(closes)) if closes <= opens => refuse("closes_at", "must come after opens_at"),
            _ => Ok(()),
        }
    }

    fn check_stock(&self) -> Checked {
        if self.stock_gate != StockGate::Off && self.sale.is_none() {
            return refuse("stock_gate", "needs a `sale` whose stock the line is to know");
        }
        Ok(())
    }

    /// What this version does not do yet it must not pretend to do.
    fn check_later_versions(&self) -> Checked {
        if self.draw {
            return refuse("draw", "a draw of places is not supported by this version: leave it false");
        }
        Ok(())
    }
}

fn check_page(page: &Page) -> Checked {
    if let Some(title) = &page.title {
        localized("page.title", title, bounds::TITLE_MAX_CHARS)?;
    }
    if let Some(message) = &page.message {
        localized("page.message", message, bounds::MESSAGE_MAX_CHARS)?;
    }
    if page.logo.as_deref().is_some_and(|logo| Logo::parse(logo).is_none()) {
        let kilobytes = bounds::LOGO_MAX_BYTES / 1024;
        let detail = format!(
            "must be a data URI in base64 (data:image/png;base64,… or image/webp or image/svg+xml) of at most {kilobytes} kB"
        );
        return refuse("page.logo", detail);
    }
    if page.accent.as_deref().is_some_and(|accent| !is_colour(accent)) {
        return refuse("page.accent", "must be a colour like #1a73e8");
    }
    Ok(())
}

fn localized(field: &str, value: &Localized, max_chars: usize) -> Checked {
    let texts = match value {
        Localized::One(one) => return text(field, one, 0, max_chars),
        Localized::ByLanguage(texts) => texts,
    };
    if texts.len() > bounds::LANGUAGES_MAX {
        return refuse(field, format!("must be in at most {} languages", bounds::LANGUAGES_MAX));
    }
    for (language, one) in texts {
        let field = format!("{field}.{language}");
        if !is_language_tag(language) {
            return refuse(field, "must be named by a language tag like en or pt-BR");
        }
        text(field, one, 0, max_chars)?;
    }
    Ok(())
}

fn text(field: impl Into<String>, value: &str, min_chars: usize, max_chars: usize) -> Checked {
    let chars = value.chars().count();
    if chars < min_chars || chars > max_chars {
        return refuse(field, format!("must be {min_chars} to {max_chars} characters"));
    }
    if value.chars().any(|c| c.is_control() && c != '\n') {
        return refuse(field, "must not contain control characters");
    }
    Ok(())
}

fn within(field: &str, value: u64, min: u64, max: u64) -> Checked {
    if (min..=max).contains(&value) { Ok(()) } else { refuse(field, format!("must be from {min} to {max}")) }
}

fn at_most(field: &str, value: u64, max: u64) -> Checked {
    within(field, value, 0, max)
}

fn refuse(field: impl Into<String>, detail: impl Into<String>) -> Checked {
    Err(FieldError { field: field.into(), detail: detail.into() })
}

/// A room's logo, as its data URI carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logo<'a> {
    /// `image/png`, `image/webp` or `image/svg+xml`.
    pub media_type: &'static str,
    /// The image in base64 with padding.
    pub base64: &'a str,
}

impl<'a> Logo<'a> {
    /// Reads a data URI: PNG, WebP or SVG in base64, small enough, and beginning as such a file does.
    pub fn parse(uri: &'a str) -> Option<Self> {
        // What the first bytes of a file of each kind look like in base64; an SVG may begin in many ways.
        const KINDS: [(&str, &str); 3] = [("image/png", "iVBORw0KGgo"), ("image/webp", "UklGR"), ("image/svg+xml", "")];
        let (media_type, base64) = uri.strip_prefix("data:")?.split_once(";base64,")?;
        let (media_type, beginning) = *KINDS.iter().find(|(kind, _)| *kind == media_type)?;
        let padding = base64.bytes().rev().take_while(|byte| *byte == b'=').count();
        let digits = &base64.as_bytes()[..base64.len() - padding];
        let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
        let well_formed = !digits.is_empty() && padding <= 2 && base64.len() % 4 == 0 && digits.iter().all(is_digit);
        let small = base64.len() / 4 * 3 - padding.min(2) <= bounds::LOGO_MAX_BYTES;
        (well_formed && small && base64.starts_with(beginning)).then_some(Self { media_type, base64 })
    }
}

fn is_colour(text: &str) -> bool {
    text.strip_prefix('#').is_some_and(|hex| hex.len() == 6 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn is_language_tag(text: &str) -> bool {
    let mut parts = text.split('-');
    let primary = parts.next().unwrap_or_default();
    let is_primary = (2..=8).contains(&primary.len()) && primary.bytes().all(|b| b.is_ascii_alphabetic());
    let is_part = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric());
    text.len() <= bounds::LANGUAGE_TAG_MAX_BYTES && is_primary && parts.all(is_part)
}

/// The host of an absolute http or https address, without its port; none where the address is not one.
///
/// A check of shape only: where visitors are sent is decided by the token module's parser.
fn http_host(address: &str) -> Option<&str> {
    // Characters that no address carries unescaped, and that readers take in different ways.
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
    if address.len() > bounds::URL_MAX_BYTES || !address.bytes().all(is_plain) {
        return None;
    }
    let (scheme, rest) = address.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let authority = rest.split(['/', '?', '#']).next()?;
    let (host, port) = split_port(authority)?;
    let is_literal = host.starts_with('[') && host.ends_with(']') && is_ipv6(&host[1..host.len() - 1]);
    (is_literal || is_host_name(host)).then_some(host).filter(|_| port.is_none_or(is_port))
}

fn is_allowed_host(text: &str) -> bool {
    let Some((host, port)) = split_port(text) else { return false };
    let is_host = match host.strip_prefix('.') {
        // A suffix of one label would be a whole country, or everything.
        Some(domain) => is_host_name(domain) && domain.contains('.') && !is_ipv4(domain),
        None => {
            is_host_name(host) || (host.starts_with('[') && host.ends_with(']') && is_ipv6(&host[1..host.len() - 1]))
        }
    };
    is_host && port.is_none_or(is_port)
}

/// Splits `host:port`; the colons inside `[…]` are the host's.
fn split_port(text: &str) -> Option<(&str, Option<&str>)> {
    let host_end = match text.find(']') {
        Some(bracket) => bracket + 1,
        None => text.find(':').unwrap_or(text.len()),
    };
    let (host, rest) = text.split_at(host_end);
    match rest {
        "" => Some((host, None)),
        rest => rest.strip_prefix(':').map(|port| (host, Some(port))),
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=bounds::LABEL_MAX_BYTES).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A last label of digits is an IPv4 address to browsers, well-formed or not.
    let last_is_number = text.rsplit('.').next().is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()));
    text.len() <= bounds::HOST_MAX_BYTES && text.split('.').all(is_label) && (!last_is_number || is_ipv4(text))
}

fn is_ipv4(text: &str) -> bool {
    text.parse::<core::net::Ipv4Addr>().is_ok()
}

fn is_ipv6(text: &str) -> bool {
    text.parse::<core::net::Ipv6Addr>().is_ok()
}
