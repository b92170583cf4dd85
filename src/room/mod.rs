//! THE LINE, pure: no clock, no I/O, no randomness. Time and entropy come in as arguments.
//!
//! [`settings`] is the document an operator writes, [`command`] what can be asked of a room and what it
//! answers, [`mod@line`] the state machine itself, `calls`, `claimed`, `sessions` and [`pace`] its parts,
//! [`stock`] what it knows of the sale behind it, [`Figures`] its counters, [`view`] what it shows of itself, [`estimate`] how long a visitor will
//! wait and whether anything will be left, [`recovery`] what it is told after its store has lost something, [`bounds`] every limit of these.

pub mod bounds;
mod calls;
mod claimed;
pub mod command;
pub mod estimate;
mod figures;
pub mod line;
pub mod pace;
pub mod recovery;
mod sessions;
pub mod settings;
pub mod stock;
mod validate;
pub mod view;
mod voids;

pub use command::{Command, Epoch, Holder, Outcome, Place, Position, Refusal, Session, SessionRef, Standing, Tag};
pub use figures::Figures;
pub use line::{Applied, Room};
pub use recovery::{Fact, Heard, Told};
pub use settings::{Document, Mode, Rules, StockGate};
pub use stock::{Grant, SalePhase, Stock, StockNews};
pub use validate::Logo;
pub use view::{HeldBack, Phase, View};
pub use voids::{Void, Voids};

/// The version of the line's behaviour. To be raised whenever the same commands at the same times would leave
/// another state than before: a store must not replay what was written under other rules.
pub const RULES_VERSION: u64 = 5;
