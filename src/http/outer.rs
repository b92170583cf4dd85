//! What surrounds every request: shedding and header bounds before, the form of errors and the headers that
//! every answer carries after.

use std::time::Instant;

use actix_web::{
    HttpRequest, HttpResponse,
    body::BoxBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{
        StatusCode,
        header::{self, HeaderMap, HeaderValue},
    },
};

use super::{
    Shared,
    connections::{self, AtWork},
    endpoint::Around,
    extract, gate,
    limits::{HEADERS_MAX_BYTES, REFUSED_BODY_TIMEOUT},
    problem::{Code, Problem},
    waiting_page,
};
use crate::page::{self, Language};

/// A request that came in, with what is made of it, or one that is refused.
pub(super) type Entered<T> = Result<(InFlight, T), Box<(Problem, ServiceRequest)>>;

/// The outermost layer, before: whether a request may come in.
pub(super) fn enter(context: &Shared, request: ServiceRequest) -> Entered<ServiceRequest> {
    let admitted = InFlight::begin(context, request.request());
    match admitted.and_then(|in_flight| headers_fit(&request).map(|()| in_flight)) {
        Ok(in_flight) => Ok((in_flight, request)),
        Err(problem) => Err(Box::new((problem, request))),
    }
}

/// The outermost layer, after: what every answer has.
pub(super) async fn finish<F>(entered: Entered<F>) -> F::Output
where
    F: Future<Output = Result<ServiceResponse<BoxBody>, actix_web::Error>>,
{
    let mut response = match entered {
        Ok((in_flight, answer)) => {
            let mut response = with_problem(answer.await?);
            in_flight.end(&mut response);
            response
        }
        Err(refused) => {
            let (problem, request) = *refused;
            with_problem(refuse(problem, request).await)
        }
    };
    put_security_headers(&mut response);
    Ok(response)
}

/// A request at work; dropping it gives its place back.
pub(super) struct InFlight {
    context: Shared,
    at_work: AtWork,
    started: Instant,
}

impl InFlight {
    fn begin(context: &Shared, request: &HttpRequest) -> Result<Self, Problem> {
        let at_work = connections::begin(request)?;
        let metrics = &context.instance.metrics.http;
        // The gauge is the count: every further one would be a cache line that all threads write.
        let before = metrics.in_flight.inc();
        let in_flight = Self { context: context.clone(), at_work, started: Instant::now() };
        if usize::try_from(before).is_ok_and(|before| before >= context.bounds.in_flight) {
            metrics.shed.inc();
            return Err(Problem::new(Code::Overloaded, "this instance has as many requests at work as it can finish"));
        }
        Ok(in_flight)
    }

    /// Ends it with its answer.
    fn end<B>(mut self, response: &mut ServiceResponse<B>) {
        let now = Instant::now();
        self.at_work.end(now);
        // Another handle on the request, while its response is changed.
        let request = response.request().clone();
        if let Some(address) = request.app_data::<Around>() {
            address.finish(&self.context, response, now.saturating_duration_since(self.started));
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.context.instance.metrics.http.in_flight.dec();
    }
}

/// Refuses a request, and reads its body first if it is there. With one unread the connection would be closed, and
/// opening another costs both sides several times what the refusal does, just when there is no time.
async fn refuse(problem: Problem, request: ServiceRequest) -> ServiceResponse<BoxBody> {
    let (request, mut payload) = request.into_parts();
    let body = extract::read_body(&request, &mut payload);
    // What comes of it is of no interest: whatever is left unread closes the connection.
    let _ = tokio::time::timeout(REFUSED_BODY_TIMEOUT, body).await;
    ServiceResponse::from_err(problem, request)
}

fn headers_fit(request: &ServiceRequest) -> Result<(), Problem> {
    let uri_bytes = request.uri().path_and_query().map_or(0, |uri| uri.as_str().len());
    let bytes: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if uri_bytes + bytes <= HEADERS_MAX_BYTES {
        return Ok(());
    }
    let detail = format!("the address and all headers together may have at most {HEADERS_MAX_BYTES} bytes");
    Err(Problem::new(Code::HeadersTooLarge, detail))
}

/// The response, its problem written as one.
fn with_problem(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let Some(problem) = problem_of(&response) else { return response };
    let mut written = write_problem(&problem, response.request());
    keep_headers(&response, &mut written);
    response.into_response(written)
}

/// The problem behind a response, also where the framework made the response by itself.
fn problem_of<B>(response: &ServiceResponse<B>) -> Option<Problem> {
    let error = response.response().error()?;
    if let Some(problem) = error.as_error::<Problem>() {
        return Some(problem.clone());
    }
    Some(match response.status() {
        StatusCode::NOT_FOUND => Problem::new(Code::NotFound, "there is nothing at this address"),
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(Code::TooLarge, "the request is too large"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            Problem::new(Code::UnsupportedMediaType, "this type of body is not taken")
        }
        status if status.is_client_error() => Problem::new(Code::InvalidRequest, error.to_string()),
        _ => {
            tracing::error!(%error, path = response.request().path(), "a request failed");
            Problem::new(Code::Internal, "the fault is ours, and logged")
        }
    })
}

fn write_problem(problem: &Problem, request: &HttpRequest) -> HttpResponse {
    if let Some(narrowed) = gate::narrow_problem(request, problem) {
        return narrowed;
    }
    if !is_navigation(request.headers()) {
        return problem.json_response(request.path());
    }
    let accepted = request.headers().get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    let shown = page::error::Problem {
        status: problem.code.status_number(),
        kind: &problem.kind(),
        title: problem.code.title(),
        detail: &problem.detail,
        line: problem.fields.get("location").and_then(|to| to.as_str()),
    };
    let page = page::error(&shown, Language::preferred(accepted));
    let mut response = HttpResponse::build(problem.code.status());
    response.content_type("text/html; charset=utf-8");
    response.insert_header((header::CONTENT_SECURITY_POLICY, waiting_page::policy(&page.csp)));
    problem.put_headers(response.body(page.html))
}

/// Whether a person looks at the answer: the browser says that it navigates, or, where it says nothing, that it
/// would rather have a page.
pub(super) fn is_navigation(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match text("sec-fetch-mode") {
        Some(mode) => mode == "navigate",
        None => text("accept").is_some_and(|accept| accept.contains("text/html")),
    }
}

/// What handlers put on the error before it was written anew: cookies.
fn keep_headers<B>(before: &ServiceResponse<B>, written: &mut HttpResponse) {
    let own = written.headers().clone();
    for (name, value) in before.headers() {
        if name != header::CONTENT_LENGTH && !own.contains_key(name) {
            written.headers_mut().append(name.clone(), value.clone());
        }
    }
}

/// Headers of every answer, put here alone; a document's handler has a policy of its own.
fn put_security_headers<B>(response: &mut ServiceResponse<B>) {
    const NO_DOCUMENT: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    let headers = response.headers_mut();
    headers.append(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.append(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        headers.append(header::CONTENT_SECURITY_POLICY, NO_DOCUMENT);
    }
}
