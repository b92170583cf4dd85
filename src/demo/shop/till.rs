//! The till: the shop's calls to the sale, as any shop's server makes them, with a key of scope `shop`.
//!
//! Each of these calls may be made again without doing more: a reserve has its key, a confirmation its order, and the
//! rest say where things should stand. So whatever got no answer, or "not now", is simply asked again.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use jiff::Timestamp;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::demo::browser::send;

/// How old the numbers on a page may be: what is shown is gone before it is read anyway.
const SHELF_FRESH: Duration = Duration::from_millis(300);

/// How often a call is made before its buyer is told that the till is busy.
const TRIES: u32 = 4;

/// How often a confirmation is sent: the money is here, and whoever paid has to get an answer.
const CONFIRM_TRIES: u32 = 12;

/// Before the next try; twice as long each time, up to the longest.
const PAUSE: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(3);

/// Units by SKU.
pub type Units = BTreeMap<String, u64>;

/// The shop's line to the sale.
pub struct Till {
    sale: String,
    key: SecretString,
    client: Client,
    shelf: tokio::sync::Mutex<Option<(Instant, Shelf)>>,
    reserve_us: Mutex<Histogram<u64>>,
}

/// The body of a reserve: kept by the shop, for the same key must come with the same body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ask {
    lines: Vec<Line>,
    buyer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    sku: String,
    quantity: u64,
}

/// A reservation as the sale tells of it.
#[derive(Clone, Debug, Deserialize)]
pub struct Reservation {
    pub id: String,
    pub state: State,
    lines: Vec<Line>,
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

/// Where a reservation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Held,
    Confirmed,
    Released,
    Expired,
}

/// What is on the shelf.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Shelf {
    items: Vec<Stock>,
}

/// One SKU's numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Stock {
    pub sku: String,
    pub total: u64,
    pub available: u64,
    pub held: u64,
    pub sold: u64,
}

/// Why the sale said no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    SoldOut(Vec<Short>),
    /// `sku` is none where all units, or all grants, count.
    Limit {
        sku: Option<String>,
        limit: u64,
        used: u64,
    },
    Invalid {
        field: String,
        detail: String,
    },
    Closed,
    Expired,
    Released,
    Unknown,
    Conflict,
    /// No answer, or "not now", as often as it was asked.
    Busy,
    /// Nothing a buyer can do anything about.
    Other {
        status: u16,
        code: String,
    },
}

/// What stood in a line's way.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Short {
    pub sku: String,
    pub wanted: u64,
    pub available: u64,
    pub held: u64,
}

/// A problem as far as the shop reads it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    #[serde(rename = "type")]
    kind: String,
    detail: String,
    field: String,
    sku: Option<String>,
    limit: u64,
    used: u64,
    lines: Vec<Short>,
}

impl Ask {
    /// These units for this buyer, in place of the reservation named by `replaces` if there is one.
    pub fn new(units: &Units, buyer: &str, replaces: Option<String>) -> Self {
        Self { lines: lines_of(units), buyer: buyer.to_owned(), replaces }
    }
}

fn lines_of(units: &Units) -> Vec<Line> {
    units.iter().map(|(sku, quantity)| Line { sku: sku.clone(), quantity: *quantity }).collect()
}

impl Reservation {
    /// Its units by SKU.
    pub fn units(&self) -> Units {
        self.lines.iter().map(|line| (line.sku.clone(), line.quantity)).collect()
    }
}

impl Shelf {
    /// The numbers of a SKU; nothing of one that is not in the sale.
    pub fn of(&self, sku: &str) -> Stock {
        self.items.iter().find(|stock| stock.sku == sku).cloned().unwrap_or_default()
    }

    /// Everything on it.
    pub fn items(&self) -> &[Stock] {
        &self.items
    }

    /// All units there are or were.
    pub fn total(&self) -> u64 {
        self.items.iter().map(|stock| stock.total).sum()
    }
}

impl Till {
    /// `sale` is the address of the sale's calls: `…/v1/sales/kites`.
    ///
    /// # Errors
    /// Never: the bounds of the histogram are constants that fit.
    pub fn new(sale: String, key: SecretString, client: Client) -> Result<Self, hdrhistogram::CreationError> {
        let reserve_us = Mutex::new(crate::demo::tally::answer_times()?);
        Ok(Self { sale, key, client, shelf: tokio::sync::Mutex::default(), reserve_us })
    }

    /// What is left. One request serves everyone who looks within a moment.
    ///
    /// # Errors
    /// The sale does not tell.
    pub async fn shelf(&self) -> Result<Shelf, Refusal> {
        let mut last = self.shelf.lock().await;
        if let Some((_, shelf)) = last.as_ref().filter(|(at, _)| at.elapsed() < SHELF_FRESH) {
            return Ok(shelf.clone());
        }
        let shelf = self.shelf_now().await?;
        *last = Some((Instant::now(), shelf.clone()));
        Ok(shelf)
    }

    /// What is left, asked for this very question.
    ///
    /// # Errors
    /// The sale does not tell.
    pub async fn shelf_now(&self) -> Result<Shelf, Refusal> {
        self.call(Method::GET, "", TRIES, |request| request).await
    }

    /// Reserves under a key.
    ///
    /// # Errors
    /// The sale's refusal.
    pub async fn reserve(&self, key: &str, ask: &Ask) -> Result<Reservation, Refusal> {
        let asked = Instant::now();
        let answer = self
            .call(Method::POST, "/reservations", TRIES, |request| request.header("idempotency-key", key).json(ask))
            .await;
        let micros = u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX).max(1);
        self.reserve_us.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(micros);
        answer
    }

    /// The reservation as it stands.
    ///
    /// # Errors
    /// The sale's refusal.
    pub async fn look(&self, id: &str) -> Result<Reservation, Refusal> {
        self.call(Method::GET, &format!("/reservations/{id}"), TRIES, |request| request).await
    }

    /// The buyer leaves for the payment provider; until when the hold lives now.
    ///
    /// # Errors
    /// The sale's refusal.
    pub async fn paying(&self, id: &str) -> Result<Timestamp, Refusal> {
        self.deadline(id, "paying", &json!({})).await
    }

    /// The buyer needs more time; until when the hold lives now.
    ///
    /// # Errors
    /// The sale's refusal.
    pub async fn extend(&self, id: &str, seconds: u64) -> Result<Timestamp, Refusal> {
        self.deadline(id, "extend", &json!({ "seconds": seconds })).await
    }

    /// Gives the units back.
    ///
    /// # Errors
    /// The sale's refusal.
    pub async fn release(&self, id: &str) -> Result<(), Refusal> {
        let path = format!("/reservations/{id}/release");
        let _: Value = self.call(Method::POST, &path, TRIES, |request| request.json(&json!({}))).await?;
        Ok(())
    }

    /// Paid, the whole or the part that is named; late or not, it is bought if the units can be had.
    ///
    /// # Errors
    /// The sale's refusal.
    pub async fn confirm(&self, id: &str, order: &str, part: Option<&Units>) -> Result<(), Refusal> {
        let mut body = json!({ "order": order, "if_expired": "retake" });
        if let Some(part) = part {
            body["lines"] = json!(lines_of(part));
        }
        let path = format!("/reservations/{id}/confirm");
        let _: Value = self.call(Method::POST, &path, CONFIRM_TRIES, |request| request.json(&body)).await?;
        Ok(())
    }

    /// How long reserves took.
    pub fn reserve_times(&self) -> Histogram<u64> {
        self.reserve_us.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn deadline(&self, id: &str, what: &str, body: &Value) -> Result<Timestamp, Refusal> {
        #[derive(Deserialize)]
        struct Deadline {
            expires_at: Timestamp,
        }
        let path = format!("/reservations/{id}/{what}");
        let answer: Deadline = self.call(Method::POST, &path, TRIES, |request| request.json(body)).await?;
        Ok(answer.expires_at)
    }

    async fn call<T: serde::de::DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        tries: u32,
        with: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<T, Refusal> {
        let url = format!("{}{path}", self.sale);
        let mut pause = PAUSE;
        for left in (0..tries).rev() {
            let request = self.client.request(method.clone(), &url).bearer_auth(self.key.expose_secret());
            match send(with(request)).await {
                Ok(answer) if answer.status().is_success() => match answer.json().await {
                    Ok(read) => return Ok(read),
                    // Half an answer is no answer: asked again, it comes again.
                    Err(error) => tracing::warn!(%error, path, "the sale's answer can't be read"),
                },
                Ok(answer) if is_not_now(answer.status()) => {}
                Ok(answer) => {
                    let status = answer.status().as_u16();
                    return Err(Refusal::of(status, answer.json().await.unwrap_or_default()));
                }
                Err(error) => tracing::warn!(%error, path, "the sale does not answer"),
            }
            if left > 0 {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
        Err(Refusal::Busy)
    }
}

fn is_not_now(status: StatusCode) -> bool {
    matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
}

impl Refusal {
    fn of(status: u16, problem: Problem) -> Self {
        let code = problem.kind.strip_prefix("urn:dropgate:").unwrap_or_default();
        match code {
            "sold_out" => Self::SoldOut(problem.lines),
            "limit_exceeded" => Self::Limit { sku: problem.sku, limit: problem.limit, used: problem.used },
            "invalid_request" => Self::Invalid { field: problem.field, detail: problem.detail },
            "sale_closed" => Self::Closed,
            "reservation_expired" => Self::Expired,
            "reservation_released" => Self::Released,
            "unknown_reservation" => Self::Unknown,
            "conflict" => Self::Conflict,
            _ => Self::Other { status, code: code.to_owned() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_read_as_the_contract_has_them() {
        let refusal = |problem| Refusal::of(409, serde_json::from_value(problem).unwrap());
        let sold_out = json!({ "type": "urn:dropgate:sold_out", "title": "…", "status": 409, "detail": "…",
            "lines": [{ "sku": "a", "wanted": 2, "available": 1, "held": 3 }] });
        let short = Short { sku: "a".to_owned(), wanted: 2, available: 1, held: 3 };
        assert_eq!(refusal(sold_out), Refusal::SoldOut(vec![short]));
        let limit = json!({ "type": "urn:dropgate:limit_exceeded", "sku": null, "limit": 3, "used": 2 });
        assert_eq!(refusal(limit), Refusal::Limit { sku: None, limit: 3, used: 2 });
        let other = json!({ "type": "urn:dropgate:key_reused" });
        assert_eq!(refusal(other), Refusal::Other { status: 409, code: "key_reused".to_owned() });
    }

    #[test]
    fn an_ask_says_only_what_there_is_to_say() {
        let units = Units::from([("a".to_owned(), 2)]);
        let body = serde_json::to_value(Ask::new(&units, "me", None)).unwrap();
        assert_eq!(body, json!({ "lines": [{ "sku": "a", "quantity": 2 }], "buyer": "me" }));
    }
}
