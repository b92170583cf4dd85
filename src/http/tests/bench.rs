//! The whole HTTP side in one process, for the tests of its parts: a store in memory, a clock that stands.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use actix_web::{
    body::MessageBody as _,
    dev::ServiceResponse,
    http::{Method, header::HeaderMap},
    test::{TestRequest, call_service, init_service},
};
use futures_util::future::LocalBoxFuture;
use serde_json::{Value, json};

use crate::http::{Bounds, Context, Evidence, Surface, TrustedProxies, app};
use crate::{
    clock::Clock,
    instance::{Instance, Options, SigningPolicy},
    store::{Backend, embedded::Embedded},
    telemetry::Metrics,
    time::UnixMs,
};

/// The secret of the key `env-admin`.
pub const ADMIN: &str = "the secret of the tests";

/// An instance behind its addresses.
pub struct Bench {
    pub context: Arc<Context>,
    now: Arc<AtomicU64>,
    // Made once a surface: to lay out all addresses takes longer than to answer.
    services: RefCell<Vec<(Surface, Answers)>>,
}

/// The addresses of a surface, answering.
type Answers = Rc<dyn Fn(TestRequest) -> LocalBoxFuture<'static, Reply>>;

/// An answer, read whole.
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    /// Null if it is empty, a string if it is not JSON.
    pub body: Value,
}

impl Reply {
    fn read(response: ServiceResponse) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.into_body().try_into_bytes().unwrap_or_default();
        let text = String::from_utf8(body.to_vec()).unwrap();
        let body =
            if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::String(text)) };
        Self { status, headers, body }
    }

    /// A header as text; empty if it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Bench {
    /// An instance without rooms.
    pub async fn new() -> Self {
        let now = Arc::new(AtomicU64::new(1_800_000_000_000));
        let told = Arc::clone(&now);
        let clock = Clock::new(move || UnixMs(told.load(Ordering::Relaxed)));
        let metrics = Arc::new(Metrics::new());
        let store = Backend::Embedded(Embedded::memory(clock.clone(), Arc::clone(&metrics)));
        let options = Options {
            public_url: "https://line.example".to_owned(),
            rooms: Vec::new(),
            sales: Vec::new(),
            api_keys: Vec::new(),
            admin_secret: Some(ADMIN.to_owned().into()),
            signing: SigningPolicy::default(),
            runtime: tokio::runtime::Handle::current(),
        };
        let instance = Instance::start(store, clock, metrics, options).await.unwrap();
        let public_url = "https://line.example".parse().unwrap();
        let proxies = TrustedProxies::default();
        let context = Context::new(instance, public_url, proxies, Evidence::Addresses, Bounds::default());
        Self { context: Arc::new(context), now, services: RefCell::default() }
    }

    /// Moves the clock.
    pub fn pass_ms(&self, ms: u64) {
        self.now.fetch_add(ms, Ordering::Relaxed);
    }

    /// Sends a request as it is.
    pub async fn send(&self, surface: Surface, request: TestRequest) -> Reply {
        let answers = self.answers(surface).await;
        answers(request.peer_addr("203.0.113.7:4000".parse().unwrap())).await
    }

    async fn answers(&self, surface: Surface) -> Answers {
        let made = self.services.borrow().iter().find(|(of, _)| *of == surface).map(|(_, answers)| Rc::clone(answers));
        if let Some(answers) = made {
            return answers;
        }
        let service = init_service(app(&self.context, surface)).await;
        let service = Rc::new(service);
        let answers: Answers = Rc::new(move |request| {
            let service = Rc::clone(&service);
            Box::pin(async move { Reply::read(call_service(&*service, request.to_request()).await) })
        });
        self.services.borrow_mut().push((surface, Rc::clone(&answers)));
        answers
    }

    /// Calls with a key; a body of null is none.
    pub async fn call_as(&self, key: &str, method: Method, path: &str, body: Value) -> Reply {
        let request =
            TestRequest::default().method(method).uri(path).insert_header(("Authorization", format!("Bearer {key}")));
        let request = if body.is_null() { request } else { request.set_json(body) };
        self.send(Surface::All, request).await
    }

    /// Calls with the key `env-admin`.
    pub async fn call(&self, method: Method, path: &str, body: Value) -> Reply {
        self.call_as(ADMIN, method, path, body).await
    }

    /// Replaces a document of that version.
    pub async fn put_over(&self, version: &str, path: &str, body: Value) -> Reply {
        let request = TestRequest::put().uri(path).insert_header(("Authorization", format!("Bearer {ADMIN}")));
        self.send(Surface::All, request.insert_header(("If-Match", version)).set_json(body)).await
    }

    /// Makes a key and tells its secret and id.
    pub async fn key(&self, scopes: &[&str], rooms: Value) -> (String, String) {
        let mut wanted = json!({ "name": "a key", "scopes": scopes });
        if !rooms.is_null() {
            wanted["rooms"] = rooms;
        }
        let made = self.call(Method::POST, "/v1/keys", wanted).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let text = |field: &str| made.body[field].as_str().unwrap().to_owned();
        (text("secret"), text("id"))
    }

    /// Makes the room `main`.
    pub async fn room(&self) -> Reply {
        let document = json!({ "name": "Main", "shop_url": "https://shop.example/" });
        self.call(Method::PUT, "/v1/rooms/main", document).await
    }
}
