use rstest::rstest;

use super::*;
use crate::room::Document;

const PUBLIC: &str = "https://wait.shop.example";

fn policy(shop_url: &str, allowed_hosts: &[&str]) -> ReturnPolicy {
    policy_at(PUBLIC, shop_url, allowed_hosts)
}

fn policy_at(public_url: &str, shop_url: &str, allowed_hosts: &[&str]) -> ReturnPolicy {
    let json = serde_json::json!({
        "id": "main", "name": "Main", "shop_url": shop_url, "allowed_hosts": allowed_hosts,
    });
    let document: Document = serde_json::from_value(json).unwrap();
    ReturnPolicy::new(&document, public_url)
}

fn shop() -> ReturnPolicy {
    policy("https://shop.example/", &[".cdn.example", "b.example:8443", "xn--mller-kva.example", "localhost"])
}

#[rstest]
#[case("https://shop.example")]
#[case("https://shop.example/")]
#[case("https://shop.example:443/a?b=c#d")]
#[case("https://SHOP.Example/a")]
#[case("https://shop.example/a%20b?q=red%20shoes+x&y=%C3%BC")]
#[case("https://shop.example/?next=https://evil.example/")]
#[case("https://shop.example?x")]
#[case("https://shop.example#x")]
#[case("https://a.cdn.example/x")]
#[case("https://a.b.cdn.example/x")]
#[case("https://b.example:8443/x")]
#[case("https://xn--mller-kva.example/")]
#[case("http://localhost:3000/x")]
#[case("https://localhost/x")]
fn addresses_of_the_shop_are_taken_as_they_are(#[case] raw: &str) {
    assert_eq!(shop().inspect(raw).as_ref().map(ReturnUrl::as_str), Ok(raw));
}

#[rstest]
#[case::nothing("")]
#[case::no_scheme("//evil.example")]
#[case::no_scheme_of_ours("//shop.example")]
#[case::path("/a")]
#[case::backslash("/\\evil.example")]
#[case::backslashes("\\\\evil.example")]
#[case::backslash_after_scheme("https:\\\\shop.example")]
#[case::backslash_as_slash("https://shop.example\\@evil.example/")]
#[case::backslash_in_path("https://shop.example/\\evil.example")]
#[case::one_slash("https:/shop.example/")]
#[case::no_slash("https:shop.example")]
#[case::three_slashes("https:///shop.example/")]
#[case::user("https://shop.example@evil.example/")]
#[case::user_and_password("https://shop.example:443@evil.example/")]
#[case::own_user("https://user@shop.example/")]
#[case::empty_user("https://@shop.example/")]
#[case::encoded_at("https://shop.example%40evil.example/")]
#[case::encoded_slash("https://shop.example%2f.evil.example/")]
#[case::encoded_space_in_host("https://shop.example%20/")]
#[case::encoded_dot("https://shop%2eexample/")]
#[case::space_in_front(" https://shop.example/")]
#[case::space_behind("https://shop.example/ ")]
#[case::tab_in_scheme("ht\ttps://shop.example/")]
#[case::tab_in_path("https://shop.example/\t/evil.example")]
#[case::newline("https://shop.example/\nSet-Cookie:x")]
#[case::carriage_return("https://shop.example/\r\nx")]
#[case::nul("https://shop.example/\0")]
#[case::delete("https://shop.example/\x7f")]
#[case::encoded_nul("https://shop.example/%00")]
#[case::encoded_tab("https://shop.example/%09/evil.example")]
#[case::encoded_newline("https://shop.example/?a=%0d%0aSet-Cookie:x")]
#[case::encoded_delete("https://shop.example/%7F")]
#[case::control_above_ascii("https://shop.example/\u{85}")]
#[case::script("javascript:alert(1)//https://shop.example/")]
#[case::script_with_host("javascript://shop.example/%0aalert(1)")]
#[case::data("data:text/html,x")]
#[case::file("file://shop.example/etc/passwd")]
#[case::ftp("ftp://shop.example/")]
#[case::websocket("wss://shop.example/")]
#[case::capital_scheme("HTTPS://shop.example/")]
#[case::mixed_scheme("hTtps://shop.example/")]
#[case::port_empty("https://shop.example:/")]
#[case::port_of_letters("https://shop.example:x/")]
#[case::port_signed("https://shop.example:+443/")]
#[case::port_zero("https://shop.example:0/")]
#[case::port_padded("https://shop.example:0443/")]
#[case::port_too_high("https://shop.example:65979/")]
#[case::two_ports("https://shop.example:443:443/")]
#[case::trailing_dot("https://shop.example./")]
#[case::leading_dot("https://.shop.example/")]
#[case::two_dots("https://shop..example/")]
#[case::double_slash_path("https://shop.example//evil.example")]
#[case::unicode_host("https://müller.example/")]
#[case::unicode_look_alike("https://shoр.example/")]
#[case::full_width_dot("https://shop。example/")]
#[case::full_width_slash("https://shop.example／evil.example/")]
#[case::unicode_path("https://shop.example/ü")]
#[case::soft_hyphen("https://shop\u{ad}.example/")]
#[case::ipv6_zone("https://[::1%25eth0]/")]
#[case::ipv6_open("https://[::1/")]
#[case::ipv6_tail("https://[::1]evil.example/")]
#[case::bare_ipv6("https://::1/")]
#[case::bad_punycode("https://xn--/")]
fn malformed_addresses_are_refused(#[case] raw: &str) {
    assert_eq!(shop().inspect(raw), Err(Refused::Malformed));
}

#[rstest]
#[case::another("https://evil.example/")]
#[case::look_alike_behind("https://shop.example.evil.example/")]
#[case::look_alike_before("https://evilshop.example/")]
#[case::look_alike_dash("https://evil-shop.example/")]
#[case::subdomain("https://a.shop.example/")]
#[case::suffix_itself("https://cdn.example/")]
#[case::suffix_look_alike("https://evilcdn.example/")]
#[case::other_port("https://shop.example:8443/")]
#[case::missing_port("https://b.example/")]
#[case::wrong_port("https://b.example:443/")]
#[case::plain_port("https://shop.example:80/")]
#[case::punycode_look_alike("https://xn--sho-5cd.example/")]
#[case::underscored("https://shop_.example/")]
#[case::loopback_by_number("http://127.0.0.1/")]
#[case::ipv6("https://[::1]/")]
#[case::fragment_host("https://evil.example#shop.example")]
#[case::query_host("https://evil.example?shop.example")]
fn other_hosts_are_refused(#[case] raw: &str) {
    assert_eq!(shop().inspect(raw), Err(Refused::ForeignHost));
}

#[rstest]
#[case("http://0x7f.1/")]
#[case("http://2130706433/")]
#[case("http://127.1/")]
#[case("http://0177.0.0.1/")]
fn other_spellings_of_an_allowed_number_are_refused(#[case] raw: &str) {
    assert_eq!(policy("http://127.0.0.1:3000", &["127.0.0.1"]).inspect(raw), Err(Refused::Malformed));
}

#[test]
fn ipv6_hosts_are_compared_as_numbers() {
    let policy = policy("https://[2001:db8::1]:8443/", &[]);
    assert!(policy.check("https://[2001:DB8:0::1]:8443/x").is_some());
    assert_eq!(policy.inspect("https://[2001:db8::1]/x"), Err(Refused::ForeignHost));
}

#[test]
fn plain_http_is_for_plain_shops_and_localhost() {
    assert_eq!(shop().inspect("http://shop.example/"), Err(Refused::Plain));
    assert_eq!(shop().inspect("http://a.cdn.example/"), Err(Refused::Plain));
    let plain = policy("http://shop.example/", &["b.example"]);
    assert!(plain.check("http://shop.example/x").is_some());
    assert!(plain.check("http://b.example:80/x").is_some());
    assert!(plain.check("https://shop.example/x").is_some());
}

#[test]
fn a_port_in_the_shop_url_is_required_on_localhost_too() {
    let policy = policy("http://localhost:3000", &[]);
    assert!(policy.check("http://localhost:3000/x").is_some());
    assert_eq!(policy.inspect("http://localhost:3001/x"), Err(Refused::ForeignHost));
}

#[test]
fn our_own_address_counts_as_absent() {
    let policy = policy("https://shop.example/", &[".shop.example"]);
    for own in ["https://wait.shop.example", "https://WAIT.shop.example:443/w/main?t=x", "https://wait.shop.example?a"]
    {
        assert_eq!(policy.inspect(own), Err(Refused::Own), "{own}");
    }
    assert!(policy.check("https://other.shop.example/").is_some());
    let same_host = policy_at("http://127.0.0.1:8080", "http://127.0.0.1:8081/", &["127.0.0.1:8080"]);
    assert_eq!(same_host.inspect("http://127.0.0.1:8080/x"), Err(Refused::Own));
    assert!(same_host.check("http://127.0.0.1:8081/x").is_some());
}

#[test]
fn an_address_that_is_too_long_is_refused() {
    let longest = format!("https://shop.example/{}", "a".repeat(RETURN_URL_MAX_BYTES - "https://shop.example/".len()));
    assert!(shop().check(&longest).is_some());
    assert_eq!(shop().inspect(&format!("{longest}a")), Err(Refused::Malformed));
}

#[test]
fn without_a_good_return_address_the_visitor_goes_to_the_shop() {
    assert_eq!(shop().resolve(None).as_str(), "https://shop.example/");
    assert_eq!(shop().resolve(Some("https://evil.example/")).as_str(), "https://shop.example/");
    assert_eq!(shop().resolve(Some("https://shop.example/a?dropgate=x")).as_str(), "https://shop.example/a");
}

#[rstest]
#[case("https://s/", "https://s/")]
#[case("https://s/?dropgate=x", "https://s/")]
#[case("https://s/?dropgate", "https://s/")]
#[case("https://s/?dropgate=x#f?dropgate=y", "https://s/#f?dropgate=y")]
#[case("https://s/?a=1&dropgate=x&b=%20+&", "https://s/?a=1&b=%20+&")]
#[case("https://s/?dropgate=x&a&dropgate=y", "https://s/?a")]
#[case("https://s/?%64ropgate=x&a=1", "https://s/?a=1")]
#[case("https://s/?Dropgate=x&dropgate2=y&xdropgate=z", "https://s/?Dropgate=x&dropgate2=y&xdropgate=z")]
#[case("https://s/?a=dropgate=1", "https://s/?a=dropgate=1")]
#[case("https://s/?", "https://s/?")]
#[case("https://s/?&&a", "https://s/?&&a")]
#[case("https://s/dropgate=x", "https://s/dropgate=x")]
fn the_parameter_is_cut_out_and_nothing_else(#[case] url: &str, #[case] clean: &str) {
    assert_eq!(cut_parameter(url), clean);
}

#[rstest]
#[case("https://s", "https://s?dropgate=T")]
#[case("https://s/a#f", "https://s/a?dropgate=T#f")]
#[case("https://s/?a=1#f", "https://s/?a=1&dropgate=T#f")]
#[case("https://s/?", "https://s/?&dropgate=T")]
#[case("https://s/?dropgate=old&a=1", "https://s/?a=1&dropgate=T")]
fn the_parameter_goes_in_before_the_fragment(#[case] url: &str, #[case] with: &str) {
    assert_eq!(with_parameter(url, "T"), with);
    assert_eq!(parameter(&with_parameter(url, "T")), Some("T"));
    assert_eq!(cut_parameter(&with_parameter(url, "T")), cut_parameter(url));
}

#[test]
fn pages_of_the_rooms_hosts_may_call_us() {
    let policy = policy("https://shop.example/a", &[]);
    assert!(policy.admits_origin("https://shop.example"));
    for foreign in
        ["null", "https://shop.example/", "http://shop.example", "https://evil.example", "https://shop.example:1"]
    {
        assert!(!policy.admits_origin(foreign), "{foreign}");
    }
}
