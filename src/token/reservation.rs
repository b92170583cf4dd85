//! The reservation token: what its holder may do with a hold, and the proof of it should the store lose it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{KeyRing, Purpose, TokenError};
use crate::{
    id::SaleId,
    sale::{ReservationId, Units},
    time::UnixMs,
};

/// The proof of a reservation (HS256, for our own eyes).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservationToken {
    pub sale: SaleId,
    /// The version that the sale's first document had: a sale that was deleted and made again is another.
    pub born: u64,
    pub id: ReservationId,
    /// Units by SKU.
    pub lines: Units,
    /// When the hold ends, or when it ended: in full milliseconds, so that the same reservation is the same token.
    pub deadline: UnixMs,
    /// The sale's count of recoveries when it was signed.
    pub term: u64,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sale: SaleId,
    born: u64,
    /// The reservation's id.
    sub: String,
    lines: Units,
    deadline_ms: u64,
    term: u64,
}

impl KeyRing {
    /// Signs a reservation token with the key in force at `now`. The claims depend on the reservation alone: while
    /// neither it nor the key changes, the same bytes come out.
    pub fn sign_reservation(&self, reservation: &ReservationToken, now: UnixMs) -> String {
        let claims = Claims {
            sale: reservation.sale.clone(),
            born: reservation.born,
            sub: reservation_name(reservation.id),
            lines: reservation.lines.clone(),
            deadline_ms: reservation.deadline.0,
            term: reservation.term,
        };
        self.sign(Purpose::Reservation, now, &claims)
    }

    /// The reservation token in `token`. Whether the hold still lives is the sale's to say.
    ///
    /// # Errors
    /// Anything but a reservation token of ours for this reservation of `sale`, which was `born` then. That there is another is not told.
    pub fn verify_reservation(
        &self,
        (sale, born): (&SaleId, u64),
        id: ReservationId,
        token: &str,
    ) -> Result<ReservationToken, TokenError> {
        let claims: Claims = self.verify(Purpose::Reservation, token)?;
        if (&claims.sale, claims.born) != (sale, born) || read_reservation_name(&claims.sub) != Some(id) {
            return Err(TokenError::Invalid);
        }
        Ok(ReservationToken {
            sale: claims.sale,
            born,
            id,
            lines: claims.lines,
            deadline: UnixMs(claims.deadline_ms),
            term: claims.term,
        })
    }
}

/// A reservation's id as callers see it: a UUID in lower case.
pub fn reservation_name(id: ReservationId) -> String {
    Uuid::from_u128(id.0).hyphenated().to_string()
}

/// The id in a text, if it is one: one reservation, one spelling.
pub fn read_reservation_name(text: &str) -> Option<ReservationId> {
    let id = ReservationId(Uuid::try_parse(text).ok()?.as_u128());
    (reservation_name(id) == text).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_spelling_names_a_reservation() {
        let name = "f5f47872-8414-888a-a45a-74fac051e2c9";
        assert_eq!(read_reservation_name(name).map(reservation_name).as_deref(), Some(name));
        for wrong in [
            "",
            "f5f478728414888aa45a74fac051e2c9",
            "F5F47872-8414-888A-A45A-74FAC051E2C9",
            "{f5f47872-8414-888a-a45a-74fac051e2c9}",
            "urn:uuid:f5f47872-8414-888a-a45a-74fac051e2c9",
            "f5f47872-8414-888a-a45a-74fac051e2c",
            "f5f47872-8414-888a-a45a-74fac051e2c9 ",
            "f5f47872-8414-888a-a45a-74fac051e2cg",
        ] {
            assert_eq!(read_reservation_name(wrong), None, "{wrong:?}");
        }
    }
}
