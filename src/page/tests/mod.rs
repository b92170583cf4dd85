//! What every page must hold to, whatever a shop writes into its document.

use std::io::Write;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::STANDARD};

use super::*;
use crate::room::{
    Document,
    settings::{Localized, Page},
};

mod parts;
mod place;

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

/// Browsers send `Sec-Fetch-Site` over TLS alone, and a form's `Origin` only under a policy that lets them: under the
/// header's `no-referrer` it is `null`, which is nobody's.
#[test]
fn a_page_with_a_form_lets_the_browser_say_whose_form_it_is() {
    let journey = Journey {
        document: &document(Page::default()),
        language: Language::preferred(None),
        return_url: None,
        now: crate::time::UnixMs(0),
    };
    let pages = [
        waiting(&document(Page::default())),
        super::place(&journey, &PlaceState::Outside),
        dashboard::dashboard("http://line.example"),
        dashboard::sign_in(dashboard::SignIn::Fresh),
    ];
    for page in pages {
        assert!(page.html.contains("<form"), "{}", page.html);
        let (head, _) = page.html.split_once("<style>").unwrap();
        assert!(head.contains(r#"<meta name="referrer" content="same-origin">"#), "{head}");
    }
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

#[test]
fn every_page_carries_its_own_hash_and_nothing_inline() {
    let journey = place::journey(&document(Page::default()), |journey| {
        super::place(journey, &PlaceState::Inside { position: 9, deadline: crate::time::UnixMs(1_790_000_100_000) })
    });
    let problem =
        error::Problem { status: 404, kind: "urn:dropgate:not_found", title: "Not found", detail: "", line: None };
    let pages = [
        waiting(&document(Page::default())),
        journey,
        error(&problem, Language::Arabic),
        dashboard("https://queue.example"),
        sign_in(dashboard::SignIn::Fresh),
    ];
    for page in pages {
        let style = hash_source(element(&page.html, "style"));
        assert!(page.csp.contains(&format!("style-src {style};")), "{}", page.csp);
        if page.html.contains("<script>") {
            let script = hash_source(element(&page.html, "script"));
            assert!(page.csp.contains(&format!("script-src {script};")), "{}", page.csp);
        } else {
            assert!(page.csp.contains("script-src 'none';"), "{}", page.csp);
        }
        for inline in [" style=", " onclick=", " onload=", "unsafe-inline", "javascript:"] {
            assert!(!page.html.contains(inline), "{inline} in {}", page.html);
            assert!(!page.csp.contains(inline), "{inline} in {}", page.csp);
        }
        for part in ["default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"] {
            assert!(page.csp.contains(part), "{part} missing: {}", page.csp);
        }
    }
}

#[test]
fn what_a_shop_writes_stays_text() {
    let hostile = "</script><script>alert(1)</script><!--<img src=x onerror=alert(1)>\u{2028}\"'&{{ 7 * 7 }}";
    let page = waiting(&document(Page {
        title: Some(Localized::One(hostile.to_owned())),
        message: Some(Localized::ByLanguage([("de".to_owned(), hostile.to_owned())].into())),
        logo: Some(format!("data:image/svg+xml,{hostile}")),
        accent: Some("#fff}body{display:none".to_owned()),
    }));
    assert_eq!(page.html.matches("<script").count(), 2, "the data block and the script");
    assert_eq!(page.html.matches("</script>").count(), 2);
    assert!(!page.html.contains("<!--"));
    assert!(!page.html.contains("<img"), "a logo that is none is not shown");
    assert!(!page.html.contains("display:none}body") && !page.html.contains("}body{display:none"));
    assert_eq!(data(&page.html)["title"], hostile);
    assert_eq!(data(&page.html)["message"]["de"], hostile);
}

#[test]
fn the_page_is_the_documents_alone() {
    let one = waiting(&document(Page::default()));
    assert_eq!(one, waiting(&document(Page::default())));
    let mut other = document(Page::default());
    other.rate_per_minute += 1;
    assert_eq!(one, waiting(&other), "what the status says is not baked into the page");
    other.page.accent = Some("#123456".to_owned());
    let styled = waiting(&other);
    assert_ne!(one.html, styled.html);
    assert_eq!(element(&one.html, "script"), element(&styled.html, "script"), "the script is constant");
}

#[test]
fn the_page_says_nothing_of_third_parties_and_loads_nothing() {
    let page = waiting(&document(Page::default()));
    for load in ["http://", "https://", "<link", "@import", "url(", " src="] {
        assert!(!page.html.contains(load), "{load}");
    }
}

#[test]
fn a_logo_is_served_by_hash() {
    let uri = "data:image/svg+xml,%3Csvg%20xmlns='http://www.w3.org/2000/svg'/%3E";
    let page = waiting(&document(Page { logo: Some(uri.to_owned()), ..Page::default() }));
    let hash = logo::logo(uri).unwrap().hash;
    assert!(page.html.contains(&format!(r#"<img src="/w/main/logo/{hash}" alt="">"#)));
}

fn data(html: &str) -> serde_json::Value {
    let (_, rest) = html.split_once(r#"<script type="application/json" id="data">"#).unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}
