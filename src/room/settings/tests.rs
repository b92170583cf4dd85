use rstest::rstest;
use serde_json::{Value, json};

use super::*;

/// An ordinary document with one field set; `page.title` is the title of the page.
fn with(field: &str, value: Value) -> Result<Document, String> {
    let mut document = json!({"id": "main", "name": "Shop", "shop_url": "https://www.shop.example/sale"});
    match field.split_once('.') {
        Some((outer, inner)) => document[outer] = json!({ inner: value }),
        None => document[field] = value,
    }
    serde_json::from_value(document).map_err(|error| error.to_string())
}

fn logo(media_type: &str, base64: &str) -> Value {
    json!(format!("data:image/{media_type};base64,{base64}"))
}

#[test]
fn what_is_left_out_takes_the_default() {
    let document = with("id", json!("main")).unwrap();
    assert_eq!(document.validate(), Ok(()));
    let rules = document.rules();
    assert_eq!((rules.rate_per_minute, rules.burst, rules.overcall), (600, 10, 1));
    assert_eq!((rules.claim_window_ms, rules.session_ms, rules.session_max_ms), (180_000, 600_000, None));
    assert_eq!(with("rate_per_minute", json!(1)).unwrap().rules().burst, 1, "at least one permit stands ready");
    let again: Document = serde_json::from_str(&serde_json::to_string(&document).unwrap()).unwrap();
    assert_eq!(again, document);
}

#[rstest]
#[case("colour", json!("#ffffff"))]
#[case("rate_per_minute", json!(-1))]
#[case("rate_per_minute", json!(0.5))]
#[case("mode", json!("free"))]
#[case("opens_at", json!("2030-01-01 18:00:00Z"))]
#[case("opens_at", json!("2030-01-01T18:00:00"))]
#[case("opens_at", json!("2030-02-30T18:00:00Z"))]
#[case("opens_at", json!("1969-12-31T23:59:59Z"))]
#[case("page.title", json!(7))]
#[case("sale", json!("Summer sale"))]
#[case("stock_gate", json!("on"))]
fn what_cannot_be_read_is_refused(#[case] field: &str, #[case] value: Value) {
    assert!(with(field, value.clone()).is_err(), "{field} = {value}");
}

#[rstest]
#[case("name", json!(""))]
#[case("name", json!("x".repeat(81)))]
#[case("name", json!("a\u{7}b"))]
#[case("shop_url", json!("//shop.example"))]
#[case("shop_url", json!("ftp://shop.example/"))]
#[case("shop_url", json!("https://user@shop.example/"))]
#[case("shop_url", json!("https://shop.example\\@evil.example"))]
#[case("shop_url", json!("https://shop.example:99999/"))]
#[case("shop_url", json!("https://"))]
#[case("shop_url", json!("https://1.2.3/"))]
#[case("shop_url", json!("https://[::zz]/"))]
#[case("shop_url", json!(format!("https://shop.example/{}", "a".repeat(2048))))]
#[case("allowed_hosts", json!(["https://shop.example"]))]
#[case("allowed_hosts", json!([".com"]))]
#[case("allowed_hosts", json!(["*.shop.example"]))]
#[case("allowed_hosts", json!(["shop.example:0"]))]
#[case("allowed_hosts", json!(["shop.example/path"]))]
#[case("allowed_hosts", json!(["-shop.example"]))]
#[case("allowed_hosts", json!(vec!["a.example"; 51]))]
#[case("cookie_domain", json!(".shop.example"))]
#[case("cookie_domain", json!("example"))]
#[case("cookie_domain", json!("other.example"))]
#[case("rate_per_minute", json!(0))]
#[case("rate_per_minute", json!(10_000_001))]
#[case("burst", json!(0))]
#[case("burst", json!(10_000_001))]
#[case("max_active", json!(0))]
#[case("claim_window_seconds", json!(0))]
#[case("claim_window_seconds", json!(86_401))]
#[case("overcall", json!(101))]
#[case("session_seconds", json!(0))]
#[case("session_seconds", json!(604_801))]
#[case("session_max_seconds", json!(599))]
#[case("session_max_seconds", json!(2_592_001))]
#[case("join_per_address", json!(1_000_001))]
#[case("draw", json!(true))]
#[case("stock_gate", json!("inform"))]
#[case("page.title", json!("x".repeat(81)))]
#[case("page.message", json!("x".repeat(301)))]
#[case("page.title", json!({"english!": "Hello"}))]
#[case("page.title", json!({"en": "Hello", "de": "x".repeat(81)}))]
#[case("page.accent", json!("blue"))]
#[case("page.accent", json!("#12345g"))]
#[case("page.logo", json!("https://shop.example/logo.png"))]
#[case("page.logo", logo("gif", "R0lGODlh"))]
#[case("page.logo", logo("png", "AAAA"))]
#[case("page.logo", logo("svg+xml", "PHN2Zz4"))]
#[case("page.logo", logo("svg+xml", &"PHN2".repeat(5462)))]
fn what_is_out_of_bounds_is_refused_by_name(#[case] field: &str, #[case] value: Value) {
    let error = with(field, value).unwrap().validate().unwrap_err();
    assert!(error.field.starts_with(field), "{field}: {error}");
    assert!(!error.detail.is_empty());
}

#[rstest]
#[case("sale", json!("summer"))]
#[case("name", json!("ü".repeat(80)))]
#[case("shop_url", json!("http://localhost:3000"))]
#[case("shop_url", json!("https://[::1]:8443/a?b=c#d"))]
#[case("shop_url", json!("HTTPS://10.0.0.1"))]
#[case("allowed_hosts", json!(["shop.example", ".shop.example", "shop.example:8443", "localhost:3000", "[::1]:80"]))]
#[case("cookie_domain", json!("shop.example"))]
#[case("cookie_domain", json!("www.shop.example"))]
#[case("rate_per_minute", json!(10_000_000))]
#[case("session_max_seconds", json!(600))]
#[case("join_per_address", json!(0))]
#[case("max_active", json!(null))]
#[case("page.message", json!({"en": "Hello", "pt-BR": "x".repeat(300)}))]
#[case("page.accent", json!("#1A73e8"))]
#[case("page.logo", logo("png", "iVBORw0KGgoAAAANSUhEUg=="))]
#[case("page.logo", logo("svg+xml", &"PHN2".repeat(5461)))]
fn what_lies_within_bounds_is_taken(#[case] field: &str, #[case] value: Value) {
    let document = with(field, value).unwrap();
    assert_eq!(document.validate(), Ok(()));
    let again: Document = serde_json::from_value(serde_json::to_value(&document).unwrap()).unwrap();
    assert_eq!(again, document, "what is given back is what was put");
}

#[test]
fn fields_are_checked_against_each_other() {
    let mut document = with("rate_per_minute", json!(10_000_000)).unwrap();
    document.claim_window_seconds = 86_400;
    document.overcall = 2;
    assert_eq!(document.validate().unwrap_err().field, "overcall", "the ceiling is above 2^50");
    document.overcall = 0;
    assert_eq!(document.validate(), Ok(()));
    let at = |text: &str| Some(Timestamp::try_from(text.to_owned()).unwrap());
    document.opens_at = at("2030-01-01T18:00:00Z");
    document.closes_at = at("2030-01-01T19:00:00+01:00");
    assert_eq!(document.validate().unwrap_err().field, "closes_at");
    document.closes_at = at("2030-01-01T18:00:00.001Z");
    assert_eq!(document.validate(), Ok(()));
}

#[rstest]
#[case("2030-01-31T18:00:00Z", "2030-01-31T18:00:00Z")]
#[case("2030-01-31t18:00:00.25z", "2030-01-31T18:00:00.25Z")]
#[case("2030-01-31T18:00:00+05:30", "2030-01-31T12:30:00Z")]
fn times_are_rfc_3339_and_shown_in_utc(#[case] given: &str, #[case] shown: &str) {
    let time = Timestamp::try_from(given.to_owned()).unwrap();
    assert_eq!(String::from(time), shown);
    assert_eq!(Timestamp::try_from(shown.to_owned()), Ok(time));
}

#[test]
fn rules_within_bounds_are_left_as_they_are_and_others_forced() {
    let rules = with("id", json!("main")).unwrap().rules();
    assert_eq!(rules.bounded(), rules);
    let wild = Rules { rate_per_minute: 0, burst: u64::MAX, overcall: u64::MAX, claim_window_ms: u64::MAX, ..rules };
    let tamed = wild.bounded();
    assert_eq!((tamed.rate_per_minute, tamed.burst), (bounds::RATE_MIN, bounds::BURST_MAX));
    assert!(wild.ceiling_units() <= bounds::CEILING_MAX);
}
