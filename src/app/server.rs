//! The listeners and the servers behind them, with their bounds.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread::available_parallelism,
    time::Duration,
};

use actix_web::{HttpServer, dev::Server};
use tokio::net::TcpSocket;

use super::{error::BuildError, tls::Tls};
use crate::{
    config::Config,
    http::{
        self, Context, Surface,
        connections::Connections,
        limits::{HEADERS_TIMEOUT, KEEP_ALIVE, TLS_HANDSHAKE_TIMEOUT},
    },
};

/// Connections the kernel holds for us while we are busy: the spike of a sale's first second.
const BACKLOG: u32 = 4_096;
/// How long a client may take to notice that its connection is being closed.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// However long requests in flight took to finish, the store gets this much time to close in order.
pub(super) const FLUSH_AT_LEAST: Duration = Duration::from_secs(5);

/// Binds a listener.
pub(super) fn bind(address: SocketAddr) -> Result<TcpListener, BuildError> {
    let bound = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A restart must not wait for the last process's connections to be forgotten.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)?.into_std()
    };
    bound().map_err(|source| BuildError::Bind { address, source })
}

/// The address a listener got.
pub(super) fn address_of(listener: &TcpListener) -> Result<SocketAddr, BuildError> {
    listener.local_addr().map_err(BuildError::Server)
}

/// What all servers of an application share.
pub(super) struct Plan<'a> {
    pub config: &'a Config,
    pub context: &'a Arc<Context>,
    pub tls: Option<&'a Tls>,
    /// Shared by all listeners.
    pub connections: &'a Arc<Connections>,
}

impl Plan<'_> {
    /// A server on a bound listener; it answers once it is polled.
    pub(super) fn server(&self, listener: TcpListener, surface: Surface) -> Result<Server, BuildError> {
        let settings = &self.config.server;
        let workers = settings.workers.or(available_parallelism().ok().map(usize::from)).unwrap_or(1).max(1);
        let context = self.context.clone();
        let connections = Arc::clone(self.connections);
        // Answers are small and written at once: waiting to fill a packet would only delay them.
        let no_delay = true;
        let server = HttpServer::new(move || http::app(&context, surface))
            .workers(workers)
            // actix counts connections by worker; a share is at least one, or nobody would be heard.
            .max_connections((self.context.bounds.connections / workers).max(1))
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(HEADERS_TIMEOUT)
            .client_disconnect_timeout(DISCONNECT_TIMEOUT)
            .tls_handshake_timeout(TLS_HANDSHAKE_TIMEOUT)
            .shutdown_timeout(settings.shutdown_timeout_seconds)
            .tcp_nodelay(no_delay)
            .on_connect(move |connection, extensions| connections.opened(connection, extensions))
            .disable_signals();
        let server = match self.tls {
            Some(tls) => server.listen_rustls_0_23(listener, tls.server_config()),
            None => server.listen(listener),
        };
        Ok(server.map_err(BuildError::Server)?.run())
    }
}
