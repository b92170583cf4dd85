//! Properties of the pure parts, checked over many random cases.

mod sale;
mod tokens;
