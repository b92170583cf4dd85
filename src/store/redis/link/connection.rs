//! One connection to one server, and how it comes about.
//!
//! Only the protocol is the library's. The stream under it is ours, so that TLS is set up once and by our own rules, and
//! so that an idle connection knows that it was cut: the task that drives it has ended then.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, ErrorKind, Pipeline, RedisConnectionInfo, RedisError, Value, aio::MultiplexedConnection,
};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
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

/// Why commands were not answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// Not a byte has left: the connection was cut before.
    #[error("{0}")]
    NotSent(RedisError),
    /// Cut, or no answer in time.
    #[error("{0}")]
    Unclear(RedisError),
}

impl From<AskError> for DialError {
    /// As part of an introduction: whether a question was heard is of no interest then.
    fn from(error: AskError) -> Self {
        match error {
            AskError::NotSent(error) | AskError::Unclear(error) if error.is_timeout() => Self::Silent,
            AskError::NotSent(error) | AskError::Unclear(error) => Self::Unreachable(error.to_string()),
        }
    }
}

/// A connection that one caller at a time uses.
pub(super) struct Connection {
    redis: MultiplexedConnection,
    driver: JoinHandle<()>,
    /// Bytes that left for the server so far.
    written: Arc<AtomicU64>,
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

    /// Sends the commands and takes their answers, one each, refusals among them. After an error the connection is not to be
    /// used again.
    pub async fn ask(&mut self, commands: &Pipeline) -> Result<Vec<Value>, AskError> {
        // Until the answer is here: a caller that is dropped while waiting leaves it set.
        self.is_spoilt = true;
        let before = self.written.load(Ordering::Acquire);
        match self.redis.send_packed_commands(commands, 0, commands.len()).await {
            Ok(answers) => {
                self.is_spoilt = false;
                Ok(answers)
            }
            Err(error) => {
                // Once the driver has ended nothing leaves any more, and what has left can be told.
                self.driver.abort();
                let _ = (&mut self.driver).await;
                match self.written.load(Ordering::Acquire) == before {
                    true => Err(AskError::NotSent(error)),
                    false => Err(AskError::Unclear(error)),
                }
            }
        }
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
        let unreachable = |error: io::Error| DialError::Unreachable(error.to_string());
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
        let written = Arc::new(AtomicU64::new(0));
        let stream = Counted { stream, written: Arc::clone(&written) };
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(self.call_timeout));
        let opened = MultiplexedConnection::new_with_config(login, stream, config).await;
        let (redis, driver) = opened.map_err(|error| match error.kind() {
            ErrorKind::Io => DialError::Unreachable(error.to_string()),
            ErrorKind::AuthenticationFailed => {
                let detail = "it refuses the user or the password: see store.url and DROPGATE_STORE_PASSWORD";
                DialError::Refused(detail.to_owned())
            }
            _ => DialError::Refused(error.to_string()),
        })?;
        Ok(Connection { redis, driver: self.runtime.spawn(driver), written, is_spoilt: false })
    }
}

/// A stream that counts what is written to it.
struct Counted<S> {
    stream: S,
    written: Arc<AtomicU64>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(count)) = &written {
            self.written.fetch_add(*count as u64, Ordering::AcqRel);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
