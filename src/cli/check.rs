//! `dropgate check-config`.

use std::path::Path;

use super::Failure;
use crate::config;

/// Loads the file by itself, so that the answer is about the file and not about the shell it was asked in.
pub fn run(file: &Path) -> Result<(), Failure> {
    let config = config::load_file(file).map_err(|error| Failure::Failed(error.to_string()))?;
    println!("{}: fine (rooms: {}, keys: {})", file.display(), config.rooms.len(), config.keys.len());
    Ok(())
}
