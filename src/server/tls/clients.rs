//! Certificates of callers. A certificate of the configured CA identifies a caller by its names. A connection
//! without one is accepted too; the role decides what each caller may request.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::{certificate, files};

/// The names in the verified certificate of a caller; empty if it sent none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peer(Arc<[String]>);

impl Peer {
    /// The common name and the DNS names in the certificate of a caller.
    #[must_use]
    pub fn of(certificates: Option<&[CertificateDer<'_>]>) -> Self {
        let Some(leaf) = certificates.and_then(<[_]>::first) else { return Self::default() };
        let Ok((_, leaf)) = X509Certificate::from_der(leaf) else { return Self::default() };
        let common = leaf.subject().iter_common_name().filter_map(|name| name.as_str().ok());
        let alternative = leaf.subject_alternative_name().ok().flatten();
        let alternative = alternative.iter().flat_map(|names| &names.value.general_names);
        let alternative = alternative.filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(*name),
            _ => None,
        });
        Self(common.chain(alternative).map(str::to_owned).collect())
    }

    /// Whether it is one of `names`.
    #[must_use]
    pub fn is_one_of(&self, names: &[String]) -> bool {
        self.0.iter().any(|name| names.contains(name))
    }
}

/// Verifies the certificates of callers. The CAs can be reloaded from a file.
#[derive(Debug)]
// Twice in an `Arc`, because only a value of a known size can be swapped.
pub struct ClientVerifier(ArcSwap<Arc<dyn ClientCertVerifier>>);

impl ClientVerifier {
    /// Verifies certificates of these CAs, in PEM format.
    ///
    /// # Errors
    /// There is no valid certificate.
    pub fn under(ca: &[u8]) -> anyhow::Result<Arc<Self>> {
        Ok(Arc::new(Self(ArcSwap::from_pointee(verifier(ca)?))))
    }

    /// Verifies certificates of the CAs in a file, which is reloaded when it changes.
    ///
    /// # Errors
    /// The file is unreadable, or contains no valid certificate.
    pub fn watch(file: PathBuf) -> anyhow::Result<Arc<Self>> {
        let ca = std::fs::read(&file).with_context(|| {
            format!("failed to read {:?}: set another file with --client-ca", file.display())
        })?;
        let clients = Self::under(&ca).with_context(|| format!("{:?} is invalid", file.display()))?;
        let reloaded = Arc::clone(&clients);
        tokio::spawn(async move { reloaded.reload(&file, ca).await });
        Ok(clients)
    }

    async fn reload(&self, file: &Path, ca: Vec<u8>) {
        files::follow_ca(file, files::EVERY, ca, |ca| {
            if let Ok(verifier) = verifier(ca) {
                self.0.store(Arc::new(verifier));
            }
        })
        .await;
    }
}

fn verifier(ca: &[u8]) -> anyhow::Result<Arc<dyn ClientCertVerifier>> {
    let mut roots = RootCertStore::empty();
    for certificate in certificate::chain(ca)? {
        roots.add(certificate)?;
    }
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    Ok(verifier.allow_unauthenticated().build()?)
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        // A caller without a certificate gets an HTTP error instead of a TLS alert.
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // The CAs can change; without hints, a client sends the certificate that it has.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.0.load().verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.load().verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.load().verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.load().supported_verify_schemes()
    }
}
