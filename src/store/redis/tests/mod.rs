//! The scripts against the pure machines, which are their specification.

mod bare;
mod catalog;
mod instances;
mod room;
mod sale;
mod model;
