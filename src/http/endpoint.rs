//! One address and its methods. GET answers HEAD too, OPTIONS says what there is, and a method that the address
//! does not know gets 405 with `Allow`.

use std::{cell::OnceCell, collections::BTreeSet, rc::Rc, time::Instant};

use actix_web::{
    FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, Route,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    guard,
    http::{
        Method,
        header::{self, HeaderValue},
    },
    middleware::{Next, from_fn},
    web::{self, ServiceConfig},
};

use super::{
    cors::Cors,
    extract,
    metrics::RouteMetrics,
    problem::{Code, Problem},
};

/// An address being described; [`Endpoint::register`] puts it into the service.
pub struct Endpoint {
    #[cfg(test)]
    path: String,
    resource: Resource,
    methods: BTreeSet<&'static str>,
    cors: Cors,
}

/// An address, with `{name}` for its parameters.
pub fn endpoint(path: &str) -> Endpoint {
    endpoint_within("", path)
}

/// An address in the scope of its prefix, said in full like any other.
pub fn endpoint_within(prefix: &str, path: &str) -> Endpoint {
    Endpoint {
        #[cfg(test)]
        path: path.to_owned(),
        resource: web::resource(path.strip_prefix(prefix).unwrap_or(path)),
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
        self.methods.extend(["GET", "HEAD"]);
        let get_or_head = guard::Any(guard::Get()).or(guard::Head());
        self.resource = self.resource.route(web::route().guard(get_or_head).to(handler));
        self
    }

    /// Answers POST.
    #[must_use]
    pub fn post<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.method("POST", web::post().to(handler))
    }

    /// Answers PUT.
    #[must_use]
    pub fn put<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.method("PUT", web::put().to(handler))
    }

    /// Answers PATCH.
    #[must_use]
    pub fn patch<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.method("PATCH", web::patch().to(handler))
    }

    /// Answers DELETE.
    #[must_use]
    pub fn delete<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.method("DELETE", web::delete().to(handler))
    }

    /// Which other origins may call it from a browser.
    #[must_use]
    pub fn cors(mut self, cors: Cors) -> Self {
        self.cors = cors;
        self
    }

    /// Puts the address into the service.
    pub fn register(self, config: &mut ServiceConfig) {
        #[cfg(test)]
        tests::REGISTERED.with_borrow_mut(|all| {
            all.extend(self.methods.iter().map(|method| format!("{method} {}", self.path)));
        });
        let allow: HeaderValue = join(&self.methods);
        let cors = self.cors;
        let layer = Rc::new(Layer { cors, metrics: OnceCell::new() });
        let others = move |request: HttpRequest| {
            let allow = allow.clone();
            async move { unlisted_method(&request, cors, allow) }
        };
        let layered = from_fn(move |request, next| Rc::clone(&layer).around(request, next));
        config.service(self.resource.wrap(layered).default_service(web::to(others)));
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

    fn method(mut self, name: &'static str, route: Route) -> Self {
        self.methods.insert(name);
        self.resource = self.resource.route(route);
        self
    }
}

/// What surrounds the handlers of one address: CORS and metrics.
struct Layer {
    cors: Cors,
    // Made at the first request: only then is the whole pattern known.
    metrics: OnceCell<RouteMetrics>,
}

impl Layer {
    async fn around<B: MessageBody + 'static>(
        self: Rc<Self>,
        request: ServiceRequest,
        next: Next<B>,
    ) -> Result<ServiceResponse<B>, actix_web::Error> {
        let origin = self.cors.allowed_origin(request.request());
        let method = request.method().clone();
        let started = Instant::now();
        let mut response = next.call(request).await?;
        let elapsed = started.elapsed();
        if let Ok(context) = extract::context(response.request()) {
            let pattern = || response.request().match_pattern().unwrap_or_default();
            let metrics = self.metrics.get_or_init(|| RouteMetrics::new(&context.instance.metrics.http, pattern()));
            metrics.observe(&method, elapsed, response.status());
        }
        self.cors.put(origin, response.headers_mut());
        Ok(response)
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
