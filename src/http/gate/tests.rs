//! The gate on an instance in memory, with a clock that stands until it is moved.

mod doors;
mod failures;
mod journeys;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use actix_web::{
    dev::ServiceResponse,
    http::{
        Method,
        header::{self, HeaderValue},
    },
    test::{TestRequest, call_service, init_service, read_body},
};
use serde_json::{Value, json};

use crate::{
    clock::Clock,
    http::{Bounds, Context, Evidence, Surface, TrustedProxies, app},
    instance::{Instance, LiveRoom, Options, SigningPolicy},
    room::{Command, Outcome, Place, Session},
    store::{Backend, embedded::Embedded},
    telemetry::Metrics,
    time::UnixMs,
    token::{EntryPass, SessionCookie, random_tag},
};

const COOKIE: &str = "__Host-dropgate_session_main";

/// Headers of a page being opened.
const PAGE: &[(&str, &str)] = &[("sec-fetch-mode", "navigate"), ("accept", "text/html")];
/// Headers of a script's call.
const CALL: &[(&str, &str)] = &[("sec-fetch-mode", "cors"), ("accept", "*/*")];

struct Gate {
    now: Arc<AtomicU64>,
    store: Embedded,
    instance: Arc<Instance>,
    context: Arc<Context>,
}

/// What the gate answered.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    location: String,
    /// Name and value, then the attributes.
    cookie: String,
    session: String,
    reason: String,
    body: String,
}

impl Gate {
    /// A gate whose room `main` has these settings on top of the defaults; `other` has the defaults.
    async fn with(settings: Value) -> Self {
        Self::trusting(settings, &["127.0.0.1"]).await
    }

    async fn trusting(settings: Value, proxies: &[&str]) -> Self {
        let now = Arc::new(AtomicU64::new(1_800_000_000_000));
        let told = Arc::clone(&now);
        let clock = Clock::new(move || UnixMs(told.load(Ordering::Relaxed)));
        let metrics = Arc::new(Metrics::new());
        let store = Embedded::memory(clock.clone(), Arc::clone(&metrics));
        let public_url = "https://line.example";
        let rooms = [("main", settings), ("other", json!({}))].map(|(id, settings)| document(id, &settings));
        let options = Options {
            public_url: public_url.to_owned(),
            rooms: rooms.into_iter().map(|room| serde_json::from_value(room).unwrap()).collect(),
            sales: Vec::new(),
            api_keys: Vec::new(),
            admin_secret: None,
            signing: SigningPolicy::default(),
            runtime: tokio::runtime::Handle::current(),
        };
        let instance = Instance::start(Backend::Embedded(store.clone()), clock, metrics, options).await.unwrap();
        let proxies = TrustedProxies::new(proxies.iter().map(|proxy| proxy.parse().unwrap()).collect());
        let public_url = public_url.parse().unwrap();
        let context = Context::new(Arc::clone(&instance), public_url, proxies, Evidence::Addresses, Bounds::default());
        Self { now, store, instance, context: Arc::new(context) }
    }

    fn pass_ms(&self, ms: u64) {
        self.now.fetch_add(ms, Ordering::Relaxed);
    }

    fn room(&self) -> Arc<LiveRoom> {
        self.instance.room("main").unwrap()
    }

    async fn submit(&self, command: Command) -> Outcome {
        self.room().lane.submit(command).await.unwrap().outcome
    }

    /// Asks at an address with these headers.
    async fn call(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let app = init_service(app(&self.context, Surface::All)).await;
        let request = TestRequest::with_uri(path).method(method).peer_addr("127.0.0.1:5555".parse().unwrap());
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.append_header((*name, HeaderValue::from_bytes(value.as_bytes()).unwrap()))
        });
        answer(call_service(&app, request.to_request()).await).await
    }

    /// Asks at the door for redirects about `path` of the shop, with the cookie if it is not empty.
    async fn ask(&self, path: &str, headers: &[(&str, &str)], cookie: &str) -> Answer {
        self.ask_by("GET", path, headers, cookie).await
    }

    async fn ask_by(&self, method: &str, path: &str, headers: &[(&str, &str)], cookie: &str) -> Answer {
        let told = [
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "shop.example"),
            ("x-forwarded-uri", path),
            ("x-forwarded-method", method),
            ("cookie", cookie),
        ];
        self.call(Method::GET, "/gate/main/redirect", &[&told, headers].concat()).await
    }

    /// A visitor who has waited and claimed: the session and an entry pass for it.
    async fn claimed(&self) -> (Session, String) {
        let Outcome::Joined { epoch, first, .. } = self.submit(Command::Join { count: 1 }).await else {
            panic!("nobody may join")
        };
        let place = Place { epoch, position: first };
        let Outcome::Live(session) = self.submit(Command::Claim { place, tag: random_tag() }).await else {
            panic!("not called")
        };
        (session, self.entry_pass(&session))
    }

    fn entry_pass(&self, session: &Session) -> String {
        let now = self.instance.clock.now();
        let pass =
            EntryPass { room: self.room().id.clone(), session: session.name, issued: now, session_deadline: now };
        self.instance.keys().sign_entry_pass(&pass, now)
    }

    /// A visitor inside: the session's name and the cookie to send.
    async fn inside(&self) -> (Session, String) {
        let (session, pass) = self.claimed().await;
        let answer = self.ask(&format!("/?dropgate={pass}"), PAGE, "").await;
        assert_eq!(answer.reason, "exchanged", "{answer:?}");
        (session, answer.cookie_pair())
    }

    /// Puts so many into line that newcomers have to wait.
    async fn crowd(&self) {
        self.submit(Command::Join { count: 10_000 }).await;
    }

    /// A cookie as this gate would sign it.
    fn signed_cookie(&self, cookie: &SessionCookie) -> String {
        format!("{COOKIE}={}", self.instance.keys().sign_session_cookie(cookie, self.instance.clock.now()))
    }
}

impl Answer {
    fn cookie_pair(&self) -> String {
        self.cookie.split(';').next().unwrap().to_owned()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

async fn answer(response: ServiceResponse) -> Answer {
    let text = |name: &str| {
        let values: Vec<_> = response.headers().get_all(name).map(|value| value.to_str().unwrap()).collect();
        assert!(values.len() <= 1, "{name} more than once: {values:?}");
        values.first().copied().unwrap_or_default().to_owned()
    };
    assert_eq!(text("cache-control"), "no-store");
    let (location, cookie) = (text(header::LOCATION.as_str()), text(header::SET_COOKIE.as_str()));
    let (session, reason) = (text(super::SESSION_HEADER), text(super::REASON_HEADER));
    let status = response.status().as_u16();
    assert_eq!(status == 200, !session.is_empty(), "a session is named exactly where a visitor is let in");
    assert!(status != 200 || (cookie.is_empty() && location.is_empty()), "200 sets no cookie");
    assert_eq!(status == 200, reason.is_empty(), "{status}");
    let body = String::from_utf8(read_body(response).await.to_vec()).unwrap();
    Answer { status, location, cookie, session, reason, body }
}

fn document(id: &str, settings: &Value) -> Value {
    let mut document = json!({"id": id, "name": id, "shop_url": "https://shop.example/"});
    for (name, value) in settings.as_object().unwrap() {
        document[name] = value.clone();
    }
    document
}

/// Where a visitor who wanted `url` is sent to wait.
fn waiting(url: &str) -> String {
    let escaped: String = url::form_urlencoded::byte_serialize(url.as_bytes()).collect();
    format!("https://line.example/w/main?t={escaped}")
}
