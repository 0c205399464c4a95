//! The CAs of a Secret: the one that signs, the next one, and the previous ones.

use rustls_pki_types::CertificateDer;

use crate::server::tls::authority::{Ca, Issued};
use crate::server::tls::certificate::{self, Facts};

/// The certificate of a CA, and its fields.
pub(super) type CaCertificate = (CertificateDer<'static>, Facts);

/// The CAs of a Secret.
pub(super) struct Cas {
    pub(super) signing: CaCertificate,
    pub(super) next: Option<(CaCertificate, Ca)>,
    /// The newest first.
    pub(super) previous: Vec<CaCertificate>,
}

impl Cas {
    /// `None` if the first one is invalid.
    pub(super) fn parse(issued: &Issued) -> Option<Self> {
        let chain = certificate::chain(issued.ca_cert.as_bytes()).ok()?;
        let mut all =
            chain.into_iter().filter_map(|der| certificate::facts(&der).ok().map(|facts| (der, facts)));
        let signing = all.next()?;
        let mut next =
            issued.next.as_ref().and_then(|next| Some((ca_certificate(&next.cert)?, next.clone())));
        let mut previous = Vec::new();
        let mut is_announced = false;
        for one in all {
            if next.as_ref().is_some_and(|(next, _)| next.0 == one.0) {
                is_announced = true;
            } else if one.0 != signing.0 {
                previous.push(one);
            }
        }
        if !is_announced {
            next = None;
        }
        Some(Self { signing, next, previous })
    }

    /// All trusted CAs, in PEM format.
    pub(super) fn bundle(&self) -> String {
        let next = self.next.iter().map(|(next, _)| next);
        let all = std::iter::once(&self.signing).chain(next).chain(&self.previous);
        all.map(|(der, _)| certificate::pem(der)).collect()
    }

    /// The certificates of `cross`, which are CAs that an earlier CA has signed, whose issuer is still
    /// trusted.
    pub(super) fn still_trusted(&self, cross: &str) -> String {
        let is_trusted = |der: &CertificateDer<'_>| {
            let issuer = certificate::facts(der).ok().map(|facts| facts.issuer);
            issuer.is_some_and(|issuer| self.previous.iter().any(|(_, ca)| ca.subject == issuer))
        };
        let chain = certificate::chain(cross.as_bytes()).unwrap_or_default();
        chain.iter().filter(|der| is_trusted(der)).map(certificate::pem).collect()
    }
}

/// The first certificate of a PEM text.
pub(super) fn ca_certificate(pem: &str) -> Option<CaCertificate> {
    let der = certificate::chain(pem.as_bytes()).ok()?.into_iter().next()?;
    let facts = certificate::facts(&der).ok()?;
    Some((der, facts))
}
