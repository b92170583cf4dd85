//! Signed tokens: tickets, passes, entry passes, session cookies, reservations, and the keys that sign them.
//!
//! Each kind has its own keys, its own `typ` and a pinned algorithm; none is ever accepted as another.
//! [`keys`] makes and rotates the keys, [`ring`] signs and verifies with those in force, one file a kind says
//! what the kind claims. [`return_url`] decides where a visitor may be sent.

pub mod dashboard;
pub mod entry;
pub mod keys;
pub mod name;
pub mod pass;
pub mod reservation;
pub mod return_url;
pub mod ring;
pub mod session;
pub mod ticket;

#[cfg(test)]
mod tests;

pub use dashboard::DashboardCookie;
pub use entry::EntryPass;
pub use keys::{Purpose, SigningKey};
pub use pass::Pass;
pub use reservation::ReservationToken;
pub use return_url::{ReturnPolicy, ReturnUrl};
pub use ring::KeyRing;
pub use session::SessionCookie;
pub use ticket::{Ticket, TicketKind};

use crate::room::Tag;

/// The longest token that is looked at, in bytes: ours stay below 1 kB; whoever sends more sends something else.
pub const TOKEN_MAX_BYTES: usize = 4_096;
/// The same of a reservation: twenty lines of the longest SKUs, each letter escaped in JSON, all of it in base64.
pub const RESERVATION_TOKEN_MAX_BYTES: usize = 8_192;

/// How far the clocks of two machines may be apart, in ms: `iat` and `nbf` lie so far back, and a deadline is
/// given so much grace.
pub const CLOCK_SKEW_MS: u64 = 60_000;

/// Why a token was not accepted. The bearer is told no more than this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token of this kind, not signed by us, or tampered with.
    #[error("not a valid token of this kind")]
    Invalid,
    /// Signed by us, but past its time.
    #[error("the token has expired")]
    Expired,
    /// Signed by us for another room.
    #[error("the token belongs to another room")]
    OtherRoom,
}

/// `N` bytes nobody can guess.
///
/// # Panics
/// Never in practice: the generator reseeds itself and ends the process rather than fail.
#[must_use]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[expect(clippy::expect_used, reason = "there is no safe way to go on without random numbers")]
    aws_lc_rs::rand::fill(&mut bytes).expect("the system's random number generator works");
    bytes
}

/// A fresh tag for a session's name.
#[must_use]
pub fn random_tag() -> Tag {
    Tag(u64::from_le_bytes(random_bytes()))
}

/// Bytes as lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
