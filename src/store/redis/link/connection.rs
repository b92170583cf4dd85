//! One connection to one server, and how it comes about.
//!
//! Only the protocol is the library's. The stream under it is ours, so that TLS is set up once and by our own rules, and
//! so that an idle connection knows that it was cut: the task that drives it has ended then.

use std::{sync::Arc, time::Duration};

use redis::{AsyncConnectionConfig, Pipeline, RedisConnectionInfo, RedisError, Value, aio::MultiplexedConnection};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    runtime::Handle,
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::address::HostPort;

/// Makes connections: as whom, and with what patience.
pub(super) struct Dialer {
    pub tls: Option<TlsConnector>,
    pub connect_timeout: Duration,
    pub call_timeout: Duration,
    /// Where connections live. The threads that answer requests have runtimes of their own, which are busier and end earlier.
    pub runtime: Handle,
}

/// Why a connection did not come about. Nothing was sent on it.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("{0}")]
    Unreachable(String),
    #[error("no answer in time")]
    Silent,
    /// The server answered, and it was a refusal.
    #[error("{0}")]
    Refused(String),
}

/// A connection that one caller at a time uses.
pub(super) struct Connection {
    redis: MultiplexedConnection,
    driver: JoinHandle<()>,
    /// Something was sent that was not answered, or its caller left: what comes next would be another's answer, or
    /// would wait behind it.
    is_spoilt: bool,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    /// Whether it is open, and nothing is under way on it.
    pub fn is_fit(&self) -> bool {
        !self.is_spoilt && !self.driver.is_finished()
    }

    /// Sends the commands and takes their answers, one each, refusals among them. After an error it is unknown what ran, and the
    /// connection is not to be used again.
    pub async fn ask(&mut self, commands: &Pipeline) -> Result<Vec<Value>, RedisError> {
        // Until the answer is here: a caller that is dropped while waiting leaves it set.
        self.is_spoilt = true;
        let answers = self.redis.send_packed_commands(commands, 0, commands.len()).await?;
        self.is_spoilt = false;
        Ok(answers)
    }
}

impl Dialer {
    /// Connects, logs in and selects the database.
    pub async fn dial(self: &Arc<Self>, at: &HostPort, login: &RedisConnectionInfo) -> Result<Connection, DialError> {
        let (this, at, login) = (Arc::clone(self), at.clone(), login.clone());
        let dialled =
            self.runtime.spawn(async move { timeout(this.connect_timeout, this.connect(&at, &login)).await }).await;
        match dialled {
            Ok(Ok(connected)) => connected,
            Ok(Err(_)) => Err(DialError::Silent),
            Err(_) => Err(DialError::Unreachable("this process is stopping".to_owned())),
        }
    }

    async fn connect(&self, at: &HostPort, login: &RedisConnectionInfo) -> Result<Connection, DialError> {
        let unreachable = |error: std::io::Error| DialError::Unreachable(error.to_string());
        let stream = TcpStream::connect((at.host.as_str(), at.port)).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        match &self.tls {
            None => self.log_in(stream, login).await,
            Some(tls) => {
                let name = ServerName::try_from(at.host.clone());
                let name = name.map_err(|error| DialError::Unreachable(error.to_string()))?;
                self.log_in(tls.connect(name, stream).await.map_err(unreachable)?, login).await
            }
        }
    }

    async fn log_in<S>(&self, stream: S, login: &RedisConnectionInfo) -> Result<Connection, DialError>
    where
        S: Unpin + AsyncRead + AsyncWrite + Send + 'static,
    {
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(self.call_timeout));
        let opened = MultiplexedConnection::new_with_config(login, stream, config).await;
        let (redis, driver) = opened.map_err(|error| match error.is_io_error() {
            true => DialError::Unreachable(error.to_string()),
            false => DialError::Refused(error.to_string()),
        })?;
        Ok(Connection { redis, driver: self.runtime.spawn(driver), is_spoilt: false })
    }
}
