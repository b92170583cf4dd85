//! Where Redis is: one server, a primary that sentinels know, or a cluster.

use std::{fmt, str::FromStr};

use secrecy::{ExposeSecret, SecretString};
use url::form_urlencoded::byte_serialize;

use super::InvalidAddress;

/// The port of a Redis server where none is named.
const SERVER_PORT: u16 = 6379;

/// The port of a sentinel where none is named.
const SENTINEL_PORT: u16 = 26379;

/// Where Redis is, and as whom to speak to it. Shown without its passwords.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisUrl {
    pub servers: Servers,
    /// Whether every connection is TLS: `rediss…`.
    pub is_tls: bool,
    pub user: Option<String>,
    pub password: Option<Password>,
}

/// How the server that takes writes is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Servers {
    /// `redis://host:port/db`
    Single { server: HostPort, database: u32 },
    /// `redis+sentinel://h1:p,h2:p/NAME`
    Sentinel { sentinels: Vec<HostPort>, name: String, password: Option<Password> },
    /// `redis+cluster://h1:p,h2:p`
    Cluster { seeds: Vec<HostPort> },
}

/// A host, by name or address, and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    /// Without the brackets that an IPv6 address has in a URL.
    pub host: String,
    pub port: u16,
}

/// A password in an address: compared, and never shown.
#[derive(Clone, Debug)]
pub struct Password(SecretString);

impl Password {
    /// The password as a secret.
    pub fn secret(&self) -> &SecretString {
        &self.0
    }
}

impl PartialEq for Password {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl Eq for Password {}

impl RedisUrl {
    /// The schemes of such addresses.
    pub const SCHEMES: [&str; 6] =
        ["redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"];

    fn scheme(&self) -> &'static str {
        match (&self.servers, self.is_tls) {
            (Servers::Single { .. }, false) => "redis",
            (Servers::Single { .. }, true) => "rediss",
            (Servers::Sentinel { .. }, false) => "redis+sentinel",
            (Servers::Sentinel { .. }, true) => "rediss+sentinel",
            (Servers::Cluster { .. }, false) => "redis+cluster",
            (Servers::Cluster { .. }, true) => "rediss+cluster",
        }
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme())?;
        if let Some(user) = &self.user {
            write!(f, "{}@", byte_serialize(user.as_bytes()).collect::<String>())?;
        }
        let list = |hosts: &[HostPort]| hosts.iter().map(HostPort::to_string).collect::<Vec<_>>().join(",");
        match &self.servers {
            Servers::Single { server, database } => write!(f, "{server}/{database}"),
            Servers::Sentinel { sentinels, name, .. } => write!(f, "{}/{name}", list(sentinels)),
            Servers::Cluster { seeds } => f.write_str(&list(seeds)),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl FromStr for RedisUrl {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let Some((scheme, rest)) = text.split_once("://").filter(|(scheme, _)| Self::SCHEMES.contains(scheme)) else {
            return Err(no("must begin with redis://, redis+sentinel:// or redis+cluster://, or rediss… for TLS"));
        };
        let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
        if rest.contains('#') {
            return Err(no("must have no `#`: in a password it is written %23"));
        }
        // The last `@`, so that a password with one is taken as it was meant.
        let (login, rest) = rest.rsplit_once('@').map_or(("", rest), |(login, rest)| (login, rest));
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let (kind, is_tls) = match scheme.split_once('+') {
            Some((transport, kind)) => (kind, transport == "rediss"),
            None => ("", scheme == "rediss"),
        };
        let servers = match kind {
            "sentinel" => sentinels(hosts, path, query)?,
            _ if query.is_some() => return Err(no("must have no `?` part")),
            "cluster" => cluster(hosts, path)?,
            _ => single(hosts, path)?,
        };
        let user = Some(decode(user)?).filter(|user| !user.is_empty());
        Ok(Self { servers, is_tls, user, password: password_of(password)? })
    }
}

fn single(host: &str, path: &str) -> Result<Servers, InvalidAddress> {
    let database = match path {
        "" => 0,
        path => path.parse().map_err(|_| no("must end after the port, or with the number of a database: /0"))?,
    };
    match host.contains(',') {
        true => Err(no("names several servers: use redis+sentinel:// or redis+cluster:// for those")),
        false => Ok(Servers::Single { server: host_port(host, SERVER_PORT)?, database }),
    }
}

fn sentinels(hosts: &str, path: &str, query: Option<&str>) -> Result<Servers, InvalidAddress> {
    if path.is_empty() || path.contains('/') {
        return Err(no("must end with the name the sentinels know the primary by: redis+sentinel://host:26379/NAME"));
    }
    let password = match query.map(|query| query.split_once('=')) {
        None => None,
        Some(Some(("sentinel_password", password))) => password_of(password)?,
        Some(_) => return Err(no("knows one option behind the `?`: sentinel_password")),
    };
    Ok(Servers::Sentinel { sentinels: list(hosts, SENTINEL_PORT)?, name: decode(path)?, password })
}

fn cluster(hosts: &str, path: &str) -> Result<Servers, InvalidAddress> {
    match path {
        "" | "0" => Ok(Servers::Cluster { seeds: list(hosts, SERVER_PORT)? }),
        _ => Err(no("must end after the hosts: a cluster has no databases")),
    }
}

fn list(hosts: &str, port: u16) -> Result<Vec<HostPort>, InvalidAddress> {
    hosts.split(',').map(|host| host_port(host, port)).collect()
}

fn host_port(text: &str, default: u16) -> Result<HostPort, InvalidAddress> {
    let bad = || no("must name each server as host:port, an IPv6 address in brackets");
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or_else(bad)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| bad())?;
            (host, port)
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port = match port {
        "" => default,
        port => port.strip_prefix(':').and_then(|port| port.parse().ok()).filter(|port| *port != 0).ok_or_else(bad)?,
    };
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || "/?@[]%".contains(c);
    match host.is_empty() || host.contains(is_odd) {
        true => Err(bad()),
        false => Ok(HostPort { host: host.to_owned(), port }),
    }
}

fn password_of(text: &str) -> Result<Option<Password>, InvalidAddress> {
    let password = decode(text)?;
    Ok((!password.is_empty()).then(|| Password(SecretString::from(password))))
}

/// What a percent-encoded text stands for. `+` is itself here, unlike in a form.
fn decode(text: &str) -> Result<String, InvalidAddress> {
    let bad = || no("must write a `%` in a user, name or password as %25, and other bytes as % and two hex digits");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, tail) = rest.split_at_checked(2).ok_or_else(bad)?;
        let digits = std::str::from_utf8(digits).map_err(|_| bad())?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| bad())?);
        rest = tail;
    }
    String::from_utf8(bytes).map_err(|_| bad())
}

/// Never with the text itself: it may hold a password.
fn no(why: &str) -> InvalidAddress {
    InvalidAddress(format!("an address of Redis {why}"))
}
