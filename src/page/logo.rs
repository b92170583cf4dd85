//! A shop's logo: a data URI in the room's document, served as a file of our own.

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::STANDARD};

/// The policy a logo is served with: an SVG opened by itself is a document, and must be one that can do nothing.
pub const CSP: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

/// The largest logo, in bytes: a logo, not a photograph, and a room's document is kept in memory everywhere.
pub const MAX_BYTES: usize = 16 * 1024;

/// The digits of a logo's hash that its address carries: enough that another logo is another address.
const HASH_DIGITS: usize = 16;

/// A logo as it is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logo {
    pub content_type: &'static str,
    pub bytes: Vec<u8>,
    /// The last part of its address: it changes when the picture does, so it may be cached for ever.
    pub hash: String,
}

/// Reads a data URI: PNG, WebP or SVG, base64 or percent-encoded, at most [`MAX_BYTES`]. None for anything else.
pub fn logo(data_uri: &str) -> Option<Logo> {
    let (header, body) = data_uri.strip_prefix("data:")?.split_once(',')?;
    let mut parameters = header.split(';');
    let content_type = match parameters.next()?.to_ascii_lowercase().as_str() {
        "image/png" => "image/png",
        "image/webp" => "image/webp",
        "image/svg+xml" => "image/svg+xml",
        _ => return None,
    };
    // Three times the bound holds any percent-encoding of a picture that fits.
    if body.len() > MAX_BYTES * 3 {
        return None;
    }
    let is_base64 = parameters.any(|parameter| parameter.trim().eq_ignore_ascii_case("base64"));
    let bytes = if is_base64 { STANDARD.decode(body).ok()? } else { percent_decoded(body)? };
    let fits = !bytes.is_empty() && bytes.len() <= MAX_BYTES && looks_like(content_type, &bytes);
    fits.then(|| Logo { content_type, hash: hash(&bytes), bytes })
}

/// Where a room's logo is served.
pub fn address(room: &str, logo: &Logo) -> String {
    format!("/w/{room}/logo/{}", logo.hash)
}

fn hash(bytes: &[u8]) -> String {
    let digest = digest(&SHA256, bytes);
    digest.as_ref().iter().take(HASH_DIGITS / 2).map(|byte| format!("{byte:02x}")).collect()
}

/// Whether the first bytes are those of the type: nothing is served under a name that is not its own.
fn looks_like(content_type: &str, bytes: &[u8]) -> bool {
    match content_type {
        "image/png" => bytes.starts_with(b"\x89PNG\r\n\x1a\n"),
        "image/webp" => bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP"),
        _ => std::str::from_utf8(bytes).is_ok_and(|text| text.contains("<svg")),
    }
}

fn percent_decoded(body: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(body.len());
    let mut rest = body.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |b: Option<u8>| char::from(b?).to_digit(16).and_then(|d| u8::try_from(d).ok());
            bytes.push(digit(rest.next())? << 4 | digit(rest.next())?);
        } else {
            bytes.push(byte);
        }
    }
    Some(bytes)
}
