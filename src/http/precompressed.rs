//! Bodies that are the same for everyone: compressed once, with an ETag for each encoding, so that serving one is a
//! look-up and two reference counts.

use std::{fmt::Write as _, io::Write as _, sync::OnceLock};

use actix_web::{
    HttpRequest, HttpResponse,
    body::BoxBody,
    http::{
        StatusCode,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
    web::Bytes,
};
use aws_lc_rs::digest;

/// How hard a body is worth compressing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Made often, read for a second: the status.
    Quick,
    /// Made once a change of settings and read by everyone: the page.
    Best,
}

/// An encoding of a body, best first where a client takes several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Brotli,
    Gzip,
    Identity,
}

/// One body in every encoding. The compressed ones are made when first asked for.
pub struct Precompressed {
    content_type: &'static str,
    effort: Effort,
    identity: Encoded,
    gzip: OnceLock<Option<Encoded>>,
    brotli: OnceLock<Option<Encoded>>,
    /// A hash of the plain body, in hex.
    hash: String,
}

struct Encoded {
    body: Bytes,
    etag: HeaderValue,
}

impl Precompressed {
    /// A body of that type.
    pub fn new(content_type: &'static str, body: impl Into<Bytes>, effort: Effort) -> Self {
        let body: Bytes = body.into();
        let hash = hash(&body);
        let identity = Encoded { etag: etag(&hash, Encoding::Identity), body };
        Self { content_type, effort, identity, gzip: OnceLock::new(), brotli: OnceLock::new(), hash }
    }

    /// The plain body.
    pub fn body(&self) -> &Bytes {
        &self.identity.body
    }

    /// The answer to a GET or HEAD: 304 where the client has these very bytes. `headers` are those of both answers, and
    /// stand beside what is put here.
    pub fn respond(
        &self,
        request: &HttpRequest,
        headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
    ) -> HttpResponse {
        let (encoding, encoded) = self.encoded(negotiate(request.headers()));
        let known = is_known(request.headers(), &encoded.etag);
        let mut response = if known {
            HttpResponse::new(StatusCode::NOT_MODIFIED)
        } else {
            HttpResponse::with_body(StatusCode::OK, BoxBody::new(encoded.body.clone()))
        };
        // Appended, which costs half of what replacing does: a new answer has no headers.
        let put = response.headers_mut();
        put.append(header::ETAG, encoded.etag.clone());
        put.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        headers.into_iter().for_each(|(name, value)| put.append(name, value));
        if !known {
            put.append(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
            if let Some(name) = encoding.name() {
                put.append(header::CONTENT_ENCODING, HeaderValue::from_static(name));
            }
        }
        response
    }

    /// The bytes for an encoding, or the plain ones where it gains nothing.
    fn encoded(&self, encoding: Encoding) -> (Encoding, &Encoded) {
        let made = match encoding {
            Encoding::Identity => None,
            Encoding::Gzip => self.gzip.get_or_init(|| self.compress(encoding, gzip)).as_ref(),
            Encoding::Brotli => self.brotli.get_or_init(|| self.compress(encoding, brotli)).as_ref(),
        };
        made.map_or((Encoding::Identity, &self.identity), |made| (encoding, made))
    }

    fn compress(&self, encoding: Encoding, with: fn(&[u8], Effort) -> std::io::Result<Vec<u8>>) -> Option<Encoded> {
        let body = with(&self.identity.body, self.effort).ok()?;
        (body.len() < self.identity.body.len()).then(|| Encoded { etag: etag(&self.hash, encoding), body: body.into() })
    }
}

impl Encoding {
    fn name(self) -> Option<&'static str> {
        match self {
            Self::Brotli => Some("br"),
            Self::Gzip => Some("gzip"),
            Self::Identity => None,
        }
    }
}

fn gzip(body: &[u8], effort: Effort) -> std::io::Result<Vec<u8>> {
    let level = match effort {
        Effort::Quick => flate2::Compression::fast(),
        Effort::Best => flate2::Compression::best(),
    };
    let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(body.len() / 2), level);
    encoder.write_all(body)?;
    encoder.finish()
}

fn brotli(body: &[u8], effort: Effort) -> std::io::Result<Vec<u8>> {
    let params = brotli::enc::BrotliEncoderParams {
        quality: match effort {
            Effort::Quick => 4,
            Effort::Best => 11,
        },
        size_hint: body.len(),
        ..Default::default()
    };
    let mut compressed = Vec::with_capacity(body.len() / 2);
    brotli::BrotliCompress(&mut &body[..], &mut compressed, &params)?;
    Ok(compressed)
}

/// The first 128 bits of the body's SHA-256: more than enough to tell versions of one body apart.
fn hash(body: &[u8]) -> String {
    digest::digest(&digest::SHA256, body).as_ref().iter().take(16).fold(String::new(), |mut hex, byte| {
        // Writing into a String does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn etag(hash: &str, encoding: Encoding) -> HeaderValue {
    let suffix = encoding.name().map_or(String::new(), |name| format!("-{name}"));
    HeaderValue::from_str(&format!("\"{hash}{suffix}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

/// The best encoding the client takes: of those with the highest weight, the smallest body.
fn negotiate(headers: &HeaderMap) -> Encoding {
    let [mut br, mut gzip, mut any] = [None; 3];
    for item in headers.get_all(header::ACCEPT_ENCODING).flat_map(|value| value.as_bytes().split(|b| *b == b',')) {
        let name_bytes = item.iter().position(|b| *b == b';').unwrap_or(item.len());
        let (name, parameters) = item.split_at(name_bytes);
        let is = |known: &[u8]| name.trim_ascii().eq_ignore_ascii_case(known);
        let named = if is(b"br") {
            &mut br
        } else if is(b"gzip") || is(b"x-gzip") {
            &mut gzip
        } else if is(b"*") {
            &mut any
        } else {
            continue;
        };
        *named = Some(weight(parameters));
    }
    // What takes anything takes what everyone knows, unless it says otherwise by name.
    let (br, gzip) = (br.unwrap_or(0.0), gzip.or(any).unwrap_or(0.0));
    match (br > 0.0, gzip > 0.0) {
        (true, _) if br >= gzip => Encoding::Brotli,
        (_, true) => Encoding::Gzip,
        _ => Encoding::Identity,
    }
}

/// The weight in what stands behind an encoding's name: 1 where nothing does, 0 for nonsense.
fn weight(parameters: &[u8]) -> f32 {
    if parameters.is_empty() {
        return 1.0;
    }
    let Ok(parameters) = str::from_utf8(parameters) else { return 0.0 };
    let q = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix(['q', 'Q'])?.strip_prefix('='));
    q.map_or(1.0, |q| q.trim().parse().unwrap_or(0.0))
}

/// Whether `If-None-Match` names this ETag; a proxy may have made it a weak one.
fn is_known(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    headers.get_all(header::IF_NONE_MATCH).any(|value| {
        value
            .as_bytes()
            .split(|byte| *byte == b',')
            .map(<[u8]>::trim_ascii)
            .any(|tag| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == etag.as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use actix_web::{body::to_bytes, test::TestRequest};

    use super::*;

    fn sample(effort: Effort) -> Precompressed {
        Precompressed::new("text/plain", "the line moves on ".repeat(50), effort)
    }

    fn ask(headers: &[(&'static str, &str)]) -> HttpRequest {
        headers.iter().fold(TestRequest::get(), |request, header| request.insert_header(*header)).to_http_request()
    }

    fn header_of<'a>(response: &'a HttpResponse, name: &str) -> Option<&'a str> {
        response.headers().get(name).map(|value| value.to_str().unwrap())
    }

    #[rstest::rstest]
    #[case("", None)]
    #[case("gzip", Some("gzip"))]
    #[case("gzip, deflate, br, zstd", Some("br"))]
    #[case("br, gzip", Some("br"))]
    #[case("br;q=0.5, gzip;q=0.8", Some("gzip"))]
    #[case("br;q=0, gzip;q=0", None)]
    #[case("br;q=nonsense", None)]
    #[case("*", Some("gzip"))]
    #[case("gzip;q=0, *", None)]
    #[case("GZIP", Some("gzip"))]
    #[case("br;Q=0.5, gzip;q=0.6", Some("gzip"))]
    #[case("identity", None)]
    fn the_encoding_is_the_clients_choice(#[case] accept: &str, #[case] expected: Option<&str>) {
        let response = sample(Effort::Quick).respond(&ask(&[("accept-encoding", accept)]), []);
        assert_eq!(header_of(&response, "content-encoding"), expected);
        assert_eq!(header_of(&response, "vary"), Some("Accept-Encoding"));
    }

    #[actix_web::test]
    async fn every_encoding_decodes_to_the_same_body() {
        for effort in [Effort::Quick, Effort::Best] {
            let sample = sample(effort);
            let gzip = to_bytes(sample.respond(&ask(&[("accept-encoding", "gzip")]), []).into_body()).await.unwrap();
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(&gzip[..]).read_to_end(&mut plain).unwrap();
            assert_eq!(plain, sample.body()[..]);
            let br = to_bytes(sample.respond(&ask(&[("accept-encoding", "br")]), []).into_body()).await.unwrap();
            let mut plain = Vec::new();
            brotli::BrotliDecompress(&mut &br[..], &mut plain).unwrap();
            assert_eq!(plain, sample.body()[..]);
        }
    }

    #[test]
    fn each_encoding_has_its_etag_and_its_304() {
        let sample = sample(Effort::Quick);
        let plain = sample.respond(&ask(&[]), []);
        let gzip = sample.respond(&ask(&[("accept-encoding", "gzip")]), []);
        let (plain, gzip) = (header_of(&plain, "etag").unwrap(), header_of(&gzip, "etag").unwrap());
        assert_ne!(plain, gzip);
        let status = |headers: &[(&'static str, &str)]| sample.respond(&ask(headers), []).status().as_u16();
        assert_eq!(status(&[("if-none-match", plain)]), 304);
        assert_eq!(status(&[("if-none-match", &format!("\"other\", W/{plain}"))]), 304);
        assert_eq!(status(&[("if-none-match", "*")]), 304);
        assert_eq!(status(&[("if-none-match", gzip)]), 200, "another encoding's ETag");
        assert_eq!(status(&[("if-none-match", gzip), ("accept-encoding", "gzip")]), 304);
    }

    #[test]
    fn a_304_keeps_the_caching_headers() {
        let cache = [(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=1"))];
        let response = sample(Effort::Quick).respond(&ask(&[("if-none-match", "*")]), cache);
        assert_eq!(header_of(&response, "cache-control"), Some("public, max-age=1"));
        assert_eq!(header_of(&response, "vary"), Some("Accept-Encoding"));
        assert_eq!(header_of(&response, "content-type"), None);
    }

    #[test]
    fn a_body_that_gains_nothing_stays_plain() {
        let response =
            Precompressed::new("text/plain", "x", Effort::Best).respond(&ask(&[("accept-encoding", "br")]), []);
        assert_eq!(header_of(&response, "content-encoding"), None);
    }
}
