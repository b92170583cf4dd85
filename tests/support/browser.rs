//! A real Chromium, driven through chromedriver: a profile of its own, ports of its own, gone when dropped.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use fantoccini::{Client, ClientBuilder, wd::WebDriverCompatibleCommand};
use hyper_util::client::legacy::connect::HttpConnector;
use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::{SOON, port::Port, process::Process};

/// How the visitor's browser is set up.
#[derive(Clone)]
pub struct Manner {
    /// CSS pixels.
    pub width: u32,
    pub height: u32,
    /// Device pixels a CSS pixel: halving the size and doubling this is what 200 % zoom does to a page.
    pub scale: u32,
    /// The visitor's language, as a tag.
    pub language: &'static str,
    pub scheme: Scheme,
    pub scripts: Permission,
    pub cookies: Permission,
}

/// The visitor's preference.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Light,
    Dark,
}

/// Whether the visitor lets pages use something.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    Granted,
    Refused,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            width: 1280,
            height: 860,
            scale: 1,
            language: "en",
            scheme: Scheme::Light,
            scripts: Permission::Granted,
            cookies: Permission::Granted,
        }
    }
}

/// A browser with one window. `page` drives it.
pub struct Browser {
    pub page: Client,
    // Dropped in this order: the driver, then what is left of the browser, then its profile.
    driver: Process,
    profile: TempDir,
    _port: Port,
}

impl Browser {
    /// Starts a browser.
    ///
    /// # Panics
    /// chromium or chromedriver is missing or does not come up.
    pub async fn open(manner: &Manner) -> Self {
        let profile = tempfile::Builder::new().prefix("dropgate-browser-").tempdir().unwrap();
        // The driver listens on both families. Left to find a port itself, it finds one that may be taken in the second.
        let port = Port::claim();
        let number = port.number();
        let mut driver = Process::start("chromedriver", Command::new("chromedriver").arg(format!("--port={number}")));
        driver.line_after("ChromeDriver was started successfully on port ", SOON);
        let url = format!("http://{}", port.address());
        let page = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities(manner, profile.path()))
            .connect(&url)
            .await
            .expect("chromedriver starts chromium");
        let browser = Self { page, driver, profile, _port: port };
        browser.apply(manner).await;
        browser
    }

    /// Looks from a screen of another kind; languages and permissions stay as they were at the start.
    pub async fn apply(&self, manner: &Manner) {
        let metrics = json!({ "width": manner.width, "height": manner.height, "deviceScaleFactor": manner.scale, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
        let scheme = if manner.scheme == Scheme::Dark { "dark" } else { "light" };
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// Sends a command of Chromium's own protocol.
    pub async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let call = Vendor { path: "goog/cdp/execute", body: json!({ "cmd": command, "params": parameters }) };
        self.page.issue_cmd(call).await.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// What the console said since the last time, failed loads and policy violations included.
    pub async fn console(&self) -> Vec<String> {
        let call = Vendor { path: "se/log", body: json!({ "type": "browser" }) };
        let entries = self.page.issue_cmd(call).await.unwrap();
        entries.as_array().unwrap().iter().map(|entry| format!("{}: {}", entry["level"], entry["message"])).collect()
    }

    /// Writes what the visitor sees into a PNG, from the top of the page to its end.
    pub async fn picture(&self, file: &Path) {
        let png = self.page.screenshot().await.unwrap();
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, png).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Killing the driver leaves the browser running; it is known by its profile, which is ours alone.
        self.driver.kill();
        let deadline = Instant::now() + Duration::from_secs(5);
        while kill_users_of(self.profile.path()) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Kills the processes whose command line names `profile`; whether there were any.
fn kill_users_of(profile: &Path) -> bool {
    let needle = format!("--user-data-dir={}", profile.display());
    let mut found = false;
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = process.file_name().to_string_lossy().parse::<i32>() else { continue };
        let Ok(command_line) = fs::read(process.path().join("cmdline")) else { continue };
        if String::from_utf8_lossy(&command_line).contains(&needle) {
            found = true;
            let _ = signal::kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
    found
}

fn capabilities(manner: &Manner, profile: &Path) -> Map<String, Value> {
    let refused = |permission: Permission| if permission == Permission::Granted { 1 } else { 2 };
    let arguments = [
        "--headless=new",
        // Chromium's own sandbox needs privileges that a container or a root user does not have.
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--hide-scrollbars",
        // Nothing but the machine itself is reachable: a page that asks a third party fails.
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    ];
    let mut arguments: Vec<String> = arguments.map(str::to_owned).into();
    arguments.push(format!("--user-data-dir={}", profile.display()));
    arguments.push(format!("--lang={}", manner.language));
    let options = json!({
        "args": arguments,
        "prefs": {
            "intl.accept_languages": manner.language,
            "profile.default_content_setting_values.javascript": refused(manner.scripts),
            "profile.default_content_setting_values.cookies": refused(manner.cookies),
        },
    });
    let whole = json!({
        "browserName": "chrome",
        "goog:chromeOptions": options,
        "goog:loggingPrefs": { "browser": "ALL" },
    });
    whole.as_object().unwrap().clone()
}

/// A command that chromedriver knows beyond the standard.
#[derive(Debug)]
struct Vendor {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Vendor {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _url: &url::Url) -> (reqwest::Method, Option<String>) {
        (reqwest::Method::POST, Some(self.body.to_string()))
    }
}
