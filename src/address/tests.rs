use rstest::rstest;
use secrecy::ExposeSecret;

use super::*;

fn redis(text: &str) -> RedisUrl {
    match text.parse() {
        Ok(StoreUrl::Redis(url)) => url,
        other => panic!("{text}: {other:?}"),
    }
}

#[rstest]
#[case("redis://localhost", "redis://localhost:6379/0")]
#[case("rediss://h:7000/3", "rediss://h:7000/3")]
#[case("redis://u:p%40w@[::1]:7", "redis://u@[::1]:7/0")]
#[case("redis+sentinel://:pw@a,b:7/main?sentinel_password=sp", "redis+sentinel://a:26379,b:7/main")]
#[case("rediss+cluster://u:pw@a,b:7", "rediss+cluster://u@a:6379,b:7")]
fn an_address_of_redis_is_shown_without_its_passwords(#[case] text: &str, #[case] shown: &str) {
    let url = redis(text);
    assert_eq!(url.to_string(), shown);
    assert_eq!(StoreUrl::Redis(url.clone()).to_string(), shown);
    let debug = format!("{url:?}");
    assert!(!debug.contains("pw") && !debug.contains("p@w") && !debug.contains("\"sp\""), "{debug}");
}

#[test]
fn passwords_are_decoded() {
    let secret = |password: Option<Password>| password.map(|it| it.secret().expose_secret().to_owned());
    let url = redis("redis://%75ser:a%25b+c@d@h");
    assert_eq!((url.user.as_deref(), secret(url.password).as_deref()), (Some("user"), Some("a%b+c@d")));
    let Servers::Sentinel { password, name, sentinels } = redis("redis+sentinel://h/x?sentinel_password=%23").servers
    else {
        panic!("an address with a sentinel leads to sentinels")
    };
    assert_eq!((secret(password).as_deref(), name.as_str(), sentinels.len()), (Some("#"), "x", 1));
}

#[rstest]
#[case("redis://", "host:port")]
#[case("redis:h", "must begin with")]
#[case("redis://:secret@h:0", "host:port")]
#[case("redis://:secret@h:70000", "host:port")]
#[case("redis://:secret@h/x", "the number of a database")]
#[case("redis://:secret@h?db=1", "no `?` part")]
#[case("redis://:secret#1@h", "%23")]
#[case("redis://:secret%zz@h", "%25")]
#[case("redis://:secret@h,i", "several servers")]
#[case("redis+sentinel://:secret@h", "the name the sentinels know")]
#[case("redis+sentinel://:secret@h/x?password=secret", "sentinel_password")]
#[case("redis+cluster://:secret@h/1", "no databases")]
#[case("redis+cluster://:secret@h,", "host:port")]
#[case("redis+ring://:secret@h", "must be memory:")]
fn a_wrong_address_of_redis_is_refused_without_being_repeated(#[case] text: &str, #[case] expected: &str) {
    let error = text.parse::<StoreUrl>().unwrap_err().to_string();
    assert!(error.contains(expected) && !error.contains("secret"), "{error}");
}
