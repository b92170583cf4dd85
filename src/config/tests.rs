use std::{collections::BTreeMap, fs, path::PathBuf};

use rstest::rstest;
use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::{Config, Flags, REFERENCE, Sources, load};

/// A configuration file of its own, gone with the value.
struct File(TempDir);

impl File {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("dropgate.toml"), text).unwrap();
        Self(folder)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("dropgate.toml")
    }
}

fn environment(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
    variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn from_file(text: &str) -> Result<Config, String> {
    let file = File::new(text);
    let secret = file.0.path().join("ticket.key");
    fs::write(&secret, "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n").unwrap();
    fs::write(file.path(), text.replace("./ticket.key", secret.to_str().unwrap())).unwrap();
    let sources = Sources { file: Some(file.path()), ..Sources::default() };
    let folder = format!("{}/", file.0.path().display());
    load(&sources).map_err(|error| error.to_string().replace(&folder, ""))
}

fn from_environment(variables: &[(&str, &str)]) -> Result<Config, String> {
    load(&Sources { environment: environment(variables), ..Sources::default() }).map_err(|error| error.to_string())
}

/// The reference with every setting switched on, also those that are commented out.
fn reference_in_full() -> String {
    let is_setting = |line: &str| line.starts_with('#') && !line.starts_with("# ") && line.len() > 1;
    let switched_on = |line| if is_setting(line) { &line[1..] } else { line };
    REFERENCE.lines().map(switched_on).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_reference_is_the_defaults() {
    let reference = from_file(REFERENCE).unwrap();
    assert_eq!(format!("{reference:#?}"), format!("{:#?}", Config::default()));
}

#[test]
fn every_setting_of_the_reference_can_be_switched_on() {
    let config = from_file(&reference_in_full()).unwrap();
    assert!(config.store.password.is_some() && config.store.ca_file.is_some());
    assert_eq!((config.rooms.len(), config.sales.len(), config.keys.len(), config.signing.keys.len()), (1, 1, 1, 2));
}

#[rstest]
#[case("")]
#[case("[server]")]
#[case("[store]")]
#[case("[limits]")]
#[case("[log]")]
#[case("[signing]")]
#[case("[[signing.keys]]")]
#[case("[[keys]]")]
#[case("[[rooms]]")]
#[case("[[rooms]]\n[rooms.page]")]
fn the_reference_names_every_setting(#[case] section: &str) {
    // The refusal of an unknown setting lists the known ones: the code itself says what there is.
    let error = from_file(&format!("{section}\nnot-a-setting = 1\n")).unwrap_err();
    let known: Vec<&str> = error.split_once("expected").unwrap().1.split('`').skip(1).step_by(2).collect();
    assert!(!known.is_empty(), "{error}");
    for setting in known {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        assert!(REFERENCE.split(|c| !is_word(c)).any(|word| word == setting), "{section} {setting} is not explained");
    }
}

#[test]
fn a_flag_beats_the_environment_beats_the_file_beats_the_default() {
    let file = File::new("[server]\nlisten = '127.0.0.1:1'\nshutdown_timeout_seconds = 7\n[log]\nfilter = 'warn'");
    let sources = Sources {
        file: Some(file.path()),
        environment: environment(&[("DROPGATE_SERVER_LISTEN", "127.0.0.1:2"), ("DROPGATE_LOG_FILTER", "debug")]),
        flags: Flags { listen: Some("127.0.0.1:3".parse().unwrap()), ..Flags::default() },
    };
    let config = load(&sources).unwrap();
    assert_eq!(config.server.listen.port(), 3);
    assert_eq!(config.log.filter, "debug");
    assert_eq!(config.server.shutdown_timeout_seconds, 7);
    assert_eq!(config.server.workers, None);
}

#[test]
fn the_environment_sets_numbers_lists_and_choices() {
    let config = from_environment(&[
        ("DROPGATE_LIMITS_MAX_IN_FLIGHT", "17"),
        ("DROPGATE_SERVER_TRUSTED_PROXIES", "10.0.0.0/8, ::1"),
        ("DROPGATE_LOG_FORMAT", "json"),
        ("DROPGATE_STORE_URL", "memory:"),
    ])
    .unwrap();
    assert_eq!(config.limits.max_in_flight, 17);
    assert_eq!(config.server.trusted_proxies.len(), 2);
    assert_eq!(config.log.format, super::LogFormat::Json);
    assert_eq!(config.store.url, super::StoreUrl::Memory);
}

#[test]
fn a_secret_comes_from_a_file_and_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    fs::write(&path, "a-long-enough-admin-key\n").unwrap();
    let config = from_environment(&[("DROPGATE_ADMIN_KEY_FILE", path.to_str().unwrap())]).unwrap();
    assert_eq!(config.admin_key.as_ref().unwrap().expose_secret(), "a-long-enough-admin-key");
    assert!(!format!("{config:?}").contains("a-long-enough-admin-key"));
}

#[test]
fn the_password_of_redis_comes_from_a_file_the_environment_or_the_url_and_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    fs::write(&path, "a-secret\n").unwrap();
    let url = ("DROPGATE_STORE_URL", "redis://h");
    for password in [("DROPGATE_STORE_PASSWORD_FILE", path.to_str().unwrap()), ("DROPGATE_STORE_PASSWORD", "a-secret")]
    {
        let config = from_environment(&[url, password]).unwrap();
        assert_eq!(config.store.password.as_ref().unwrap().expose_secret(), "a-secret");
        assert!(!format!("{config:?}").contains("a-secret"));
    }
    let flags = Flags { store: Some("rediss://u:a-secret@h".parse().unwrap()), ..Flags::default() };
    let config = load(&Sources { flags, ..Sources::default() }).unwrap();
    let super::StoreUrl::Redis(redis) = &config.store.url else { panic!("{config:?}") };
    assert_eq!(redis.password.as_ref().unwrap().secret().expose_secret(), "a-secret");
    assert!(!format!("{config:?}").contains("a-secret"));
}

#[test]
fn a_private_key_is_not_taken_for_the_name_of_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tls.key");
    fs::write(&path, "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMG\n-----END PRIVATE KEY-----\n").unwrap();
    let error = from_environment(&[("DROPGATE_SERVER_TLS_KEY_FILE", path.to_str().unwrap())]).unwrap_err();
    assert!(error.starts_with("DROPGATE_SERVER_TLS_KEY_FILE: ") && error.contains("on one line"), "{error}");
    assert!(!error.contains("MIGHAgEAMBMG"), "{error}");
}

#[test]
fn variables_of_an_orchestrator_are_not_ours() {
    let config = from_environment(&[
        ("DROPGATE_SERVICE_HOST", "10.0.0.1"),
        ("DROPGATE_PORT", "tcp://10.0.0.1:80"),
        ("DROPGATE_STORE_PORT_6379_TCP_ADDR", "10.0.0.2"),
        ("DROPGATE_STORE_SERVICE_PORT", "6379"),
    ]);
    assert!(config.is_ok(), "{config:?}");
}

#[test]
fn a_page_in_many_languages_keeps_its_keys() {
    let text =
        "[[rooms]]\nid='a'\nname='A'\nshop_url='https://a.example'\n[rooms.page]\ntitle = {'pt-BR' = 'Oi', en = 'Hi'}";
    let config = from_file(text).unwrap();
    let Some(crate::room::settings::Localized::ByLanguage(title)) = &config.rooms[0].page.title else { panic!() };
    assert_eq!(title.keys().collect::<Vec<_>>(), ["en", "pt-BR"]);
}

const ROOM: &str = "[[rooms]]\nid = 'a'\nname = 'A'\nshop_url = 'https://a.example'\n";

#[rstest]
#[case::syntax("[server\n", "dropgate.toml:1: ")]
#[case::unknown(
    "\n[server]\nlisten_on = '1'\n",
    "dropgate.toml:3: server.listen_on: unknown field `listen_on`, expected one of"
)]
#[case::section("[servr]\n", "dropgate.toml:1: servr: unknown field `servr`")]
#[case::bare_time(
    "[[rooms]]\nid = 'a'\nname = 'A'\nshop_url = 'https://a.example'\nopens_at = 2030-01-31T18:00:00Z\n",
    "dropgate.toml:5: rooms[0].opens_at: a time stands in quotes"
)]
#[case::type_("[log]\nfilter = 7\n", "dropgate.toml:2: log.filter: invalid type: integer `7`, expected a string")]
#[case::filter("[log]\n\nfilter = 'dropgate=loud'\n", "dropgate.toml:3: log.filter: ")]
#[case::address(
    "[server]\nlisten = 'here'\n",
    "dropgate.toml:2: server.listen: must be an IP address and a port, like "
)]
#[case::store(
    "[store]\nurl = 'redis://:pw@h/pw'\n",
    "dropgate.toml:2: store.url: an address of Redis must end after the port"
)]
#[case::ca(
    "[store]\nurl = 'redis://h'\nca_file = 'x'\n",
    "dropgate.toml:3: store.ca_file: needs a store.url that begins with rediss"
)]
#[case::patience(
    "[store]\nurl = 'redis://h'\ndurability = 'replica'\ncall_timeout_ms = 200\n",
    "dropgate.toml:4: store.call_timeout_ms: must be at least 300"
)]
#[case::proxies(
    "[server]\ntrusted_proxies = ['10.0.0.0/40']\n",
    "dropgate.toml:2: server.trusted_proxies: \"10.0.0.0/40\" is neither"
)]
#[case::tls("[server]\n\ntls_cert = 'x'\n", "dropgate.toml:3: server.tls_cert: needs server.tls_key")]
#[case::public(
    "[server]\nlisten = '0.0.0.0:80'\n",
    "dropgate.toml:1: server.public_url: the address visitors reach us by"
)]
#[case::path("[server]\npublic_url = 'https://a.example/line'\n", "dropgate.toml:2: server.public_url: must be like")]
#[case::hash(
    "[[keys]]\nname='a'\nscopes=['read']\nsha256='ff'\n",
    "dropgate.toml:4: keys[0].sha256: must be a SHA-256"
)]
#[case::scope("[[keys]]\nname='a'\nscopes=['root']\n", "dropgate.toml:3: keys[0].scopes[0]: unknown variant `root`")]
fn a_mistake_in_the_file_is_named_with_its_line_and_key(#[case] text: &str, #[case] expected: &str) {
    let error = from_file(text).unwrap_err();
    assert!(error.starts_with(expected), "{error}");
    assert!(!error.contains('\n') && !error.contains("pw"), "{error}");
}

#[test]
fn a_mistake_in_the_second_room_is_named_with_its_line() {
    let second =
        format!("{ROOM}\n[[rooms]]\nid = 'b'\nname = 'B'\nshop_url = 'https://b.example'\nrate_per_minute = 0\n");
    let error = from_file(&second).unwrap_err();
    assert!(error.starts_with("dropgate.toml:10: rooms[1].rate_per_minute: "), "{error}");
    let error = from_file(&format!("{ROOM}{ROOM}")).unwrap_err();
    assert!(error.starts_with("dropgate.toml:6: rooms[1].id: there is already a room \"a\""), "{error}");
}

#[rstest]
#[case("DROPGATE_SERVER_LISTN", "1", "DROPGATE_SERVER_LISTN: server.listn: unknown field `listn`, expected one of")]
#[case(
    "DROPGATE_SERVER_SHUTDOWN_TIMEOUT_SECONDS",
    "9223372036854775807",
    "server.shutdown_timeout_seconds: must be at most 86400"
)]
#[case("DROPGATE_SERVER_WORKERS", "0", "server.workers: must be from 1 to 1024")]
#[case("DROPGATE_SERVER_WORKERS", "100000", "server.workers: must be from 1 to 1024")]
#[case("DROPGATE_SERVER_WORKERS", "many", "DROPGATE_SERVER_WORKERS: server.workers: invalid type: string \"many\"")]
#[case(
    "DROPGATE_STORE_URL",
    "rediss://u:pw@h?pw",
    "DROPGATE_STORE_URL: store.url: an address of Redis must have no `?`"
)]
#[case("DROPGATE_STORE_CONNECTIONS", "0", "store.connections: must be from 1 to 512")]
#[case("DROPGATE_STORE_REPLICAS", "17", "store.replicas: must be from 1 to 16")]
#[case("DROPGATE_STORE_CALL_TIMEOUT_MS", "1", "store.call_timeout_ms: must be from 20 to 30000")]
#[case("DROPGATE_STORE_CONNECT_TIMEOUT_MS", "40000", "store.connect_timeout_ms: must be from 20 to 30000")]
#[case("DROPGATE_STORE_DURABILITY", "local", "store.durability: is that of a store on Redis")]
#[case("DROPGATE_STORE_DURABILITY", "some", "DROPGATE_STORE_DURABILITY: store.durability: ")]
#[case("DROPGATE_STORE_URL", "redis://u@h", "store.password: store.url names a user")]
#[case("DROPGATE_STORE_URL_FILE", "/nowhere", "DROPGATE_STORE_URL_FILE: /nowhere: No such file")]
#[case("DROPGATE_ADMIN_KEY", "short", "DROPGATE_ADMIN_KEY: an admin key has at least 16 characters")]
fn a_mistake_in_the_environment_is_named_with_its_variable(
    #[case] variable: &str,
    #[case] value: &str,
    #[case] expected: &str,
) {
    let error = from_environment(&[(variable, value)]).unwrap_err();
    assert!(error.starts_with(expected), "{error}");
    assert!(!error.contains("pw"), "{error}");
}

#[test]
fn the_public_address_is_the_listeners_on_loopback_only() {
    let config = Config::default();
    let url = config.server.public_url_at("127.0.0.1:4242".parse().unwrap());
    assert_eq!((url.as_str(), url.is_https()), ("http://127.0.0.1:4242", false));
    let listen = |address: &str| Flags { listen: Some(address.parse().unwrap()), ..Flags::default() };
    let load_flags = |flags| load(&Sources { flags, ..Sources::default() });
    assert!(load_flags(listen("[::1]:80")).is_ok());
    assert!(load_flags(listen("192.0.2.1:80")).unwrap_err().to_string().starts_with("server.public_url: "));
    let named = Flags { public_url: Some("https://Line.shop.example/".parse().unwrap()), ..listen("0.0.0.0:80") };
    assert_eq!(load_flags(named).unwrap().server.public_url.unwrap().as_str(), "https://line.shop.example");
}
