//! The scripts against the pure machines, which are their specification.

mod bare;
mod model;
