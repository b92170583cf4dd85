//! Follows the sale's event feed from its first event on, as a shop's bookkeeping would, and folds it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use reqwest::Client;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::{sync::watch, time::Duration};

use super::{
    browser::send,
    ledger::{Event, Ledger},
};

/// Events a question: the most the feed gives.
const LIMIT: usize = 1_000;

/// How long a question waits for something to happen, well within the patience with an answer.
const WAIT_SECONDS: u64 = 5;

/// After a question that was not answered.
const PAUSE: Duration = Duration::from_millis(500);

/// The most pages read in one go at the end: far more than the feed keeps.
const PAGES_MAX: usize = 1_000;

/// Somebody who reads the feed.
pub struct Follower {
    /// The feed's address.
    url: String,
    key: SecretString,
    client: Client,
    read: Mutex<Read>,
}

#[derive(Default)]
struct Read {
    cursor: Option<String>,
    ledger: Ledger,
}

#[derive(Deserialize)]
struct Page {
    events: Vec<Event>,
    next: String,
}

impl Follower {
    /// A reader who starts at the beginning. `sale` is the address of the sale's calls.
    pub fn new(sale: &str, key: SecretString, client: Client) -> Self {
        Self { url: format!("{sale}/events"), key, client, read: Mutex::default() }
    }

    /// Reads on as events come, until the demo ends.
    pub async fn follow(&self, mut stop: watch::Receiver<bool>) {
        loop {
            let asked = tokio::select! {
                asked = self.ask(WAIT_SECONDS) => asked,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            if let Err(error) = asked {
                tracing::warn!(%error, "the event feed does not answer");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Reads to the end of the feed; how many events that were.
    ///
    /// # Errors
    /// The feed can't be read.
    pub async fn drain(&self) -> Result<usize, reqwest::Error> {
        let mut read = 0;
        for _ in 0..PAGES_MAX {
            match self.ask(0).await? {
                0 => break,
                more => read += more,
            }
        }
        Ok(read)
    }

    /// The books so far.
    pub fn ledger(&self) -> Ledger {
        self.read().ledger.clone()
    }

    async fn ask(&self, wait_seconds: u64) -> Result<usize, reqwest::Error> {
        let mut url = format!("{}?limit={LIMIT}&wait={wait_seconds}", self.url);
        if let Some(cursor) = &self.read().cursor {
            url.push_str("&after=");
            url.push_str(cursor);
        }
        let answer = send(self.client.get(url).bearer_auth(self.key.expose_secret())).await?;
        let page: Page = answer.error_for_status()?.json().await?;
        let mut read = self.read();
        page.events.iter().for_each(|event| read.ledger.fold(event));
        read.cursor = Some(page.next);
        Ok(page.events.len())
    }

    fn read(&self) -> MutexGuard<'_, Read> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
