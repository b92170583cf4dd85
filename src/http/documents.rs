//! Versions of documents on the wire: the `ETag` of what is there, `If-Match` of what is to be replaced.

use actix_web::{
    FromRequest, HttpRequest, HttpResponse, HttpResponseBuilder,
    dev::Payload,
    http::header::{self, HeaderName, HeaderValue},
};
use futures_util::future::LocalBoxFuture;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    extract::json_body,
    limits::DOCUMENT_MAX_BYTES,
    problem::{Code, Problem},
    sale_refusals,
};
use crate::{
    instance::{OperateError, read_document},
    store::catalog::Expect,
};

/// What a caller says about the version that stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing was said.
    None,
    /// `If-None-Match: *`: there must be no such document.
    Absent,
    /// `If-Match: *`: there must be one, whichever.
    Present,
    /// `If-Match: "7"`, or a bare 7.
    Version(u64),
}

impl Precondition {
    /// What the request's headers say.
    ///
    /// # Errors
    /// 400 for what is neither a version nor `*`.
    pub fn of(request: &HttpRequest) -> Result<Self, Problem> {
        let value = |name: HeaderName| -> Result<Option<&str>, Problem> {
            let unreadable = |_| Problem::new(Code::InvalidRequest, "a precondition's header is not readable");
            request.headers().get(name).map(|value| value.to_str().map(str::trim).map_err(unreadable)).transpose()
        };
        match (value(header::IF_MATCH)?, value(header::IF_NONE_MATCH)?) {
            (None, None) => Ok(Self::None),
            (Some("*"), None) => Ok(Self::Present),
            (None, Some("*")) => Ok(Self::Absent),
            (Some(version), None) => version
                .strip_prefix('"')
                .map_or(Some(version), |quoted| quoted.strip_suffix('"'))
                .and_then(|digits| digits.parse().ok())
                .map(Self::Version)
                .ok_or_else(|| {
                    Problem::invalid_field("If-Match", "must be the document's version as its ETag has it, or `*`")
                }),
            (_, Some(_)) => Err(Problem::invalid_field("If-None-Match", "only `*` is known, and not with If-Match")),
        }
    }

    /// The same for the catalog, for a write that may create; `exists` is what this instance knows.
    ///
    /// # Errors
    /// 412 where a document must be there and none is.
    pub fn for_write(self, exists: bool) -> Result<Expect, Problem> {
        match self {
            Self::Present | Self::Version(_) if !exists => Err(stale(None)),
            Self::None | Self::Absent => Ok(Expect::Absent),
            Self::Present => Ok(Expect::Any),
            Self::Version(version) => Ok(Expect::Version(version)),
        }
    }

    /// The same for a change of what is there, where saying nothing means whichever.
    ///
    /// # Errors
    /// 412 where there must be no document: then there is nothing to change.
    pub fn for_change(self) -> Result<Expect, Problem> {
        match self {
            Self::None | Self::Present => Ok(Expect::Any),
            Self::Version(version) => Ok(Expect::Version(version)),
            Self::Absent => Err(stale(None)),
        }
    }

    /// What to answer to an error of a write under this precondition.
    pub fn problem(self, error: OperateError) -> Problem {
        match (self, error) {
            (Self::None, OperateError::Stale { found: Some(found) }) => Problem::new(
                Code::VersionRequired,
                format!("there is one already: send If-Match with the version you replace ({found}), or `*`"),
            )
            .with("version", found),
            (_, error) => error.into(),
        }
    }
}

impl From<OperateError> for Problem {
    fn from(error: OperateError) -> Self {
        match error {
            OperateError::Invalid(error) => error.into(),
            OperateError::Unknown => Self::new(Code::NotFound, "there is no such document, or not any more"),
            OperateError::Stale { found } => stale(found),
            OperateError::Conflict(detail) => Self::new(Code::Conflict, detail),
            OperateError::Refused(refusal) => sale_refusals::problem(refusal),
            OperateError::Full { limit } => {
                Self::new(Code::LimitExceeded, format!("there may be at most {limit}, and so many there are"))
                    .with("limit", limit)
            }
            OperateError::Store(error) => error.into(),
        }
    }
}

/// The document of a PUT. The path names it, so the body need not; and a document that was answered can be put back,
/// version and all: which version it replaces is for `If-Match` to say. (GET of a sale shows its items as they stand, and
/// the document under `document`: that is what can be put.)
///
/// # Errors
/// 400, naming the field where it can.
pub fn read_put<D: Serialize + DeserializeOwned>(id: &str, mut body: Value) -> Result<D, Problem> {
    forget_version(&mut body);
    let Value::Object(members) = &mut body else {
        return Err(Problem::new(Code::InvalidRequest, "the body must be an object: the document"));
    };
    match members.get("id") {
        None => _ = members.insert("id".to_owned(), id.into()),
        Some(named) if named == id => {}
        Some(_) => return Err(Problem::invalid_field("id", format!("must be `{id}`, as in the address, or left out"))),
    }
    Ok(read_document(body)?)
}

/// Drops the version that answers carry and requests need not.
pub fn forget_version(body: &mut Value) {
    if let Value::Object(members) = body {
        members.remove("version");
    }
}

/// The body of an operator's PUT or PATCH of a sale: larger than others may be, because a sale of many items is.
pub struct DocumentBody(pub Value);

impl FromRequest for DocumentBody {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = json_body(request, payload, DOCUMENT_MAX_BYTES);
        Box::pin(async move { body.await.map(Self) })
    }
}

fn stale(found: Option<u64>) -> Problem {
    let detail = match found {
        Some(found) => format!("version {found} stands there: get it, and decide anew"),
        None => "there is no such document".to_owned(),
    };
    Problem::new(Code::StaleVersion, detail).with("version", found)
}

/// A document as it stands: the body with its `version`, and the same as `ETag`. For whoever asked, and not to be kept.
pub fn respond(mut response: HttpResponseBuilder, mut body: Value, version: u64) -> HttpResponse {
    if let Value::Object(members) = &mut body {
        members.insert("version".to_owned(), version.into());
    }
    if let Ok(etag) = HeaderValue::try_from(format!("\"{version}\"")) {
        response.insert_header((header::ETAG, etag));
    }
    private(response).json(body)
}

/// An answer for the caller alone: an operator's answers depend on the key.
pub fn private(mut response: HttpResponseBuilder) -> HttpResponseBuilder {
    response
        .insert_header((header::CACHE_CONTROL, "private, no-store"))
        .insert_header((header::VARY, "Authorization, Cookie"));
    response
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn of(headers: &[(HeaderName, &'static str)]) -> Result<Precondition, u16> {
        let request = headers.iter().fold(TestRequest::put(), |request, header| request.insert_header(header.clone()));
        Precondition::of(&request.to_http_request()).map_err(|problem| problem.code.status_number())
    }

    #[test]
    fn a_version_is_read_as_an_etag_or_bare() {
        assert_eq!(of(&[]), Ok(Precondition::None));
        assert_eq!(of(&[(header::IF_MATCH, "*")]), Ok(Precondition::Present));
        assert_eq!(of(&[(header::IF_MATCH, "\"7\"")]), Ok(Precondition::Version(7)));
        assert_eq!(of(&[(header::IF_MATCH, " 7 ")]), Ok(Precondition::Version(7)));
        assert_eq!(of(&[(header::IF_NONE_MATCH, "*")]), Ok(Precondition::Absent));
        for wrong in ["", "\"7", "7\"", "x", "-1", "W/\"7\"", "\"7\", \"8\""] {
            assert_eq!(of(&[(header::IF_MATCH, wrong)]), Err(400), "{wrong}");
        }
        assert_eq!(of(&[(header::IF_NONE_MATCH, "\"7\"")]), Err(400));
        assert_eq!(of(&[(header::IF_MATCH, "*"), (header::IF_NONE_MATCH, "*")]), Err(400));
    }

    #[test]
    fn what_stands_there_is_not_replaced_unseen() {
        let code = |precondition: Precondition| {
            precondition.problem(OperateError::Stale { found: Some(3) }).code.status_number()
        };
        assert_eq!(code(Precondition::None), 428);
        assert_eq!(code(Precondition::Version(2)), 412);
        assert_eq!(code(Precondition::Absent), 412);
    }

    #[test]
    fn a_version_of_what_is_not_there_is_stale() {
        assert!(Precondition::Present.for_write(false).is_err());
        assert!(Precondition::Version(1).for_write(false).is_err());
        assert_eq!(Precondition::Present.for_write(true).ok(), Some(Expect::Any));
        assert_eq!(Precondition::None.for_write(true).ok(), Some(Expect::Absent), "the store finds out");
    }
}
