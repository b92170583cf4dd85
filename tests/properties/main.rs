//! Properties of the pure parts, checked over many random cases.

mod line;
mod line_extremes;
mod line_rate;
mod line_recovery;
mod line_stock;
mod line_world;
mod sale;
mod sale_again;
mod sale_late;
mod sale_recovery;
mod sale_rows;
mod tokens;
