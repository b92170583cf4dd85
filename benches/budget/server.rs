//! What is measured: a process of ours, its address, its processor time and its memory.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::bare::Answer;

/// The operator's key of the servers measured here.
pub const ADMIN_KEY: &str = "the-key-of-a-benchmark-on-loopback-only";

/// The kernel's ticks of processor time a second, which Linux shows to processes as 100 on every architecture.
const TICKS_A_SECOND: f64 = 100.0;

/// A running server. Killed when dropped.
pub struct Server {
    child: Child,
    url: String,
    client: reqwest::Client,
    _folder: TempDir,
}

impl Server {
    /// Dropgate on a store in memory.
    pub fn in_memory() -> Self {
        Self::dropgate(|_| "memory:".to_owned())
    }

    /// Dropgate on a store on disk, in the target folder: a temporary folder may be in memory.
    pub fn on_file() -> Self {
        Self::dropgate(|folder| format!("file:{}", folder.join("data").display()))
    }

    /// Dropgate on a store in Redis.
    pub fn on_redis(url: &str) -> Self {
        Self::dropgate(|_| url.to_owned())
    }

    fn dropgate(store: impl FnOnce(&Path) -> String) -> Self {
        let folder = folder();
        let mut command = Command::new(env!("CARGO_BIN_EXE_dropgate"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--shop", "http://localhost/"]);
        command.args(["--store", &store(folder.path())]).current_dir(folder.path());
        command.env("DROPGATE_ADMIN_KEY", ADMIN_KEY).env("DROPGATE_LOG_FILTER", "error");
        Self::start(command, folder)
    }

    /// The yardstick: a bare handler that gives this answer to everything.
    pub fn bare(answer: &Answer) -> Self {
        Self::yardstick(answer, &[])
    }

    /// The yardstick of batching: the same after a call of Redis a request. By the call in this file, or by the least that
    /// does it.
    pub fn unbatched(answer: &Answer, redis: &str, overheard: Option<&Path>) -> Self {
        let file = overheard.map(|file| file.to_string_lossy().into_owned());
        let mut arguments = vec!["--unbatched", redis];
        arguments.extend(file.iter().flat_map(|file| ["--overheard", file.as_str()]));
        Self::yardstick(answer, &arguments)
    }

    fn yardstick(answer: &Answer, arguments: &[&str]) -> Self {
        let folder = folder();
        let file = folder.path().join("answer.json");
        fs::write(&file, serde_json::to_vec(answer).expect("an answer is JSON")).expect("the folder can be written");
        let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
        command.arg("--bare").arg(&file).args(arguments);
        Self::start(command, folder)
    }

    fn start(mut command: Command, folder: TempDir) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the server starts");
        let stdout = child.stdout.take().expect("stdout is piped");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("the server speaks");
        let url = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("not an address: {line:?}"));
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { child, url: url.to_owned(), client, _folder: folder }
    }

    /// Processor time so far, over all threads.
    pub fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("the server runs");
        // The second field, the name in parentheses, may hold spaces; utime and stime are fields 14 and 15.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks: f64 = [11, 12].iter().filter_map(|n| fields.get(*n)?.parse::<f64>().ok()).sum();
        Duration::from_secs_f64(ticks / TICKS_A_SECOND)
    }

    /// Memory in use, in bytes: what the kernel has given and not taken back.
    pub fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the server runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<u64>().map_or(0, |kilobytes| kilobytes * 1024)
    }

    /// One call with the operator's key; anything but success is the end.
    pub async fn operate(&self, method: reqwest::Method, path: &str, body: &Value) -> Value {
        let request = self.client.request(method, format!("{}{path}", self.url)).bearer_auth(ADMIN_KEY);
        let response = request.header("Idempotency-Key", "bench").json(body).send().await.expect("an answer");
        let status = response.status();
        let text = response.text().await.expect("a body");
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// Makes a room with these settings beside the usual ones.
    pub async fn make_room(&self, id: &str, settings: &Value) {
        let mut document = json!({"id": id, "name": id, "shop_url": "http://localhost/", "join_per_address": 0});
        merge(&mut document, settings);
        self.operate(reqwest::Method::PUT, &format!("/v1/rooms/{id}"), &document).await;
    }

    /// Makes a sale of these items.
    pub async fn make_sale(&self, id: &str, items: &Value, settings: &Value) {
        let mut document = json!({"id": id, "name": id, "items": items});
        merge(&mut document, settings);
        self.operate(reqwest::Method::PUT, &format!("/v1/sales/{id}"), &document).await;
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// A request in bytes, for [`super::sender`].
    pub fn bytes(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.address());
        headers.iter().for_each(|(name, value)| text += &format!("{name}: {value}\r\n"));
        if !body.is_empty() {
            text += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        }
        (text + "\r\n" + body).into_bytes()
    }

    /// A reservation of one unit in bytes: `key` is its key and names its buyer.
    pub fn reservation(&self, sale: &str, sku: &str, key: &str) -> Vec<u8> {
        let body = format!(r#"{{"lines":[{{"sku":"{sku}","quantity":1}}],"buyer":"b{key}"}}"#);
        let bearer = format!("Bearer {ADMIN_KEY}");
        let headers = [("Authorization", bearer.as_str()), ("Idempotency-Key", key)];
        self.bytes("POST", &format!("/v1/sales/{sale}/reservations"), &headers, &body)
    }

    /// A whole answer, to be given again by the yardstick.
    pub async fn answer(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        let own = ["date", "content-length", "connection"];
        let kept = |name: &str| !own.contains(&name);
        let text = |value: &reqwest::header::HeaderValue| value.to_str().expect("a header is text").to_owned();
        let headers = response.headers().iter().filter(|(name, _)| kept(name.as_str()));
        let headers = headers.map(|(name, value)| (name.to_string(), text(value))).collect();
        Answer { status, headers, body: response.bytes().await.expect("a body").to_vec() }
    }

    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What no other run is called: a key seen before would be answered without work.
pub fn run_id() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos())
}

/// A folder on disk, in the target folder.
pub fn folder() -> TempDir {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    TempDir::new_in(target).expect("the target folder can be written")
}

fn merge(document: &mut Value, settings: &Value) {
    json_patch::merge(document, settings);
}
