//! nginx and Caddy as the distribution ships them, started with the files that shops copy.

use std::{
    fs,
    net::TcpStream,
    process::Command,
    sync::atomic::{AtomicU8, Ordering},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::support::{SOON, process::Process};

/// Which gateway stands before the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Nginx,
    Caddy,
}

/// What a gateway does while Dropgate is out of reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithoutDropgate {
    /// The file as it stands.
    Closed,
    /// With the lines that the file offers for it.
    Open,
}

/// A running gateway. Killed when dropped.
pub struct Gateway {
    _process: Process,
    _folder: TempDir,
}

/// An address for one gateway: `host:port`. The loopback network is large enough for each to have a host of its own, so
/// that no two take the same port, however many tests run at once.
pub fn own_address() -> String {
    static TAKEN: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    format!("127.{}.{high}.{low}:8000", TAKEN.fetch_add(1, Ordering::Relaxed))
}

impl Gateway {
    /// Starts a gateway at `address` that asks the Dropgate at `dropgate` (`host:port`) and leads to the shop.
    pub fn start(kind: Kind, address: &str, dropgate: &str, shop_port: u16, without: WithoutDropgate) -> Self {
        let folder = tempfile::Builder::new().prefix("dropgate-gateway-").tempdir().unwrap();
        let (program, config) = match kind {
            Kind::Nginx => ("nginx", nginx_config(&folder, address, dropgate, shop_port)),
            Kind::Caddy => ("caddy", caddy_config(address, dropgate, shop_port)),
        };
        let config = match without {
            WithoutDropgate::Closed => config,
            WithoutDropgate::Open => config.replace("#~ ", ""),
        };
        let path = folder.path().join("gateway.conf");
        fs::write(&path, config).unwrap();
        let mut command = Command::new(program);
        match kind {
            Kind::Nginx => command.args(["-e", "stderr", "-p"]).arg(folder.path()).arg("-c").arg(&path),
            Kind::Caddy => command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&path),
        };
        // Caddy keeps certificates and its last configuration under these.
        for name in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
            command.env(name, folder.path());
        }
        let process = Process::start(program, &mut command);
        wait_for(address, &process);
        Self { _process: process, _folder: folder }
    }
}

fn wait_for(address: &str, process: &Process) {
    let deadline = Instant::now() + SOON;
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "the gateway does not listen:\n{}", process.output());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The file with its addresses replaced, each of which has to be there, around it what a distribution's nginx.conf has.
fn nginx_config(folder: &TempDir, address: &str, dropgate: &str, shop_port: u16) -> String {
    let file = include_str!("../../docs/gateways/nginx.conf");
    let (gate, _shop) = file.split_once("# The shop: put your own in its place.").unwrap();
    let gate = replace(gate, "server dropgate:8080;", &format!("server {dropgate};"));
    let gate = replace(&gate, "listen 8000;", &format!("listen {address};"));
    let gate = replace(&gate, "http://127.0.0.1:8001", &format!("http://127.0.0.1:{shop_port}"));
    let folder = folder.path().display();
    // One process, so that none outlives the one that is killed.
    format!(
        "daemon off; master_process off; pid {folder}/pid; error_log stderr;
         events {{ worker_connections 256; }}
         http {{
           access_log off;
           client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
           uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
           {gate}
         }}"
    )
}

fn caddy_config(address: &str, dropgate: &str, shop_port: u16) -> String {
    let file = include_str!("../../docs/gateways/Caddyfile");
    let (host, _) = address.split_once(':').unwrap();
    let site = replace(file, "\nshop.example {", &format!("\nhttp://{address} {{\n\tbind {host}"));
    let site = replace(&site, "127.0.0.1:8080", dropgate);
    let site = replace(&site, "127.0.0.1:3000", &format!("127.0.0.1:{shop_port}"));
    format!("{{\n\tadmin off\n\tauto_https off\n}}\n{site}")
}

fn replace(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "the file no longer says `{from}`");
    text.replace(from, to)
}
