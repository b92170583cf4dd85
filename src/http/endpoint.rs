//! One address and its methods. GET answers HEAD too, OPTIONS says what there is, and a method that the address
//! does not know gets 405 with `Allow`.

use std::collections::BTreeSet;

use actix_web::{
    FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, Route, guard,
    http::{
        Method,
        header::{self, HeaderValue},
    },
    web::{self, ServiceConfig},
};

use super::{
    cors::Cors,
    problem::{Code, Problem},
};

/// An address being described; [`Endpoint::register`] puts it into the service.
pub struct Endpoint {
    resource: Resource,
    methods: BTreeSet<&'static str>,
    cors: Cors,
}

/// An address, with `{name}` for its parameters.
pub fn endpoint(path: &str) -> Endpoint {
    Endpoint { resource: web::resource(path), methods: BTreeSet::from(["OPTIONS"]), cors: Cors::SameOrigin }
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
        let allow: HeaderValue = join(&self.methods);
        let cors = self.cors;
        let others = move |request: HttpRequest| {
            let allow = allow.clone();
            async move { unlisted_method(&request, cors, allow) }
        };
        let resource =
            self.resource.wrap(actix_web::middleware::from_fn(move |request, next| cors.apply(request, next)));
        config.service(resource.default_service(web::to(others)));
    }

    fn method(mut self, name: &'static str, route: Route) -> Self {
        self.methods.insert(name);
        self.resource = self.resource.route(route);
        self
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
