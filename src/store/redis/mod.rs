//! The store on Redis, which several instances share.
//!
//! [`link`] is how this process reaches it.

pub mod link;
#[cfg(test)]
pub(crate) mod testing;
