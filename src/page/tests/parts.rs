//! Languages, colours, policies, logos and sources.

use std::collections::{BTreeMap, BTreeSet};

use super::document;
use crate::{
    page::{
        accent::{GRAPHICS_CONTRAST, GROUND_DARK, GROUND_LIGHT, Palette, Rgb},
        error::{Problem, error},
        logo::{MAX_BYTES, logo},
        policy::form_action,
        text::{LANGUAGES, Language, for_browser, localized},
    },
    room::settings::{Localized, Page},
};

const SCRIPT: &str = include_str!("../../../templates/line.js");
const STYLE: &str = include_str!("../../../templates/line.css");

/// WCAG 2.2, 1.4.3: what text needs against its ground, in hundredths.
const TEXT_CONTRAST: u32 = 450;

fn file(language: Language) -> BTreeMap<String, BTreeMap<String, String>> {
    let path = format!("{}/templates/texts/{}.json", env!("CARGO_MANIFEST_DIR"), language.code());
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn every_language_says_everything() {
    let english = file(Language::English);
    for language in LANGUAGES {
        let texts = file(language);
        for part in ["page", "server"] {
            assert!(texts[part].keys().eq(english[part].keys()), "{language:?} {part}");
            for (key, text) in &texts[part] {
                assert!(!text.trim().is_empty() && !text.contains('|'), "{language:?} {key}");
                assert_eq!(text.contains("{}"), english[part][key].contains("{}"), "{language:?} {key}");
                assert_eq!(language.text(key), text);
            }
        }
    }
    let sent: BTreeSet<&str> = for_browser().keys.split('|').collect();
    assert!(sent.into_iter().eq(english["page"].keys()), "every text of the page travels with it");
    assert!(LANGUAGES.into_iter().all(|language| for_browser().texts.iter().any(|(code, _)| *code == language.code())));
}

#[test]
fn the_script_asks_for_texts_that_are_there() {
    let english = file(Language::English);
    let asked: BTreeSet<&str> = SCRIPT
        .match_indices("T.")
        .filter(|(at, _)| !SCRIPT[..*at].ends_with(|before: char| before.is_alphanumeric() || before == '.'))
        .map(|(at, _)| SCRIPT[at + 2..].split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap())
        .collect();
    assert!(asked.len() > 15, "{asked:?}");
    for key in asked {
        assert!(english["page"].contains_key(key), "{key}");
    }
}

#[test]
fn comments_of_what_is_sent_stand_on_lines_of_their_own() {
    for source in [SCRIPT, STYLE, include_str!("../../../templates/dashboard.js")] {
        for line in source.lines().map(str::trim) {
            let whole = line.starts_with("//") || (line.starts_with("/*") && line.ends_with("*/"));
            assert!(whole || (!line.contains(" //") && !line.contains("/*")), "{line}");
        }
    }
}

#[test]
fn the_language_a_visitor_likes_best_is_spoken() {
    for (header, expected) in [
        (None, Language::English),
        (Some(""), Language::English),
        (Some("sv"), Language::English),
        (Some("de-CH"), Language::German),
        (Some("sv, PT-br;q=0.9, en;q=0.8"), Language::Portuguese),
        (Some("en;q=0.5, ar;q=0.7"), Language::Arabic),
        (Some("fr;q=0, ja;q=0.001"), Language::Japanese),
        (Some("fr;q=NaN, pl;q=0.1, it;q=inf"), Language::Polish),
        (Some("nl;q=2, es;q=1.000"), Language::Spanish),
        (Some(";;;,,,=q;q=q"), Language::English),
    ] {
        assert_eq!(Language::preferred(header), expected, "{header:?}");
    }
}

#[test]
fn a_rooms_own_text_falls_back_to_english_and_then_to_any() {
    let by = |pairs: &[(&str, &str)]| {
        Localized::ByLanguage(pairs.iter().map(|(tag, text)| ((*tag).to_owned(), (*text).to_owned())).collect())
    };
    assert_eq!(localized(&Localized::One("x".to_owned()), Language::Polish), "x");
    assert_eq!(localized(&by(&[("de", "d"), ("en", "e")]), Language::German), "d");
    assert_eq!(localized(&by(&[("pt-BR", "p"), ("en", "e")]), Language::Portuguese), "p");
    assert_eq!(localized(&by(&[("de", "d"), ("en", "e")]), Language::Polish), "e");
    assert_eq!(localized(&by(&[("de", "d")]), Language::Polish), "d");
    assert_eq!(localized(&by(&[]), Language::Polish), "");
}

#[test]
fn every_accent_can_be_read_and_seen() {
    let channels = [0u8, 31, 63, 95, 119, 127, 159, 191, 223, 255];
    for red in channels {
        for green in channels {
            for blue in channels {
                let text = Rgb(red, green, blue).to_string();
                let palette = Palette::of(Some(&text));
                assert_eq!(palette.accent.to_string(), text);
                assert!(palette.accent.contrast(palette.on_accent) >= TEXT_CONTRAST, "{text}");
                assert!(palette.on_light.contrast(GROUND_LIGHT) >= GRAPHICS_CONTRAST, "{text}");
                assert!(palette.on_dark.contrast(GROUND_DARK) >= GRAPHICS_CONTRAST, "{text}");
            }
        }
    }
    assert_eq!(Palette::of(Some("#ffd400")).on_accent, Rgb(0, 0, 0));
    assert_eq!(Palette::of(Some("#0b3d91")).on_accent, Rgb(0xff, 0xff, 0xff));
}

#[test]
fn contrast_is_that_of_the_guidelines() {
    let (black, white) = (Rgb(0, 0, 0), Rgb(255, 255, 255));
    assert_eq!(black.contrast(white), 2100);
    assert_eq!(white.contrast(white), 100);
    assert_eq!(Rgb(0x76, 0x76, 0x76).contrast(white), 454);
    assert_eq!(Rgb(0x77, 0x77, 0x77).contrast(white), 447);
}

#[test]
fn the_pages_own_colours_can_be_read() {
    for (scheme, ground) in [("light dark;", GROUND_LIGHT), ("prefers-color-scheme:dark", GROUND_DARK)] {
        let (_, rules) = STYLE.split_once(scheme).unwrap();
        let colour = |name: &str| {
            let (_, rest) = rules.split_once(&format!("{name}:")).unwrap();
            Rgb::parse(&rest[..7]).unwrap()
        };
        assert_eq!(colour("--g"), ground, "the ground that the accent is measured against");
        // Notes are written in ink on the colour of the rules.
        for (text, on) in [("--i", "--g"), ("--m", "--g"), ("--i", "--r")] {
            assert!(colour(text).contrast(colour(on)) >= TEXT_CONTRAST, "{scheme} {text} on {on}");
        }
    }
}

#[test]
fn only_colours_are_colours() {
    for text in ["", "red", "#fff", "#12345", "#1234567", "#gggggg", "123456", "#12345\u{e9}", "#fff}*{a:b", "#+1+2+3"]
    {
        assert_eq!(Rgb::parse(text), None, "{text}");
    }
}

#[test]
fn forms_lead_to_the_shop_and_nowhere_else() {
    let mut document = document(Page::default());
    let cases: [(&str, &[&str], &str); 6] = [
        ("https://shop.example/drop?x", &[], "'self' https://shop.example"),
        (
            "https://shop.example:8443/",
            &["a.example", "b.example:81"],
            "'self' a.example b.example:81 https://shop.example:8443",
        ),
        ("https://shop.example", &[".shop.example"], "'self' *.shop.example https://shop.example"),
        ("http://localhost:3000/", &["127.0.0.1"], "'self' 127.0.0.1:* localhost:*"),
        ("https://[::1]:3000/", &[], "'self'"),
        ("not a url", &["a.example; script-src *", "b.example\r\nX: y", "'unsafe-inline'"], "'self'"),
    ];
    for (shop, hosts, expected) in cases {
        document.shop_url = shop.to_owned();
        document.allowed_hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        assert_eq!(form_action(&document), expected, "{shop} {hosts:?}");
    }
}

#[test]
fn a_logo_is_what_it_says_it_is_or_nothing() {
    let png = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ";
    assert_eq!(logo(png).unwrap().content_type, "image/png");
    let svg = logo("data:image/svg+xml;charset=utf-8,%3Csvg%3E%3C/svg%3E").unwrap();
    assert_eq!((svg.content_type, svg.bytes.as_slice()), ("image/svg+xml", b"<svg></svg>".as_slice()));
    assert_eq!(svg.hash.len(), 16);
    assert_ne!(svg.hash, logo("data:image/svg+xml,%3Csvg%20%3E%3C/svg%3E").unwrap().hash);
    for refused in [
        "",
        "data:",
        "data:image/svg+xml",
        "data:text/html,<svg>",
        "data:image/png,<svg>",
        "data:image/png;base64,PHN2Zz4=",
        "data:image/webp;base64,UklGRg==",
        "data:image/svg+xml;base64,!!!",
        "data:image/svg+xml,%zz<svg>",
        "data:image/svg+xml,<svg>%",
        "https://elsewhere.example/logo.svg",
    ] {
        assert_eq!(logo(refused), None, "{refused}");
    }
    let filled = |bytes: usize| format!("data:image/svg+xml,<svg>{}", "a".repeat(bytes - 5));
    assert!(logo(&filled(MAX_BYTES)).is_some());
    assert_eq!(logo(&filled(MAX_BYTES + 1)), None);
}

#[test]
fn an_error_page_says_what_the_problem_says() {
    let problem = Problem {
        status: 403,
        kind: "urn:dropgate:room_closed",
        title: "The room is closed",
        detail: "<b>nobody</b> joins",
        line: None,
    };
    let page = error(&problem, Language::Polish);
    for text in ["Tego nie można zrobić.", "The room is closed", "urn:dropgate:room_closed", "403"] {
        assert!(page.html.contains(text), "{text}");
    }
    assert!(!page.html.contains("<b>"), "a detail is text");
    assert!(!page.html.contains("<a "), "there is nowhere to go");
}

#[test]
fn an_error_page_leads_to_the_line_in_a_tab_of_its_own() {
    let line = Some("https://line.example/w/main?t=a&b=\"c");
    let problem = Problem { status: 429, kind: "", title: "", detail: "", line };
    let page = error(&problem, Language::English);
    let link =
        r#"<a href="https://line.example/w/main?t=a&#38;b=&#34;c" target="_blank" rel="noopener">Join the line</a>"#;
    assert!(page.html.contains(link), "{}", page.html);
}
