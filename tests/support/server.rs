//! The real `dropgate serve` as a child process, on a port of its own choosing and a folder of its own.

use std::{fs, path::PathBuf, process::Command};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    SOON,
    client::{Browserlike, json_of, plain},
    process::Process,
    redis::{
        cluster::Cluster,
        sentinels::Sentinels,
        server::{Redis, SYNCED},
    },
};

/// The operator's key of every spawned server.
pub const ADMIN_KEY: &str = "an-admin-key-for-tests-only-0123456789";

/// What a server is started with, and the folder it keeps its data in: outlives the servers started from it.
pub struct Home {
    dir: TempDir,
    config: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    store: Store,
}

/// Where servers keep their rooms and sales.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Forgotten when the server ends.
    Memory,
    /// In the home's folder.
    File,
    /// One Redis server that has every write on its disk.
    Redis,
    /// A primary with replicas, found through Sentinel.
    Sentinels,
    Cluster,
}

/// The store itself; what has processes of its own ends with the home.
enum Store {
    Memory,
    File,
    Redis(Redis),
    Sentinels(Sentinels),
    Cluster(Cluster),
    /// Somebody else's.
    At(String),
}

/// A running server. Killed when dropped.
pub struct Server {
    process: Process,
    url: String,
}

impl Home {
    /// A home with a fresh store of that kind, nothing configured.
    pub fn on(backend: Backend) -> Self {
        Self::with_store(match backend {
            Backend::Memory => Store::Memory,
            Backend::File => Store::File,
            Backend::Redis => Store::Redis(Redis::start(SYNCED)),
            Backend::Sentinels => Store::Sentinels(Sentinels::start(&[])),
            Backend::Cluster => Store::Cluster(Cluster::start(&[])),
        })
    }

    /// A durable server's home: `file:` store in a fresh folder, nothing configured.
    pub fn on_file() -> Self {
        Self::on(Backend::File)
    }

    /// A home whose servers forget everything when they end.
    pub fn in_memory() -> Self {
        Self::on(Backend::Memory)
    }

    /// A home of servers that use the store at `url`.
    pub fn at(url: &str) -> Self {
        Self::with_store(Store::At(url.to_owned()))
    }

    fn with_store(store: Store) -> Self {
        let dir = tempfile::Builder::new().prefix("dropgate-test-").tempdir().unwrap();
        Self { dir, config: String::new(), arguments: Vec::new(), environment: Vec::new(), store }
    }

    /// Adds lines to the configuration file.
    #[must_use]
    pub fn with_config(mut self, toml: &str) -> Self {
        self.config.push_str(toml);
        self.config.push('\n');
        self
    }

    /// Adds a command-line argument.
    #[must_use]
    pub fn with_argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn with_env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A path inside the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What servers are told as `--store`.
    pub fn store_url(&self) -> String {
        match &self.store {
            Store::Memory => "memory:".to_owned(),
            Store::File => format!("file:{}", self.path("data").display()),
            Store::Redis(redis) => redis.url(),
            Store::Sentinels(sentinels) => sentinels.url(),
            Store::Cluster(cluster) => cluster.url(),
            Store::At(url) => url.clone(),
        }
    }

    /// The command that [`Home::start`] runs, for tests that want to see it fail.
    pub fn command(&self, listen: &str) -> Command {
        let config = self.path("dropgate.toml");
        fs::write(&config, &self.config).unwrap();
        let mut command = dropgate();
        command.current_dir(self.dir.path()).args(["serve", "--listen", listen, "--store", &self.store_url()]);
        command.arg("--config").arg(config).args(&self.arguments);
        command.env("DROPGATE_ADMIN_KEY", ADMIN_KEY);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts a server on a free port and waits until it listens.
    pub fn start(&self) -> Server {
        self.start_at("127.0.0.1:0")
    }

    /// Starts a server on that address and waits until it listens.
    pub fn start_at(&self, listen: &str) -> Server {
        let mut process = Process::start("dropgate", &mut self.command(listen));
        let url = process.line_after("listening on ", SOON);
        Server { process, url }
    }
}

impl Server {
    /// A server in memory with nothing configured, and the home that must outlive it.
    pub fn fresh() -> (Home, Self) {
        Self::fresh_on(Backend::Memory)
    }

    /// A server on a fresh store with nothing configured, and the home that must outlive it.
    pub fn fresh_on(backend: Backend) -> (Home, Self) {
        let home = Home::on(backend);
        let server = home.start();
        (home, server)
    }

    /// Where it listens, without a trailing slash.
    pub fn base(&self) -> &str {
        &self.url
    }

    /// The address of `path` on it.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Its `host:port`.
    pub fn address(&self) -> &str {
        self.url.split_once("//").map_or(&self.url, |(_, address)| address)
    }

    /// The child process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// `kill -9`, then a new server from the same home at the same address, so that whoever knew it finds it.
    #[must_use]
    pub fn kill_and_restart(mut self, home: &Home) -> Self {
        self.process.kill();
        home.start_at(self.address())
    }

    /// SIGTERM; the exit code it ended with.
    pub fn stop(mut self) -> i32 {
        self.process.signal(Signal::SIGTERM);
        self.process.wait(SOON).code().unwrap_or(-1)
    }

    /// A visitor's client on this server, with cookies of its own.
    pub fn visitor(&self) -> Browserlike {
        Browserlike::new(self.base())
    }

    /// Calls an operator's endpoint with the admin key; the status and the JSON body (null if there is none).
    pub async fn admin(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = plain().request(method, self.url(path)).bearer_auth(ADMIN_KEY);
        if let Some(body) = body {
            request = request.header("If-Match", "*").json(&body);
        }
        json_of(request.send().await.unwrap()).await
    }

    /// Makes the room of that id, a shop on a host that exists for nobody, with `settings` on top of the defaults.
    pub async fn put_room(&self, id: &str, settings: Value) -> Value {
        let mut document = json!({ "id": id, "name": id, "shop_url": "https://shop.example/" });
        for (name, value) in settings.as_object().unwrap() {
            document[name] = value.clone();
        }
        let request = plain().put(self.url(&format!("/v1/rooms/{id}"))).bearer_auth(ADMIN_KEY).json(&document);
        let (status, answer) = json_of(request.send().await.unwrap()).await;
        assert!(status == 200 || status == 201, "PUT room {id}: {status} {answer}");
        answer
    }

    /// Changes single settings of a room.
    pub async fn patch_room(&self, id: &str, settings: Value) -> Value {
        let path = format!("/v1/rooms/{id}");
        let request = plain()
            .patch(self.url(&path))
            .bearer_auth(ADMIN_KEY)
            .header("If-Match", "*")
            .header("Content-Type", "application/merge-patch+json")
            .body(settings.to_string());
        let (status, answer) = json_of(request.send().await.unwrap()).await;
        assert_eq!(status, 200, "PATCH room {id}: {answer}");
        answer
    }
}

/// The program under test, with nothing of the tester's environment that could change its mind.
pub fn dropgate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dropgate"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("DROPGATE_") {
            command.env_remove(name);
        }
    }
    command
}
