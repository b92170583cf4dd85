//! TLS from two PEM files, which may be replaced while running.

use std::{path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::error::BuildError;
use crate::config::Server;

/// TLS as configured.
pub(super) struct Tls {
    files: Reloader,
    config: ServerConfig,
}

/// Rereads the TLS files. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reloader {
    cert: PathBuf,
    key: PathBuf,
    current: Arc<Current>,
}

/// The certificate that new connections get.
#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl Tls {
    /// TLS by the configuration's files; none where it names none.
    pub(super) fn of(server: &Server) -> Result<Option<Self>, BuildError> {
        let (cert, key) = match (&server.tls_cert, &server.tls_key) {
            (Some(cert), Some(key)) => (cert.clone(), key.clone()),
            (None, None) => return Ok(None),
            _ => return Err(BuildError::HalfOfTls),
        };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let current = Arc::new(Current(ArcSwap::from_pointee(read(&cert, &key, &provider)?)));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(BuildError::TlsPair)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        Ok(Some(Self { files: Reloader { cert, key, current }, config }))
    }

    pub(super) fn server_config(&self) -> ServerConfig {
        self.config.clone()
    }

    pub(super) fn reloader(&self) -> Reloader {
        self.files.clone()
    }
}

impl Reloader {
    /// Reads both files again; connections made from now on get what they hold.
    ///
    /// # Errors
    /// They can't be used; the certificate in use stays.
    pub fn reload(&self) -> Result<(), BuildError> {
        let read = read(&self.cert, &self.key, &aws_lc_rs::default_provider())?;
        self.current.0.store(Arc::new(read));
        Ok(())
    }
}

fn read(cert: &PathBuf, key: &PathBuf, provider: &CryptoProvider) -> Result<CertifiedKey, BuildError> {
    let refused = |path: &PathBuf, detail: &dyn std::fmt::Display| BuildError::Tls {
        path: path.clone(),
        detail: detail.to_string(),
    };
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(cert).and_then(Iterator::collect).map_err(|error| refused(cert, &error))?;
    if chain.is_empty() {
        return Err(refused(cert, &"holds no certificate"));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| refused(key, &error))?;
    CertifiedKey::from_der(chain, private, provider).map_err(BuildError::TlsPair)
}
