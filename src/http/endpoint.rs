//! One address and its methods. GET answers HEAD too, OPTIONS says what there is, and a method that the address
//! does not know gets 405 with `Allow`.

use std::{borrow::Cow, cell::OnceCell, collections::BTreeSet, time::Duration};

use actix_web::{
    FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, Scope,
    dev::ServiceResponse,
    guard::{self, GuardContext},
    http::{
        Method,
        header::{self, HeaderValue},
    },
    web::{self, ServiceConfig},
};

use super::{
    Context,
    cors::Cors,
    metrics::RouteMetrics,
    problem::{Code, Problem},
    shortcut::Shortcut,
};

/// An address being described; [`Endpoint::register`] puts it into the service.
pub struct Endpoint {
    path: Cow<'static, str>,
    resource: Resource,
    shortcut: Option<Shortcut>,
    /// The ways by the shortcut, one a method.
    ways: Vec<Scope>,
    methods: BTreeSet<&'static str>,
    cors: Cors,
}

/// An address, with `{name}` for its parameters.
pub fn endpoint(path: impl Into<Cow<'static, str>>) -> Endpoint {
    endpoint_within("", path)
}

/// An address in the scope of its prefix, said in full like any other.
pub fn endpoint_within(prefix: &str, path: impl Into<Cow<'static, str>>) -> Endpoint {
    let path = path.into();
    // Another spelling than the program's own text is never asked most.
    let shortcut = if let Cow::Borrowed(pattern) = path { Shortcut::of(pattern) } else { None };
    Endpoint {
        resource: web::resource(path.strip_prefix(prefix).unwrap_or(&path)),
        path,
        shortcut,
        ways: Vec::new(),
        methods: BTreeSet::from(["OPTIONS"]),
        cors: Cors::SameOrigin,
    }
}

impl Endpoint {
    /// Answers GET, and HEAD with the same headers.
    #[must_use]
    pub fn get<F, Args>(mut self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.methods.insert("HEAD");
        self.route("GET", |method| matches!(*method, Method::GET | Method::HEAD), handler)
    }

    /// Answers POST.
    #[must_use]
    pub fn post<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.route("POST", |method| *method == Method::POST, handler)
    }

    /// Answers PUT.
    #[must_use]
    pub fn put<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.route("PUT", |method| *method == Method::PUT, handler)
    }

    /// Answers PATCH.
    #[must_use]
    pub fn patch<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.route("PATCH", |method| *method == Method::PATCH, handler)
    }

    /// Answers DELETE.
    #[must_use]
    pub fn delete<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.route("DELETE", |method| *method == Method::DELETE, handler)
    }

    /// Which other origins may call it from a browser.
    #[must_use]
    pub fn cors(mut self, cors: Cors) -> Self {
        self.cors = cors;
        self
    }

    /// Leads to its handlers by a shortcut, besides the way that [`Endpoint::register`] makes: for what is asked most, ahead
    /// of all patterns.
    pub fn lead(self, config: &mut ServiceConfig) {
        debug_assert!(!self.ways.is_empty(), "no shortcut leads to {}", self.path);
        for way in self.ways {
            let (pattern, metrics) = (self.path.clone(), OnceCell::new());
            config.service(way.app_data(Around { cors: self.cors, pattern, shortcut: self.shortcut, metrics }));
        }
    }

    /// Puts the address into the service.
    pub fn register(self, config: &mut ServiceConfig) {
        #[cfg(test)]
        tests::REGISTERED.with_borrow_mut(|all| {
            all.extend(self.methods.iter().map(|method| format!("{method} {}", self.path)));
        });
        let allow: HeaderValue = join(&self.methods);
        let cors = self.cors;
        let others = move |request: HttpRequest| {
            let allow = allow.clone();
            async move { unlisted_method(&request, cors, allow) }
        };
        let around = Around { cors, pattern: self.path, shortcut: None, metrics: OnceCell::new() };
        config.service(self.resource.app_data(around).default_service(web::to(others)));
    }

    /// Answers every method by one handler, OPTIONS too.
    #[must_use]
    pub fn any<F, Args>(mut self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.resource = self.resource.route(web::route().to(handler));
        self
    }

    // With a guard of its own: the framework's keep a list of the methods that did not fit, which we know.
    fn route<F, Args>(mut self, name: &'static str, fits: fn(&Method) -> bool, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.methods.insert(name);
        let fits = move |context: &GuardContext<'_>| fits(&context.head().method);
        if let Some(shortcut) = self.shortcut {
            self.ways.push(shortcut.lead(fits, handler.clone()));
        }
        let guard = guard::fn_guard(fits);
        self.resource = self.resource.route(web::route().guard(guard).to(handler));
        self
    }
}

/// What surrounds the handlers of one address: CORS and metrics. A request that has found its address carries it, for the
/// outermost layer to end with: a layer of its own would cost every request two allocations.
pub(super) struct Around {
    cors: Cors,
    pattern: Cow<'static, str>,
    /// How its requests came here, if not by the pattern.
    shortcut: Option<Shortcut>,
    // Made at the first request: a scrape does not list what nobody asked.
    metrics: OnceCell<RouteMetrics>,
}

impl Around {
    /// What stands in the place of a parameter, where the request came by a shortcut.
    pub(super) fn parameter<'p>(&self, name: &str, path: &'p str) -> Option<&'p str> {
        self.shortcut?.parameter(name, path)
    }

    /// Ends what a request of this address began: its answer is counted and gets its CORS headers.
    pub(super) fn finish<B>(&self, context: &Context, response: &mut ServiceResponse<B>, elapsed: Duration) {
        let metrics = || RouteMetrics::new(&context.instance.metrics.http, self.pattern.to_string());
        let metrics = self.metrics.get_or_init(metrics);
        metrics.observe(response.request().method(), elapsed, response.status());
        let origin = self.cors.allowed_origin(response.request());
        self.cors.put(origin, response.headers_mut());
    }
}

fn unlisted_method(request: &HttpRequest, cors: Cors, allow: HeaderValue) -> Result<HttpResponse, Problem> {
    if request.method() != Method::OPTIONS {
        let problem = Problem::new(Code::MethodNotAllowed, "see the Allow header for the methods of this address");
        return Err(problem.header(header::ALLOW, allow));
    }
    let mut response = HttpResponse::NoContent();
    cors.preflight(request, &allow, &mut response);
    Ok(response.insert_header((header::ALLOW, allow)).finish())
}

fn join(methods: &BTreeSet<&'static str>) -> HeaderValue {
    let names: Vec<&str> = methods.iter().copied().collect();
    HeaderValue::from_str(&names.join(", ")).unwrap_or(HeaderValue::from_static("OPTIONS"))
}

#[cfg(test)]
pub(super) mod tests {
    use std::{cell::RefCell, collections::BTreeSet};

    thread_local! {
        /// Every `METHOD path` that was registered on this thread: what the OpenAPI document must know.
        pub static REGISTERED: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
    }
}
