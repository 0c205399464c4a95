//! The certificate that handshakes are answered with. It is swapped while serving: connections that are open
//! keep theirs, the next handshake gets the new one.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;

use super::{Certificate, ClientVerifier};

/// What the next handshake gets; nothing at first.
// A lock and an Arc, no crate for it: it is taken once a handshake, for the time of a count.
#[derive(Debug, Default)]
pub struct CertResolver(RwLock<Option<Arc<CertifiedKey>>>);

impl CertResolver {
    /// Serves with `certificate` from now on.
    pub fn swap(&self, certificate: &Certificate) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&certificate.key));
    }

    /// Whether `certificate` is what is served.
    #[must_use]
    pub fn holds(&self, certificate: &Certificate) -> bool {
        let served = self.0.read().unwrap_or_else(PoisonError::into_inner);
        served.as_ref().is_some_and(|served| served.cert == certificate.key.cert)
    }

    /// The TLS settings of a port, which asks callers for a certificate where there are `clients`.
    ///
    /// # Errors
    /// None that is known: ring speaks the versions that rustls has by default.
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
        // The API server speaks HTTP/1.1 to Services.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // It never resumes a session either (Go's client keeps none unless told to), so none is kept here.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }
}

impl ResolvesServerCert for CertResolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
