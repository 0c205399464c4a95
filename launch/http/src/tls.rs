//! TLS as the kubelet speaks it to a lifecycle hook (kubernetes/kubernetes 1.37, `pkg/kubelet/kubelet.go`,
//! `insecureContainerLifecycleHTTPClient`): whatever certificate the server has, and HTTP/1.1.

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

/// Shakes hands with the server, and gives what is spoken to it over TLS.
pub(crate) fn speak(mut connection: Connection, host: &str) -> Result<Box<dyn Stream>, TlsError> {
    let mut session = session(host).map_err(TlsError::Failed)?;
    while session.is_handshaking() {
        session.complete_io(&mut connection).map_err(why)?;
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

fn why(error: io::Error) -> TlsError {
    match error.get_ref().and_then(|error| error.downcast_ref()) {
        // The first byte is none that a record of TLS begins with: `HTTP/1.1 400`, for one.
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => TlsError::NotSpoken,
        _ => TlsError::Failed(error),
    }
}

/// Takes any certificate, because the kubelet does: a pod has no certificate for its own address that anybody could check,
/// and what the request goes to is the pod itself, or what its author named. The handler's headers are all that it sends,
/// and what comes back is thrown away.
///
/// Nor does it check that the server holds the certificate's key: whoever can answer in the server's place can do so with a
/// key of their own.
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
