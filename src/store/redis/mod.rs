//! The store on Redis: the same commands as the embedded one, in scripts, for as many instances as there are.

mod sale;
mod scripted;
#[cfg(test)]
mod tests;
mod wire;
