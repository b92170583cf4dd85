//! The store on Redis: the same commands as the embedded one, in scripts, for as many instances as there are.
//!
//! [`link`] is how this process reaches it.

pub mod link;
mod sale;
mod scripted;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod wire;
