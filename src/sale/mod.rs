//! THE STOCK, pure: no clock, no I/O, no randomness. Time and ids come in as arguments.
//!
//! [`settings`] is the document an operator writes, [`command`] what can be asked of a sale and what it answers,
//! [`stock`] the books and what one batch does to them, [`reserve`], [`resolve`] and [`operate`] the rules of
//! the commands, [`outbox`] the ordered events, [`recovery`] what a store that lost something is told again, [`audit`] their fold, [`books`] the walk over all reservations, [`view`]
//! what a sale shows of itself, [`rows`] what it is kept as, [`units`] what it counts.
//!
//! The invariant after every command: per SKU `available + held + sold = total`, `held` is the sum of the live
//! holds, a buyer's count the sum of theirs, and folding the outbox gives the stock.

pub mod audit;
pub mod books;
pub mod command;
mod operate;
pub mod outbox;
pub mod recovery;
pub mod reserve;
pub mod resolve;
pub mod rows;
pub mod settings;
pub mod stock;
pub mod units;
pub mod view;

pub use command::{
    Buyer, Caller, Command, Confirm, IfExpired, Limit, Line, OrderRef, Outcome, Refusal, Reservation, ReservationId,
    Reserve, Shortage, Sku, State,
};
pub use outbox::{Event, EventKind, Share};
pub use reserve::{LINES_MAX, check_lines};
pub use settings::{Document, Rules};
pub use stock::Sale;
pub use units::Units;
pub use view::View;

/// The version of the stock's behaviour, like the line's: a journal is replayed only under the rules it was written by.
pub const RULES_VERSION: u64 = 4;
