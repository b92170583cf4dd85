//! Why an application does not start, or did not end well.

use std::{io, net::SocketAddr, path::PathBuf};

use crate::{
    instance::{OperateError, StartError},
    store::{StoreError, embedded::OpenError, redis::link},
};

/// Why an application could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("cannot listen on {address}: {source}")]
    Bind { address: SocketAddr, source: io::Error },
    #[error("listening on {0}, which is not loopback: server.public_url has to say how visitors reach it")]
    NoPublicUrl(SocketAddr),
    #[error("{}: {detail}", path.display())]
    Tls { path: PathBuf, detail: String },
    #[error("the TLS certificate and key do not work together: {0}")]
    TlsPair(#[source] rustls::Error),
    #[error("server.tls_cert and server.tls_key belong together: one is missing")]
    HalfOfTls,
    #[error(transparent)]
    Store(#[from] OpenError),
    #[error(transparent)]
    Redis(#[from] link::OpenError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("making the room of the shop: {0}")]
    FirstRoom(#[source] OperateError),
    #[error("starting the server: {0}")]
    Server(#[source] io::Error),
}

impl BuildError {
    /// Whether another configuration would help, rather than another try.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::NoPublicUrl(_) | Self::Tls { .. } | Self::TlsPair(_) | Self::HalfOfTls => true,
            Self::Start(StartError::Room { .. } | StartError::Key { .. } | StartError::SigningKey(_)) => true,
            Self::FirstRoom(OperateError::Invalid(_)) => true,
            Self::Redis(link::OpenError::CaFile { .. } | link::OpenError::Unfit { .. }) => true,
            Self::Bind { .. }
            | Self::Store(_)
            | Self::Redis(_)
            | Self::Start(_)
            | Self::FirstRoom(_)
            | Self::Server(_) => false,
        }
    }
}

/// What went wrong between the start and the end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("a server ended by itself{}", .0.as_ref().map(|error| format!(": {error}")).unwrap_or_default())]
    Server(Option<io::Error>),
    #[error("closing the store: {0}")]
    Store(#[from] StoreError),
    #[error("the store was not closed in time; what was acknowledged is kept")]
    NotFlushed,
}
