//! What every page must hold to, whatever a shop writes into its document.

use std::io::Write;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::STANDARD};

use super::*;
use crate::room::{
    Document,
    settings::{Localized, Page},
};

/// The first load of the waiting page, headers and all: what fits the first flight of a fresh connection.
const FIRST_LOAD_BYTES: usize = 14_336;

/// Status line and headers besides the policy, generously: date, type, caching, ETag, encoding, and the like.
const OTHER_HEADERS_BYTES: usize = 700;

fn document(page: Page) -> Document {
    let mut document: Document = serde_json::from_value(serde_json::json!({
        "id": "main", "name": "Autumn drop", "shop_url": "https://shop.example/", "allowed_hosts": [".shop.example"],
    }))
    .unwrap();
    document.page = page;
    document
}

fn gzip(bytes: &[u8]) -> usize {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap().len()
}

fn brotli(bytes: &[u8]) -> usize {
    let mut out = Vec::new();
    brotli::CompressorWriter::new(&mut out, 4096, 11, 22).write_all(bytes).unwrap();
    out.len()
}

/// The content of the only element of its kind without attributes.
fn element<'a>(html: &'a str, name: &str) -> &'a str {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let (_, rest) = html.split_once(&open).unwrap();
    rest.split_once(&close).unwrap().0
}

fn hash_source(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(digest(&SHA256, text.as_bytes())))
}

#[test]
fn the_waiting_page_fits_the_first_flight() {
    let page = waiting(&document(Page {
        title: Some(Localized::One("T".repeat(80))),
        message: Some(Localized::One("A message of the usual kind, with a promise and a thank you. ".repeat(4))),
        accent: Some("#c81e5b".to_owned()),
        logo: None,
    }));
    let headers = page.csp.len() + OTHER_HEADERS_BYTES;
    let (gzip, brotli) = (gzip(page.html.as_bytes()), brotli(page.html.as_bytes()));
    println!("raw {}, gzip {gzip}, brotli {brotli}, headers {headers}", page.html.len());
    assert!(gzip + headers <= FIRST_LOAD_BYTES, "gzip {gzip} + headers {headers}");
    assert!(brotli + headers <= FIRST_LOAD_BYTES, "brotli {brotli} + headers {headers}");
}

#[test]
fn the_policy_names_exactly_the_style_and_the_script_of_the_page() {
    let page = waiting(&document(Page::default()));
    assert!(page.csp.contains(&format!("style-src {};", hash_source(element(&page.html, "style")))));
    assert!(page.csp.contains(&format!("script-src {};", hash_source(element(&page.html, "script")))));
}
