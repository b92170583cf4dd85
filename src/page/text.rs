//! The ten languages. One file a language in `templates/texts`; the waiting page carries all of them, so that its
//! bytes are the same for everyone, and the browser picks.

use std::{collections::BTreeMap, sync::LazyLock};

use serde::{Deserialize, Serialize, Serializer};

use crate::room::settings::Localized;

/// A language the pages speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    #[default]
    English,
    German,
    French,
    Spanish,
    Italian,
    Portuguese,
    Dutch,
    Polish,
    Japanese,
    Arabic,
}

/// All of them, in the order in which the page without script lists them.
pub const LANGUAGES: [Language; 10] = [
    Language::English,
    Language::German,
    Language::French,
    Language::Spanish,
    Language::Italian,
    Language::Portuguese,
    Language::Dutch,
    Language::Polish,
    Language::Japanese,
    Language::Arabic,
];

/// The most entries of an `Accept-Language` header that are looked at: browsers send fewer, and a header is free to send.
const ENTRIES_MAX: usize = 20;

/// One language's file: `page` travels with every waiting page, `server` is only for pages made for one visitor.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Texts {
    page: BTreeMap<String, String>,
    server: BTreeMap<String, String>,
}

impl Language {
    /// The primary subtag of BCP 47: `en`, `de` …
    pub fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
            Self::French => "fr",
            Self::Spanish => "es",
            Self::Italian => "it",
            Self::Portuguese => "pt",
            Self::Dutch => "nl",
            Self::Polish => "pl",
            Self::Japanese => "ja",
            Self::Arabic => "ar",
        }
    }

    /// The direction of its script, as HTML's `dir` has it.
    pub fn dir(self) -> &'static str {
        match self {
            Self::Arabic => "rtl",
            _ => "ltr",
        }
    }

    /// The language a visitor likes best among ours; English where none fits or nothing is said.
    ///
    /// Weights are read as thousandths: a `q` that is no number is no preference, and nothing here can be NaN.
    pub fn preferred(accept_language: Option<&str>) -> Self {
        let mut best = (0, Self::English);
        for entry in accept_language.unwrap_or_default().split(',').take(ENTRIES_MAX) {
            let (tag, weight) = match entry.split_once(';') {
                Some((tag, parameter)) => (tag, thousandths(parameter)),
                None => (entry, 1000),
            };
            let primary = tag.trim().split('-').next().unwrap_or_default();
            let known = LANGUAGES.into_iter().find(|language| language.code().eq_ignore_ascii_case(primary));
            if let Some(language) = known
                && weight > best.0
            {
                best = (weight, language);
            }
        }
        best.1
    }

    /// A text of this language. Empty for a key that no file has, which a test rules out for every key in use.
    pub fn text(self, key: &str) -> &'static str {
        let texts = &TEXTS[self as usize];
        texts.page.get(key).or_else(|| texts.server.get(key)).map_or("", String::as_str)
    }
}

/// The weight in `q=0.8`; 0 for anything else.
fn thousandths(parameter: &str) -> u32 {
    let Some(number) = parameter.trim().strip_prefix("q=").or_else(|| parameter.trim().strip_prefix("Q=")) else {
        return 0;
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return 0;
    }
    match whole {
        "1" => 1000,
        "0" => format!("{fraction:0<3}").parse().unwrap_or(0),
        _ => 0,
    }
}

/// A room's own text in a visitor's language, else in English, else in the first language it has.
pub fn localized(text: &Localized, language: Language) -> &str {
    match text {
        Localized::One(text) => text,
        Localized::ByLanguage(texts) => texts
            .get(language.code())
            .or_else(|| {
                texts.iter().find(|(tag, _)| tag.split('-').next() == Some(language.code())).map(|(_, text)| text)
            })
            .or_else(|| texts.get("en"))
            .or_else(|| texts.values().next())
            .map_or("", String::as_str),
    }
}

/// The page's texts in the order in which they travel. The order says nothing and was found by trying: compressed,
/// they take some two hundred bytes less than sorted ones, of a first load that is to fit one flight of packets.
const TRAVEL: [&str; 42] = [
    "stay", "leave", "h_closed", "go", "turn_t", "line_t", "lapsed_t", "closed_t", "head", "soon", "ghosts", "h_turn",
    "back", "pause_t", "h_lapsed", "reset_t", "h_next", "full", "h_soon", "slower", "trouble", "kept", "soon_t",
    "cookies", "until", "snd", "h_over", "again", "h_pause", "few", "upd", "h_line", "ahead", "h_sold", "held",
    "over_t", "num", "wait", "stock", "sure", "sold_t", "h_load",
];

/// And the languages: similar ones near each other, those with signs of their own last.
const TRAVEL_LANGUAGES: [Language; 10] = [
    Language::English,
    Language::Dutch,
    Language::German,
    Language::Italian,
    Language::Spanish,
    Language::Portuguese,
    Language::French,
    Language::Polish,
    Language::Japanese,
    Language::Arabic,
];

/// The names of the page's texts and all languages' texts for the page's data block: bars instead of JSON's
/// quotes and repeated keys, because every byte of it is sent to every visitor.
pub fn for_browser() -> &'static BrowserTexts {
    static TEXTS_FOR_BROWSER: LazyLock<BrowserTexts> = LazyLock::new(|| BrowserTexts {
        keys: TRAVEL.join("|"),
        texts: TRAVEL_LANGUAGES.map(|language| (language.code(), TRAVEL.map(|key| language.text(key)).join("|"))),
    });
    &TEXTS_FOR_BROWSER
}

/// See [`for_browser`].
#[derive(Serialize)]
pub struct BrowserTexts {
    /// The names, joined by `|`.
    pub keys: String,
    /// Language → its texts in the order of the names, joined by `|`.
    #[serde(serialize_with = "as_map")]
    pub texts: [(&'static str, String); LANGUAGES.len()],
}

fn as_map<S: Serializer>(pairs: &[(&str, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(key, value)| (key, value)))
}

static TEXTS: LazyLock<[Texts; 10]> = LazyLock::new(|| {
    [
        include_str!("../../templates/texts/en.json"),
        include_str!("../../templates/texts/de.json"),
        include_str!("../../templates/texts/fr.json"),
        include_str!("../../templates/texts/es.json"),
        include_str!("../../templates/texts/it.json"),
        include_str!("../../templates/texts/pt.json"),
        include_str!("../../templates/texts/nl.json"),
        include_str!("../../templates/texts/pl.json"),
        include_str!("../../templates/texts/ja.json"),
        include_str!("../../templates/texts/ar.json"),
    ]
    .map(|file| serde_json::from_str(file).expect("the files are part of the program, and a test reads them all"))
});
