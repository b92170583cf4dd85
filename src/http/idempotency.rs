//! `Idempotency-Key`: by it a call that is sent again is the same call. What it names is derived from the key by
//! hash, so that it is the same reservation, or restock, after whatever was lost in between.

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header::HeaderName};
use aws_lc_rs::digest::{Context as Digest, SHA256};
use futures_util::future::{Ready, ready};
use uuid::Builder;

use super::problem::Problem;
use crate::{
    id::SaleId,
    sale::{ReservationId, command::Fingerprint},
};

/// The header.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The longest key, in bytes: two UUIDs and a word fit with room to spare.
pub const KEY_MAX_BYTES: usize = 255;

/// The caller's name for this call: 1 to 255 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

/// What a key is for: the same key never names two kinds of thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    Reservation,
    Restock,
}

impl IdempotencyKey {
    /// The key that the request carries.
    ///
    /// # Errors
    /// 400 naming the header where it is missing, sent twice, or no key.
    pub fn of(request: &HttpRequest) -> Result<Self, Problem> {
        let refuse = |detail: String| Problem::invalid_field("Idempotency-Key", detail);
        let mut sent = request.headers().get_all(&IDEMPOTENCY_KEY);
        match (sent.next(), sent.next()) {
            (None, _) => {
                Err(refuse("is needed: a name of your own for this call, the same when it is sent again".into()))
            }
            (Some(_), Some(_)) => Err(refuse("was sent twice".into())),
            (Some(key), None) if is_key(key.as_bytes()) => {
                Ok(Self(String::from_utf8_lossy(key.as_bytes()).into_owned()))
            }
            (Some(_), None) => Err(refuse(format!("must be 1 to {KEY_MAX_BYTES} visible ASCII characters"))),
        }
    }

    /// What this key names in that sale: nobody's key finds another's, because `scope` says whose it is
    /// (`buyer:…` or `key:…`). The first 128 bits of a hash, in the shape of a UUID of one's own making.
    pub fn names(&self, what: Names, sale: &SaleId, scope: &str) -> ReservationId {
        let what = match what {
            Names::Reservation => "reservation",
            Names::Restock => "restock",
        };
        ReservationId(Builder::from_custom_bytes(hash(&[what, sale.as_str(), scope, &self.0])).into_uuid().as_u128())
    }

    /// The extension that this key names: of that reservation, and by so many seconds.
    pub fn of_extension(&self, sale: &SaleId, id: ReservationId, seconds: u64) -> Fingerprint {
        let parts = ["extension", sale.as_str(), &id.0.to_string(), &seconds.to_string(), &self.0];
        Fingerprint(u128::from_be_bytes(hash(&parts)))
    }
}

/// The first 128 bits of a hash over a list of texts.
pub(super) fn hash(parts: &[&str]) -> [u8; 16] {
    let mut digest = Digest::new(&SHA256);
    for part in parts {
        // The length before the part: no two lists of parts run into the same bytes.
        digest.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        digest.update(part.as_bytes());
    }
    let mut first = [0; 16];
    first.iter_mut().zip(digest.finish().as_ref()).for_each(|(to, from)| *to = *from);
    first
}

fn is_key(bytes: &[u8]) -> bool {
    (1..=KEY_MAX_BYTES).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
}

impl FromRequest for IdempotencyKey {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;
    use crate::token::reservation::reservation_name;

    fn read(keys: &[&str]) -> Result<IdempotencyKey, String> {
        let add = |request: TestRequest, key: &&str| request.append_header((IDEMPOTENCY_KEY, *key));
        let request = keys.iter().fold(TestRequest::post(), add).to_http_request();
        IdempotencyKey::of(&request).map_err(|problem| {
            assert_eq!(problem.fields["field"], "Idempotency-Key");
            problem.detail.into_owned()
        })
    }

    #[test]
    fn a_key_is_visible_ascii_of_bounded_length_and_there_once() {
        for good in ["a", "~!\"{}", &"k".repeat(KEY_MAX_BYTES)] {
            assert_eq!(read(&[good]), Ok(IdempotencyKey(good.to_owned())));
        }
        for bad in ["", "two words", "schlüssel", &"k".repeat(KEY_MAX_BYTES + 1)] {
            assert!(read(&[bad]).unwrap_err().contains("visible ASCII"), "{bad}");
        }
        assert!(read(&[]).unwrap_err().contains("needed"));
        assert!(read(&["a", "a"]).unwrap_err().contains("twice"));
    }

    #[test]
    fn what_a_key_names_hangs_on_every_part_and_on_nothing_else() {
        let key = |text: &str| IdempotencyKey(text.to_owned());
        let sale = |text: &str| SaleId::parse(text).unwrap();
        let one = key("k").names(Names::Reservation, &sale("a"), "buyer:b");
        assert_eq!(one, key("k").names(Names::Reservation, &sale("a"), "buyer:b"));
        let others = [
            key("k").names(Names::Restock, &sale("a"), "buyer:b"),
            key("k2").names(Names::Reservation, &sale("a"), "buyer:b"),
            key("k").names(Names::Reservation, &sale("a2"), "buyer:b"),
            key("k").names(Names::Reservation, &sale("a"), "key:b"),
            key("bk").names(Names::Reservation, &sale("a"), "buyer:"),
        ];
        assert!(others.iter().all(|other| *other != one), "{others:?}");
    }

    #[test]
    fn an_id_is_shown_as_a_uuid_and_stays_what_it_is() {
        // Written down: an id that changed with a release would grant a repeated call twice.
        let id = IdempotencyKey("k".to_owned()).names(Names::Reservation, &SaleId::parse("a").unwrap(), "buyer:b");
        assert_eq!(reservation_name(id), "f5f47872-8414-888a-a45a-74fac051e2c9");
        assert_eq!(uuid::Uuid::from_u128(id.0).get_version_num(), 8);
    }
}
