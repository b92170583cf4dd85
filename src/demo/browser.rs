//! One visitor's browser, as far as a crowd needs one: it keeps cookies, follows redirects and says where it ended up.

use std::{collections::BTreeMap, time::Duration};

use reqwest::{
    Client, Method, RequestBuilder, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE},
};
use serde::de::DeserializeOwned;
use url::{Url, form_urlencoded};

/// How long a visitor looks at a blank page before giving up on it.
const PATIENCE_WITH_A_PAGE: Duration = Duration::from_secs(10);

/// A browser follows more; an honest way into a shop has three.
const REDIRECTS_MAX: usize = 6;

/// How a form travels.
const FORM: &str = "application/x-www-form-urlencoded";

/// Something a visitor ran into that should not be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Trouble(pub String);

/// The connections that all browsers of the crowd share.
///
/// # Errors
/// TLS can't be set up, which plain HTTP to loopback does not need.
pub fn connections() -> Result<Client, reqwest::Error> {
    Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().timeout(PATIENCE_WITH_A_PAGE).build()
}

/// Sends a request, once more where it went out on a connection that the server was just giving up for being idle: its
/// 408 says that no request came, and so that this one may be repeated (RFC 9110, 15.5.9). Browsers do the same.
///
/// # Errors
/// No answer came.
pub async fn send(request: RequestBuilder) -> Result<Response, reqwest::Error> {
    let again = request.try_clone();
    let answer = request.send().await?;
    match again {
        Some(again) if answer.status() == StatusCode::REQUEST_TIMEOUT => again.send().await,
        _ => Ok(answer),
    }
}

/// A browser. Cookies are kept by name alone: all servers of the demo share one host, and cookies know no ports.
#[derive(Clone)]
pub struct Browser {
    client: Client,
    cookies: BTreeMap<String, String>,
}

/// Where a navigation ended.
pub struct Page {
    pub url: Url,
    pub status: StatusCode,
    pub response: Response,
}

impl Page {
    /// A header of the answer, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// The value of a hidden field of the page's form, if the page has it.
    ///
    /// # Errors
    /// The page did not load to its end.
    pub async fn field(self, name: &str) -> Result<Option<String>, Trouble> {
        let path = self.url.path().to_owned();
        let html = self.response.text().await.map_err(|error| Trouble(format!("{path}: {}", kind_of(&error))))?;
        Ok(hidden_field(&html, name).map(str::to_owned))
    }
}

fn hidden_field<'a>(html: &'a str, name: &str) -> Option<&'a str> {
    let field = format!("<input type=\"hidden\" name=\"{name}\" value=\"");
    let (_, rest) = html.split_once(&field)?;
    rest.split('"').next()
}

impl Browser {
    /// A browser without any cookie.
    pub fn new(client: Client) -> Self {
        Self { client, cookies: BTreeMap::new() }
    }

    /// Goes to an address as from the address bar, and on to wherever it is sent.
    pub async fn open(&mut self, url: &Url) -> Result<Page, Trouble> {
        self.navigate(Method::GET, url, String::new()).await
    }

    /// Sends a form of a page of the same site.
    pub async fn submit(&mut self, url: &Url, fields: &[(&str, &str)]) -> Result<Page, Trouble> {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.navigate(Method::POST, url, form).await
    }

    /// Calls an address as a script on a page of the same origin does, with a JSON body if there is one.
    pub async fn call(
        &mut self,
        method: Method,
        url: &Url,
        body: Option<&serde_json::Value>,
    ) -> Result<Response, Trouble> {
        let request = self.request(method, url).header("Sec-Fetch-Site", "same-origin");
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        self.send(request, url).await
    }

    async fn navigate(&mut self, method: Method, url: &Url, form: String) -> Result<Page, Trouble> {
        let (mut method, mut url) = (method, url.clone());
        for _ in 0..REDIRECTS_MAX {
            let request =
                self.request(method.clone(), &url).header(ACCEPT, "text/html").header("Sec-Fetch-Mode", "navigate");
            let request = if method == Method::POST {
                let request = request.header("Sec-Fetch-Site", "same-origin").header(CONTENT_TYPE, FORM);
                request.body(form.clone())
            } else {
                request
            };
            let response = self.send(request, &url).await?;
            let status = response.status();
            if !status.is_redirection() {
                return Ok(Page { url, status, response });
            }
            let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            let target = location.and_then(|location| url.join(location).ok());
            url = target.ok_or_else(|| Trouble(format!("{status} without a place to go from {}", url.path())))?;
            method = Method::GET;
        }
        Err(Trouble(format!("sent round in circles, last to {}", url.path())))
    }

    fn request(&self, method: Method, url: &Url) -> RequestBuilder {
        let request = self.client.request(method, url.clone());
        if self.cookies.is_empty() {
            return request;
        }
        let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        request.header(COOKIE, pairs.join("; "))
    }

    async fn send(&mut self, request: RequestBuilder, url: &Url) -> Result<Response, Trouble> {
        let sent = send(request).await;
        let response = sent.map_err(|error| Trouble(format!("{}: {}", url.path(), kind_of(&error))))?;
        for line in response.headers().get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok()) {
            self.keep(line);
        }
        Ok(response)
    }

    fn keep(&mut self, line: &str) {
        let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
        let Some((name, value)) = pair.split_once('=') else { return };
        if attributes.to_ascii_lowercase().split(';').any(|attribute| attribute.trim() == "max-age=0") {
            self.cookies.remove(name.trim());
        } else {
            self.cookies.insert(name.trim().to_owned(), value.to_owned());
        }
    }
}

/// The body of an answer as JSON.
pub async fn json<T: DeserializeOwned>(response: Response) -> Result<T, Trouble> {
    let path = response.url().path().to_owned();
    response.json().await.map_err(|error| Trouble(format!("{path}: {}", kind_of(&error))))
}

/// What kind of failure it is, without addresses, so that a thousand of one kind are counted as one.
fn kind_of(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else if error.is_decode() && is_unreadable(error) {
        "an answer that can't be read"
    } else {
        "the connection broke"
    }
}

/// Whether an answer came whole and made no sense; one that was cut short is no wrong answer.
fn is_unreadable(error: &reqwest::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<serde_json::Error>())
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        net::TcpListener,
        thread,
    };

    use super::*;

    /// A server that answers each connection with the next of these statuses, and closes it.
    fn server(statuses: &'static [&'static str]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        thread::spawn(move || {
            for (status, stream) in statuses.iter().zip(listener.incoming()) {
                let mut stream = stream.unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                lines.take_while(|line| !line.is_empty()).for_each(drop);
                write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
            }
        });
        address
    }

    #[tokio::test]
    async fn a_connection_given_up_while_it_was_idle_costs_one_more_try() {
        let ask = async |statuses| send(connections().unwrap().get(server(statuses))).await.unwrap().status();
        assert_eq!(ask(&["408 Request Timeout", "200 OK"]).await, StatusCode::OK);
        assert_eq!(ask(&["408 Request Timeout", "408 Request Timeout", "200 OK"]).await, StatusCode::REQUEST_TIMEOUT);
        assert_eq!(ask(&["503 Service Unavailable", "200 OK"]).await, StatusCode::SERVICE_UNAVAILABLE);
    }

    #[test]
    fn a_hidden_field_is_read_off_a_page() {
        let html = "<form><input type=\"hidden\" name=\"once\" value=\"a1b2\"><button>Go</button></form>";
        assert_eq!(hidden_field(html, "once"), Some("a1b2"));
        assert_eq!(hidden_field(html, "twice"), None);
    }
}
