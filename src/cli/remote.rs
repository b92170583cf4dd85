//! A running installation, as the commands that talk to one see it.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::Failure;
use crate::config::{PublicUrl, load};

/// How long one call may take: an installation that needs longer is in trouble, and says so better than a command
/// that hangs.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Where the admin key comes from. Not from an argument, which everyone on the machine can read.
#[derive(Args)]
pub struct KeyArguments {
    /// A file that holds the admin key; else DROPGATE_ADMIN_KEY, or the file that DROPGATE_ADMIN_KEY_FILE names.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

impl KeyArguments {
    /// The key.
    pub fn read(&self) -> Result<SecretString, Failure> {
        if let Some(path) = &self.key_file {
            let read = load::read_secret_file(path);
            return read.map_err(|error| Failure::Usage(format!("{}: {error}", path.display())));
        }
        let none = "the admin key is needed: set DROPGATE_ADMIN_KEY, or name a file that holds it by --key-file";
        load::admin_key(&load::process_environment())?.ok_or_else(|| Failure::Usage(none.to_owned()))
    }
}

/// A connection to an installation.
pub struct Remote {
    client: Client,
    url: PublicUrl,
    key: Option<SecretString>,
}

impl Remote {
    /// The installation at `url`, called with `key` if there is one.
    pub fn new(url: PublicUrl, key: Option<SecretString>) -> Result<Self, Failure> {
        // A redirect would carry the key to wherever it points.
        let client = Client::builder().timeout(CALL_TIMEOUT).redirect(reqwest::redirect::Policy::none()).build();
        let client = client.map_err(|error| Failure::failed("preparing to call", &error))?;
        Ok(Self { client, url, key })
    }

    /// A call to `path`, not yet sent.
    pub fn call(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url));
        match &self.key {
            Some(key) => request.bearer_auth(key.expose_secret()),
            None => request,
        }
    }

    /// Sends a call and reads its answer.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer, Failure> {
        let failed = |error: reqwest::Error| Failure::failed(&format!("calling {}", self.url), &error.without_url());
        let response = request.send().await.map_err(failed)?;
        let (status, etag) = (response.status(), etag(&response));
        let text = response.text().await.map_err(failed)?;
        Ok(Answer { status, etag, body: serde_json::from_str(&text).unwrap_or(Value::Null) })
    }
}

/// What an installation answered.
pub struct Answer {
    pub status: StatusCode,
    pub etag: Option<String>,
    /// Null where it was no JSON.
    pub body: Value,
}

impl Answer {
    /// What it says is wrong: the problem's detail, with the field where it names one.
    pub fn problem(&self) -> String {
        let text = |name: &str| self.body.get(name).and_then(Value::as_str);
        match (text("detail").or_else(|| text("title")), text("field")) {
            (Some(detail), Some(field)) if !detail.starts_with(field) => format!("{field}: {detail} ({})", self.status),
            (Some(detail), _) => format!("{detail} ({})", self.status),
            (None, _) => format!("it answered {}: is it a Dropgate?", self.status),
        }
    }
}

fn etag(response: &Response) -> Option<String> {
    response.headers().get(reqwest::header::ETAG)?.to_str().ok().map(str::to_owned)
}
