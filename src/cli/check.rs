//! `dropgate check-config`.

use std::path::Path;

use super::Failure;
use crate::config;

/// Loads the file by itself, so that the answer is about the file and not about the shell it was asked in.
pub fn run(file: &Path) -> Result<(), Failure> {
    let config = config::load_file(file).map_err(|error| Failure::Failed(error.to_string()))?;
    tell_notes(file, &config);
    let (rooms, sales, keys) = (config.rooms.len(), config.sales.len(), config.keys.len());
    println!("{}: fine (rooms: {rooms}, sales: {sales}, keys: {keys})", file.display());
    Ok(())
}

/// Tells on stderr what may be a slip.
pub fn tell_notes(file: &Path, config: &config::Config) {
    for note in config::notes(file, config) {
        eprintln!("dropgate: note: {note}");
    }
}
