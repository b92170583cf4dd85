//! The scripts against the pure machines, which are their specification; and what becomes of what they lose.

mod bare;
mod catalog;
mod instances;
mod losses;
mod model;
mod room;
mod sale;
