//! Brings defaults, file, environment and flags together, and says where a wrong value came from.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use config::FileFormat;
use secrecy::SecretString;
use tracing_subscriber::EnvFilter;

use super::{
    Config, PublicUrl, StoreUrl,
    locate::{line_at, line_of},
};
use crate::room;

/// What a variable of ours starts with.
const PREFIX: &str = "DROPGATE_";

/// The sections that the environment can set; lists of rooms, sales and keys are the file's alone.
const SECTIONS: [&str; 5] = ["server", "store", "limits", "log", "signing"];

/// The variable of the key `env-admin`, which has no place in the file.
const ADMIN_KEY: &str = "DROPGATE_ADMIN_KEY";

/// The shortest admin key: 16 characters is where guessing over a network stops being a plan.
const ADMIN_KEY_MIN_CHARS: usize = 16;

/// The most threads that answer requests: more than any machine has processors, and fewer than it refuses to start.
const WORKERS_MAX: usize = 1_024;

/// The longest wait for requests in flight, a day: whoever wants to wait longer does not want to stop.
const SHUTDOWN_TIMEOUT_MAX_SECONDS: u64 = 86_400;

/// Where the layers come from. The environment is an argument, so that tests need not change the process's own.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    pub file: Option<PathBuf>,
    pub environment: BTreeMap<String, String>,
    pub flags: Flags,
}

/// The settings that have a flag.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    pub listen: Option<SocketAddr>,
    pub admin_listen: Option<SocketAddr>,
    pub store: Option<StoreUrl>,
    pub public_url: Option<PublicUrl>,
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    /// Makes a room `main` in front of this shop if there is no room yet.
    pub shop: Option<String>,
}

/// A setting that can't be taken: where it stands, its key, and what is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    pub origin: Origin,
    /// Dotted: `server.listen`, `rooms[0].rate_per_minute`; empty where the whole is meant.
    pub key: String,
    pub detail: String,
}

/// Where a wrong value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    File {
        path: PathBuf,
        line: Option<usize>,
    },
    Environment {
        variable: String,
    },
    Flag {
        name: &'static str,
    },
    /// Nothing single: what the layers add up to.
    Whole,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::File { path, line: Some(line) } => write!(f, "{}:{line}: ", path.display())?,
            Origin::File { path, line: None } => write!(f, "{}: ", path.display())?,
            Origin::Environment { variable } => write!(f, "{variable}: ")?,
            Origin::Flag { name } => write!(f, "--{name}: ")?,
            Origin::Whole => {}
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.detail)
    }
}

/// The configuration file: its name and its text, to point into.
struct FileText {
    path: PathBuf,
    text: String,
}

/// The configuration that the sources add up to, every value checked.
///
/// # Errors
/// The first thing that can't be taken, and where it stands.
pub fn load(sources: &Sources) -> Result<Config, ConfigError> {
    let file = sources.file.as_deref().map(read_file).transpose()?;
    let declared = match &file {
        Some(file) => parse_file(file)?,
        None => Config::default(),
    };
    let mut config = merge(file.as_ref(), sources)?;
    // Lists come from the file alone, and its own parser keeps keys and dates exactly as written.
    (config.rooms, config.sales) = (declared.rooms, declared.sales);
    (config.keys, config.signing.keys) = (declared.keys, declared.signing.keys);
    if let Some(url) = &sources.flags.store {
        // Not by way of its text, which is shown without its password.
        config.store.url = url.clone();
    }
    config.admin_key = admin_key(&sources.environment)?;
    config.first_room = sources.flags.shop.as_deref().map(first_room).transpose()?.map(Box::new);
    read_signing_secrets(&mut config, file.as_ref())?;
    let checked = check_server(&config).and_then(|()| config.store.check()).and_then(|()| check_each(&config));
    checked.map_err(|(key, detail)| located(file.as_ref(), key, detail))?;
    Ok(config)
}

/// What a configuration file says by itself, checked as far as no environment and no flag can mend it.
///
/// # Errors
/// The first thing that can't be taken, and its line.
pub fn load_file(path: &Path) -> Result<Config, ConfigError> {
    let file = read_file(path)?;
    let config = parse_file(&file)?;
    check_each(&config).map_err(|(key, detail)| located(Some(&file), key, detail))?;
    Ok(config)
}

/// Reads a file that holds one secret, surrounding white space cut off.
///
/// # Errors
/// It can't be read, or is empty.
pub fn read_secret_file(path: &Path) -> io::Result<SecretString> {
    let text = std::fs::read_to_string(path)?;
    match text.trim() {
        "" => Err(io::Error::other("the file is empty")),
        secret => Ok(SecretString::from(secret)),
    }
}

fn read_file(path: &Path) -> Result<FileText, ConfigError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(FileText { path: path.to_owned(), text }),
        Err(error) => Err(ConfigError {
            origin: Origin::File { path: path.to_owned(), line: None },
            key: String::new(),
            detail: error.to_string(),
        }),
    }
}

/// Parses the file by itself: its parser knows the line of everything, which the merged layers do not.
fn parse_file(file: &FileText) -> Result<Config, ConfigError> {
    let refuse = |error: &toml::de::Error, key: String| ConfigError {
        origin: Origin::File {
            path: file.path.clone(),
            line: error.span().map(|span| line_at(&file.text, span.start)).or_else(|| line_of(&file.text, &key)),
        },
        key,
        detail: error.message().replace('\n', ", "),
    };
    let deserializer = toml::Deserializer::parse(&file.text).map_err(|error| refuse(&error, String::new()))?;
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let path = error.path().to_string();
        let mut refused = refuse(error.inner(), if path == "." { String::new() } else { path });
        // TOML has dates of its own, which is what anyone would try first.
        if refused.key.ends_with("_at") && refused.detail.starts_with("invalid type: map") {
            refused.detail = "a time stands in quotes, like \"2030-01-31T18:00:00Z\"".to_owned();
        }
        refused
    })
}

/// Lays the environment and the flags over the file.
fn merge(file: Option<&FileText>, sources: &Sources) -> Result<Config, ConfigError> {
    let mut builder = config::Config::builder();
    if let Some(file) = file {
        builder = builder.add_source(config::File::from_str(&file.text, FileFormat::Toml));
    }
    for setting in environment_settings(&sources.environment)? {
        // Tried alone first, so that a wrong value is blamed on its own variable.
        let refuse = |error: config::ConfigError| setting.refuse(error.to_string());
        let alone = config::Config::builder().set_override(&setting.key, setting.value.as_str()).map_err(refuse)?;
        alone.build().and_then(config::Config::try_deserialize::<Config>).map_err(refuse)?;
        builder = builder.set_override(&setting.key, setting.value).map_err(whole)?;
    }
    for (key, value) in flag_settings(&sources.flags) {
        builder = builder.set_override(key, value).map_err(whole)?;
    }
    builder.build().and_then(config::Config::try_deserialize).map_err(whole)
}

fn whole(error: config::ConfigError) -> ConfigError {
    ConfigError { origin: Origin::Whole, key: String::new(), detail: error.to_string() }
}

/// One variable of the environment that sets something.
struct EnvironmentSetting {
    variable: String,
    key: String,
    value: String,
}

impl EnvironmentSetting {
    fn refuse(&self, detail: String) -> ConfigError {
        let origin = Origin::Environment { variable: self.variable.clone() };
        // The library repeats the key, which stands before the detail already.
        let repeated = format!(" for key `{}`", self.key);
        ConfigError { origin, key: self.key.clone(), detail: detail.replace(&repeated, "") }
    }
}

/// The settings in the environment, `…_FILE` read. A variable is `DROPGATE_SECTION_KEY`, and only keys have `_` inside.
fn environment_settings(environment: &BTreeMap<String, String>) -> Result<Vec<EnvironmentSetting>, ConfigError> {
    let mut settings: Vec<EnvironmentSetting> = Vec::new();
    for (variable, value) in environment {
        let Some(name) = variable.strip_prefix(PREFIX).filter(|name| !is_service_link(name)) else { continue };
        let name = name.to_ascii_lowercase();
        let Some((section, key)) = name.split_once('_').filter(|(section, _)| SECTIONS.contains(section)) else {
            continue;
        };
        let (key, value) = match key.strip_suffix("_file") {
            Some(key) => (key, read_variable_file(variable, value)?),
            None => (key, value.clone()),
        };
        let key = format!("{section}.{key}");
        let setting = EnvironmentSetting { variable: variable.clone(), key, value };
        if let Some(twice) = settings.iter().find(|other| other.key == setting.key) {
            return Err(setting.refuse(format!("{} sets the same", twice.variable)));
        }
        settings.push(setting);
    }
    Ok(settings)
}

/// Whether the rest of a variable's name is one that an orchestrator sets for a service of the name `dropgate` or
/// `dropgate-…`: not meant for us, and no reason to refuse to start.
fn is_service_link(name: &str) -> bool {
    let is_port = |rest: &str| rest.is_empty() || rest.starts_with('_');
    name.ends_with("SERVICE_HOST")
        || name.rsplit_once("SERVICE_PORT").is_some_and(|(_, rest)| is_port(rest))
        || name.rsplit_once("_PORT").is_some_and(|(_, rest)| is_port(rest))
}

fn read_variable_file(variable: &str, path: &str) -> Result<String, ConfigError> {
    use secrecy::ExposeSecret;
    let refuse = |detail: String| ConfigError {
        origin: Origin::Environment { variable: variable.to_owned() },
        key: String::new(),
        detail: format!("{path}: {detail}"),
    };
    let secret = read_secret_file(Path::new(path)).map_err(|error| refuse(error.to_string()))?;
    // No setting has two lines. This is a file that the setting itself should name, like a private key in PEM, and
    // must not be taken for its name, which errors repeat.
    if secret.expose_secret().contains('\n') {
        return Err(refuse("must hold the setting on one line, and holds several".to_owned()));
    }
    Ok(secret.expose_secret().to_owned())
}

fn flag_settings(flags: &Flags) -> Vec<(&'static str, String)> {
    let path = |path: &PathBuf| path.to_string_lossy().into_owned();
    [
        ("server.listen", flags.listen.map(|address| address.to_string())),
        ("server.admin_listen", flags.admin_listen.map(|address| address.to_string())),
        ("server.public_url", flags.public_url.as_ref().map(PublicUrl::to_string)),
        ("server.tls_cert", flags.tls_cert.as_ref().map(path)),
        ("server.tls_key", flags.tls_key.as_ref().map(path)),
    ]
    .into_iter()
    .filter_map(|(key, value)| value.map(|value| (key, value)))
    .collect()
}

/// The environment of this process; what is not Unicode is none of ours.
pub fn process_environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// The secret of the key `env-admin`, if the environment has one.
///
/// # Errors
/// It is too short, given twice, or its file can't be read.
pub fn admin_key(environment: &BTreeMap<String, String>) -> Result<Option<SecretString>, ConfigError> {
    let from_file = format!("{ADMIN_KEY}_FILE");
    let (variable, secret) = match (environment.get(ADMIN_KEY), environment.get(&from_file)) {
        (None, None) => return Ok(None),
        (Some(secret), None) => (ADMIN_KEY.to_owned(), secret.clone()),
        (None, Some(path)) => (from_file.clone(), read_variable_file(&from_file, path)?),
        (Some(_), Some(_)) => (from_file, String::new()),
    };
    if secret.chars().count() >= ADMIN_KEY_MIN_CHARS {
        return Ok(Some(SecretString::from(secret)));
    }
    let detail = if secret.is_empty() && environment.contains_key(ADMIN_KEY) && variable != ADMIN_KEY {
        format!("{ADMIN_KEY} sets the same")
    } else {
        format!("an admin key has at least {ADMIN_KEY_MIN_CHARS} characters; `dropgate key new` makes one")
    };
    Err(ConfigError { origin: Origin::Environment { variable }, key: String::new(), detail })
}

fn first_room(shop: &str) -> Result<room::Document, ConfigError> {
    let refuse = |detail: String| ConfigError { origin: Origin::Flag { name: "shop" }, key: String::new(), detail };
    let document = serde_json::json!({ "id": "main", "name": "Waiting room", "shop_url": shop });
    let document: room::Document = serde_json::from_value(document).map_err(|error| refuse(error.to_string()))?;
    document.validate().map_err(|error| refuse(error.detail))?;
    Ok(document)
}

/// The first value that can't be taken whatever the others are, and why.
fn check_each(config: &Config) -> Result<(), (String, String)> {
    if let Err(error) = EnvFilter::try_new(&config.log.filter) {
        return Err(("log.filter".to_owned(), error.to_string()));
    }
    check_signing_keys(config)?;
    let mut names = BTreeSet::from(["env-admin"]);
    for (i, key) in config.keys.iter().enumerate() {
        if key.name.is_empty() || key.scopes.is_empty() {
            return Err((format!("keys[{i}]"), "a key needs a name and at least one scope".to_owned()));
        }
        if key.rooms.as_ref().is_some_and(BTreeSet::is_empty) {
            return Err((format!("keys[{i}].rooms"), "leave it out to allow all rooms".to_owned()));
        }
        if key.sales.as_ref().is_some_and(BTreeSet::is_empty) {
            return Err((format!("keys[{i}].sales"), "leave it out to allow all sales".to_owned()));
        }
        if !names.insert(&key.name) {
            return Err((format!("keys[{i}].name"), format!("there is already a key {:?}", key.name)));
        }
    }
    let mut ids = BTreeSet::new();
    for (i, room) in config.rooms.iter().enumerate() {
        room.validate().map_err(|error| (format!("rooms[{i}].{}", error.field), error.detail))?;
        if !ids.insert(room.id.as_str()) {
            return Err((format!("rooms[{i}].id"), format!("there is already a room {:?}", room.id.as_str())));
        }
    }
    check_sales(config)
}

fn check_sales(config: &Config) -> Result<(), (String, String)> {
    let mut ids = BTreeSet::new();
    for (i, sale) in config.sales.iter().enumerate() {
        sale.validate().map_err(|error| (format!("sales[{i}].{}", error.field), error.detail))?;
        if !ids.insert(sale.id.as_str()) {
            return Err((format!("sales[{i}].id"), format!("there is already a sale {:?}", sale.id.as_str())));
        }
    }
    Ok(())
}

/// What only all layers together show: the first setting that can't be taken beside the others, and why.
fn check_server(config: &Config) -> Result<(), (String, String)> {
    let server = &config.server;
    let no = |key: &str, detail: &str| Err((key.to_owned(), detail.to_owned()));
    match (&server.tls_cert, &server.tls_key) {
        (Some(_), None) => return no("server.tls_cert", "needs server.tls_key beside it"),
        (None, Some(_)) => return no("server.tls_key", "needs server.tls_cert beside it"),
        _ => {}
    }
    if server.public_url.is_none() && !server.listen.ip().is_loopback() {
        let detail = "the address visitors reach us by must be said where server.listen is not on loopback: \
                      set it to something like https://line.shop.example, here, in DROPGATE_SERVER_PUBLIC_URL or by --public-url";
        return no("server.public_url", detail);
    }
    let is_same = |admin: SocketAddr| admin == server.listen && admin.port() != 0;
    if server.admin_listen.is_some_and(is_same) {
        return no("server.admin_listen", "must not be the address of server.listen");
    }
    if server.workers.is_some_and(|workers| !(1..=WORKERS_MAX).contains(&workers)) {
        return no("server.workers", &format!("must be from 1 to {WORKERS_MAX}"));
    }
    if server.shutdown_timeout_seconds > SHUTDOWN_TIMEOUT_MAX_SECONDS {
        return no("server.shutdown_timeout_seconds", &format!("must be at most {SHUTDOWN_TIMEOUT_MAX_SECONDS}"));
    }
    let limits = &config.limits;
    if limits.max_connections == 0 || limits.max_in_flight == 0 {
        return no("limits", "max_connections and max_in_flight must be at least 1");
    }
    Ok(())
}

/// Reads the files that hold signing keys.
fn read_signing_secrets(config: &mut Config, file: Option<&FileText>) -> Result<(), ConfigError> {
    for (i, key) in config.signing.keys.iter_mut().enumerate() {
        let refuse = |field: &str, detail: String| Err(located(file, format!("signing.keys[{i}]{field}"), detail));
        match (&key.secret, &key.secret_file) {
            (Some(_), None) => {}
            (None, Some(path)) => match read_secret_file(path) {
                Ok(secret) => key.secret = Some(secret),
                Err(error) => return refuse(".secret_file", format!("{}: {error}", path.display())),
            },
            _ => return refuse("", "needs either secret or secret_file".to_owned()),
        }
    }
    Ok(())
}

fn check_signing_keys(config: &Config) -> Result<(), (String, String)> {
    let mut kids = BTreeSet::new();
    for (i, key) in config.signing.keys.iter().enumerate() {
        let no = |field: &str, detail: &str| Err((format!("signing.keys[{i}]{field}"), detail.to_owned()));
        if key.kid.is_empty() || !kids.insert(&key.kid) {
            return no(".kid", "must be unique and not empty");
        }
    }
    Ok(())
}

/// An error about the whole, pointed at the file's line where the file sets that key.
fn located(file: Option<&FileText>, key: String, detail: String) -> ConfigError {
    let in_file = file.and_then(|file| {
        let line = line_of(&file.text, &key)?;
        Some(Origin::File { path: file.path.clone(), line: Some(line) })
    });
    ConfigError { origin: in_file.unwrap_or(Origin::Whole), key, detail }
}
