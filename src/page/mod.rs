//! What people see: the waiting page, the same journey without script, error pages and the operator's dashboard.
//!
//! Everything here is pure: a document (and, where it is about one visitor, a place) goes in, a [`Rendered`] page
//! comes out. [`waiting`](waiting()) is the page of the crowd: the same bytes for everyone, so that a CDN can serve it.
//! [`place`](place()) speaks to one browser without script, [`error`](error()) says what a problem+json says,
//! [`dashboard`](dashboard()) is the operator's. [`text`] holds the ten languages, [`accent`] the colours, [`asset`] the styles
//! and scripts with their hashes, [`logo`] a shop's picture.

pub mod accent;
pub mod asset;
pub mod dashboard;
pub mod error;
pub mod logo;
pub mod place;
pub mod policy;
pub mod text;
pub mod waiting;

pub use dashboard::{dashboard, sign_in};
pub use error::error;
pub use place::{Journey, PlaceState, place};
pub use text::Language;
pub use waiting::waiting;

#[cfg(test)]
mod tests;

/// A page and the Content-Security-Policy it must be served with: its scripts and styles run by hash alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// UTF-8, `text/html`.
    pub html: String,
    /// The value of `Content-Security-Policy`.
    pub csp: String,
}
