//! HTTP clients: one that shows every answer as it is, and one that keeps cookies as a browser would.

use std::{collections::BTreeMap, sync::Mutex};

use reqwest::{
    Client, Method, RequestBuilder, Response,
    header::{COOKIE, SET_COOKIE},
};
use serde_json::Value;

/// A client that follows no redirect, keeps no cookie and asks no proxy.
pub fn plain() -> Client {
    Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap()
}

/// An answer's status, and its body as JSON; null if it is empty, a JSON string if it is not JSON.
pub async fn json_of(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::String(text)) };
    (status, body)
}

/// An answer that came whole; none if the server went away over it.
pub async fn answer(request: RequestBuilder) -> Option<(u16, Value)> {
    let response = request.send().await.ok()?;
    let status = response.status().as_u16();
    let text = response.text().await.ok()?;
    Some((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
}

/// A header of an answer as text; empty if it is absent.
pub fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// One visitor: a client with a cookie jar for one server. Follows no redirect, so that tests see each.
pub struct Browserlike {
    client: Client,
    base: String,
    jar: Mutex<BTreeMap<String, String>>,
}

impl Browserlike {
    /// A visitor of the server at `base` without any cookie.
    pub fn new(base: &str) -> Self {
        Self { client: plain(), base: base.to_owned(), jar: Mutex::default() }
    }

    /// A second visitor with the same cookies: another tab, or whoever was handed them.
    #[must_use]
    pub fn second_tab(&self) -> Self {
        Self { client: plain(), base: self.base.clone(), jar: Mutex::new(self.jar.lock().unwrap().clone()) }
    }

    /// A request to `path` with the cookies, as a script on the server's own page would send it.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        let cookies = self.cookie_header();
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies);
        }
        request.header("Sec-Fetch-Site", "same-origin")
    }

    /// Sends a request and keeps the cookies of its answer.
    pub async fn send(&self, request: RequestBuilder) -> Response {
        let response = request.send().await.unwrap();
        self.keep(&response);
        response
    }

    /// GET `path`.
    pub async fn get(&self, path: &str) -> Response {
        self.send(self.request(Method::GET, path)).await
    }

    /// GET `path` as a browser's address bar would.
    pub async fn navigate(&self, path: &str) -> Response {
        let request = self.client.get(format!("{}{path}", self.base)).header(COOKIE, self.cookie_header());
        self.send(request.header("Accept", "text/html").header("Sec-Fetch-Mode", "navigate")).await
    }

    /// POST a JSON body to `path`; `Value::Null` sends none.
    pub async fn post(&self, path: &str, body: Value) -> Response {
        let request = self.request(Method::POST, path);
        let request = if body.is_null() { request } else { request.json(&body) };
        self.send(request).await
    }

    /// POST, and the answer's status and JSON.
    pub async fn post_json(&self, path: &str, body: Value) -> (u16, Value) {
        json_of(self.post(path, body).await).await
    }

    /// GET, and the answer's status and JSON.
    pub async fn get_json(&self, path: &str) -> (u16, Value) {
        json_of(self.get(path).await).await
    }

    /// The value of a cookie.
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.jar.lock().unwrap().get(name).cloned()
    }

    /// Sets a cookie, as a forger would.
    pub fn set_cookie(&self, name: &str, value: &str) {
        self.jar.lock().unwrap().insert(name.to_owned(), value.to_owned());
    }

    /// The names of all cookies.
    pub fn cookie_names(&self) -> Vec<String> {
        self.jar.lock().unwrap().keys().cloned().collect()
    }

    fn cookie_header(&self) -> String {
        let jar = self.jar.lock().unwrap();
        jar.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    fn keep(&self, response: &Response) {
        let mut jar = self.jar.lock().unwrap();
        for line in response.headers().get_all(SET_COOKIE) {
            let (pair, attributes) = line.to_str().unwrap().split_once(';').unwrap_or((line.to_str().unwrap(), ""));
            let Some((name, value)) = pair.split_once('=') else { continue };
            if attributes.to_ascii_lowercase().contains("max-age=0") {
                jar.remove(name);
            } else {
                jar.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}
