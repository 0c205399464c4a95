//! The certificate of the next handshake. It can be replaced while serving: open connections keep the old
//! certificate.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;

use super::{Certificate, ClientVerifier};

/// The certificate of the next handshake, which is empty at first.
#[derive(Debug, Default)]
pub struct CertResolver(ArcSwapOption<CertifiedKey>);

impl CertResolver {
    /// Serves with `certificate` from now on.
    pub fn swap(&self, certificate: &Certificate) {
        self.0.store(Some(Arc::clone(&certificate.key)));
    }

    /// Whether `certificate` is the current one.
    #[must_use]
    pub fn holds(&self, certificate: &Certificate) -> bool {
        self.0.load().as_ref().is_some_and(|current| current.cert == certificate.key.cert)
    }

    /// The TLS configuration of a port. With `clients`, it requests a certificate from callers.
    ///
    /// # Errors
    /// No error is known: ring supports the default versions of rustls.
    pub fn config(
        self: &Arc<Self>,
        clients: Option<Arc<ClientVerifier>>,
    ) -> Result<ServerConfig, rustls::Error> {
        let clients = match clients {
            Some(clients) => clients as Arc<dyn ClientCertVerifier>,
            None => WebPkiClientVerifier::no_client_auth(),
        };
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(clients)
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        // The API server uses HTTP/1.1 for Services.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // The API server never resumes a session (Go's client only does if it is configured to), so none is
        // stored.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }
}

impl ResolvesServerCert for CertResolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}
