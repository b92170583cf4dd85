//! Why a link does not open, and why a call fails, told apart by what the caller can do about it.

use std::{io, path::PathBuf};

use crate::address::HostPort;

/// Why a script call failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Certain: nothing ran. It may be sent again.
    #[error("not sent: {0}")]
    NotSent(String),
    /// Cut off, or no answer in time: it may have run.
    #[error("unclear: {0}")]
    Unclear(String),
    /// It ran, and fewer copies have it than durability demands: a failover may undo it, so this is unclear too.
    #[error("unclear: applied, but {found} copies of {wanted} have it")]
    TooFewCopies { wanted: u32, found: u32 },
    /// The script raised an error; a script writes only when nothing can go wrong any more, so nothing was applied.
    #[error("the script failed: {0}")]
    Script(String),
}

impl CallError {
    /// What a metric calls it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::NotSent(_) => "not_sent",
            Self::Unclear(_) => "unclear",
            Self::TooFewCopies { .. } => "too_few_copies",
            Self::Script(_) => "script",
        }
    }
}

/// Why there is no link: each says what to change.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("store.ca_file: {}: {source}", path.display())]
    CaFile { path: PathBuf, source: io::Error },
    #[error("TLS to Redis can't be set up: {0}")]
    Tls(#[source] rustls::Error),
    #[error("Redis at {at} can't be reached: {detail}")]
    Unreachable { at: HostPort, detail: String },
    #[error("Redis at {at} can't be used: {detail}")]
    Unfit { at: HostPort, detail: String },
    #[error("Redis at {at} is a replica: name its primary")]
    Replica { at: HostPort },
    #[error("no sentinel could name a primary {name:?} that says of itself that it is one: {detail}")]
    NoPrimary { name: String, detail: String },
    #[error("no node of the cluster could tell who has which slots: {0}")]
    NoCluster(String),
}
