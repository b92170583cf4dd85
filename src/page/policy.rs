//! Content-Security-Policies: nothing runs, loads or is sent anywhere that is not named here.

use std::collections::BTreeSet;

use url::{Host, Url};

use super::asset::csp_hash;
use crate::room::Document;

/// The policy of a page: its style and script by hash, and where its forms may lead.
pub fn policy(style: &str, script: Option<&str>, form_action: &str) -> String {
    let script = script.map_or_else(|| "'none'".to_owned(), csp_hash);
    format!(
        "default-src 'none'; script-src {script}; style-src {}; img-src 'self'; connect-src 'self'; form-action \
         {form_action}; base-uri 'none'; frame-ancestors 'none'",
        csp_hash(style)
    )
}

/// `'self'` and the origins a form's redirect may end at: browsers check a policy along the whole chain.
///
/// A host without a scheme takes the page's own (or its secure form), so a shop on https stays on https.
pub fn form_action(document: &Document) -> String {
    let mut sources = BTreeSet::new();
    if let Ok(shop) = Url::parse(&document.shop_url) {
        sources.extend(shop_source(&shop));
    }
    for allowed in &document.allowed_hosts {
        sources.extend(host_source(allowed));
    }
    sources.into_iter().fold("'self'".to_owned(), |all, source| all + " " + &source)
}

fn shop_source(shop: &Url) -> Option<String> {
    match shop.host()? {
        // The grammar of a policy has no IPv6 address; any port of the machine itself is the same shop.
        Host::Ipv6(_) => None,
        host if is_local(&host.to_string()) => Some(format!("{host}:*")),
        host => {
            let port = shop.port().map_or(String::new(), |port| format!(":{port}"));
            source(format!("{}://{host}{port}", shop.scheme()))
        }
    }
}

fn host_source(allowed: &str) -> Option<String> {
    let host = allowed.split(':').next().unwrap_or_default();
    if is_local(host) {
        return Some(format!("{host}:*"));
    }
    match allowed.strip_prefix('.') {
        Some(domain) => source(format!("*.{domain}")),
        None => source(allowed.to_owned()),
    }
}

fn is_local(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1")
}

/// Only what can't end a directive or a header: a document is checked elsewhere, a header is written here.
fn source(text: String) -> Option<String> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b".-:/*_".contains(&b);
    (!text.is_empty() && text.bytes().all(is_plain)).then_some(text)
}
