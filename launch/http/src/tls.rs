//! TLS as the kubelet uses it for a lifecycle hook (kubernetes/kubernetes 1.37, `pkg/kubelet/kubelet.go`,
//! `insecureContainerLifecycleHTTPClient`): any certificate, and HTTP/1.1.

use std::io;
use std::sync::Arc;

use bootlace_launch::tls::{Connection, Stream, TlsError};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, InvalidMessage, SignatureScheme,
    StreamOwned,
};

/// Performs the TLS handshake with the server.
pub(crate) fn connect(mut connection: Connection, host: &str) -> Result<Box<dyn Stream>, TlsError> {
    let mut session = session(host).map_err(TlsError::Failed)?;
    while session.is_handshaking() {
        session.complete_io(&mut connection).map_err(classify)?;
    }
    Ok(Box::new(StreamOwned::new(session, connection)))
}

fn session(host: &str) -> io::Result<ClientConnection> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)
}

fn classify(error: io::Error) -> TlsError {
    match error.get_ref().and_then(|error| error.downcast_ref()) {
        // The first byte cannot start a TLS record, as in `HTTP/1.1 400`.
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => TlsError::NotSupported,
        _ => TlsError::Failed(error),
    }
}

/// Accepts any certificate, like the kubelet: a pod has no certificate for its address that a client could
/// verify, and the request goes to the pod itself or to a host that its author chose. Only the headers of the
/// handler are sent, and the response is ignored.
///
/// It does not check either whether the server has the key of the certificate: an attacker could use another
/// key and certificate anyway.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
