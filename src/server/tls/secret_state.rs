//! The content of a Secret, and whether it is valid. Pure functions, except for the log: the time is an
//! argument.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use rustls_pki_types::CertificateDer;
use time::OffsetDateTime;
use tracing::warn;

use super::authority::{self, Ca, Issued, Lifetimes};
use super::certificate::{self, Facts};
use super::files::{CA, CERT, KEY};
use super::rotation::{self, Change, RotationContext, RotationRequest, is_due};
use super::{Certificate, Names};
use bootlace_core::names;

/// The label of Secrets that Bootlace manages.
pub(super) const MANAGED_BY: (&str, &str) = (names::LABEL_MANAGED_BY, names::MANAGED_BY);

/// The key of the CA, in the data of the Secret, in addition to [`CERT`], [`KEY`] and [`CA`].
pub const CA_KEY: &str = "ca.key";

/// The next signing CA, and its key.
const NEXT_CA: &str = "next-ca.crt";
const NEXT_CA_KEY: &str = "next-ca.key";
/// The signing CA, signed by the previous ones.
const CROSS: &str = "cross.crt";

/// What to do with a Secret.
pub enum Verdict {
    /// Serve with it.
    Good {
        /// Its content.
        good: Box<Good>,
        /// A change that is due nevertheless.
        change: Option<Change>,
    },
    /// It is not valid: change it.
    Unusable(Change),
    /// It contains the certificate of another program: do not change it.
    Foreign,
}

/// The content of a Secret, ready to serve.
pub struct Good {
    /// The serving certificate.
    pub certificate: Certificate,
    /// The CAs for caBundle, in PEM format.
    pub ca: Vec<u8>,
}

/// Evaluates a Secret by its content, the required names, and the time.
#[must_use]
pub fn evaluate(secret: &Secret, context: RotationContext<'_>) -> Verdict {
    let RotationContext { names, now, timing, .. } = context;
    let replace_all = |reason| Verdict::Unusable(Change { issued: None, reason, fulfils: true });
    let Some(issued) = content(secret) else {
        // An administrator can create an empty Secret for Bootlace to fill.
        let is_empty = secret.data.as_ref().is_none_or(BTreeMap::is_empty);
        return if is_empty { replace_all("it is empty".to_owned()) } else { Verdict::Foreign };
    };
    let (ca, facts) = match valid_ca(&issued, now) {
        Ok(ca) => ca,
        Err(reason) => {
            return rotation::rescue(&issued, context).map_or_else(|| replace_all(reason), Verdict::Unusable);
        }
    };
    match valid_leaf(&issued, &ca, &facts, names, now) {
        Ok(certificate) => {
            let change = rotation::step(&issued, &certificate.facts, context).unwrap_or_else(|error| {
                // The current certificate is valid, so it is still served.
                warn!("failed to renew the certificate: {error}");
                None
            });
            let good = Box::new(Good { certificate, ca: issued.ca_cert.into_bytes() });
            Verdict::Good { good, change }
        }
        Err(reason) => match authority::reissue(&issued, names, now, timing.lifetimes) {
            Ok(issued) => Verdict::Unusable(Change { issued: Some(issued), reason, fulfils: false }),
            Err(error) => rotation::rescue(&issued, context)
                .map_or_else(|| replace_all(format!("{reason}, and {error}")), Verdict::Unusable),
        },
    }
}

fn valid_ca(issued: &Issued, now: OffsetDateTime) -> Result<(CertificateDer<'static>, Facts), String> {
    let invalid = |error: &dyn std::fmt::Display| format!("its CA is invalid: {error}");
    let chain = certificate::chain(issued.ca_cert.as_bytes()).map_err(|error| invalid(&error))?;
    let ca = chain.into_iter().next().ok_or("it contains no CA")?;
    let facts = certificate::facts(&ca).map_err(|error| invalid(&error))?;
    if facts.not_after <= now {
        return Err(format!("its CA expired on {}", facts.not_after));
    }
    Ok((ca, facts))
}

fn valid_leaf(
    issued: &Issued,
    ca: &CertificateDer<'_>,
    ca_facts: &Facts,
    names: &Names,
    now: OffsetDateTime,
) -> Result<Certificate, String> {
    let invalid = |error: &dyn std::fmt::Display| format!("its certificate is invalid: {error}");
    let certificate = Certificate::from_pem(issued.cert.as_bytes(), issued.key.as_bytes())
        .map_err(|error| invalid(&error))?;
    let facts = &certificate.facts;
    if !facts.names.cover(names) {
        let required: Vec<_> = names.dns.iter().map(String::as_str).collect();
        return Err(format!("its certificate is not valid for {}", required.join(", ")));
    }
    if facts.not_after <= now || facts.not_before > now {
        return Err(format!(
            "its certificate is only valid from {} to {}",
            facts.not_before, facts.not_after
        ));
    }
    if facts.issuer != ca_facts.subject {
        return Err("another CA issued its certificate".to_owned());
    }
    let leaf = certificate::chain(issued.cert.as_bytes()).map_err(|error| invalid(&error))?;
    let leaf = leaf.first().ok_or("it contains no certificate")?;
    certificate::verify(leaf, ca).map_err(|error| invalid(&error))?;
    Ok(certificate)
}

/// What to do with a Secret that contains the certificate of another role.
pub enum Leaf {
    /// Nothing.
    Good,
    /// Write this data.
    Write {
        /// The data of the Secret.
        data: BTreeMap<String, ByteString>,
        /// Why.
        reason: String,
    },
    /// It belongs to another program: do not change it.
    Foreign,
}

/// Evaluates a Secret that should contain a certificate for `names` of the CA in `authority`, but not the key
/// of the CA.
///
/// # Errors
/// A new certificate is required, but cannot be issued.
pub fn evaluate_leaf(
    found: Option<&Secret>,
    authority: &Issued,
    names: &Names,
    now: OffsetDateTime,
    lifetimes: Lifetimes,
) -> Result<Leaf, String> {
    let is_ours = |secret: &Secret| {
        let labels = secret.metadata.labels.as_ref();
        labels.and_then(|labels| labels.get(MANAGED_BY.0)).is_some_and(|value| value == MANAGED_BY.1)
    };
    if found.is_some_and(|secret| !is_ours(secret)) {
        return Ok(Leaf::Foreign);
    }
    let (ca, facts) = valid_ca(authority, now)?;
    let reason = match found {
        None => "it does not exist".to_owned(),
        Some(secret) => match check_leaf(secret, authority, (&ca, &facts), names, now) {
            Ok(()) if request(secret) != Some(Ok(RotationRequest::Certificate)) => return Ok(Leaf::Good),
            Ok(()) => "it was requested".to_owned(),
            Err(reason) => reason,
        },
    };
    let issued = authority::reissue(authority, names, now, lifetimes)
        .map_err(|error| format!("failed to issue a certificate for the store: {error}"))?;
    let mut data = data(&issued);
    data.retain(|key, _| [CA, CERT, KEY].contains(&key.as_str()));
    Ok(Leaf::Write { data, reason })
}

/// Checks that the certificate in a Secret is valid and not due for renewal.
fn check_leaf(
    secret: &Secret,
    authority: &Issued,
    (ca, ca_facts): (&CertificateDer<'static>, &Facts),
    names: &Names,
    now: OffsetDateTime,
) -> Result<(), String> {
    let text = |key| {
        let bytes = secret.data.as_ref().and_then(|data| data.get(key)).map(|bytes| bytes.0.clone());
        bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| format!("it contains no {key}"))
    };
    if text(CA)? != authority.ca_cert {
        return Err("the CA has changed".to_owned());
    }
    let leaf = Issued { cert: text(CERT)?, key: text(KEY)?, ..authority.clone() };
    let facts = valid_leaf(&leaf, ca, ca_facts, names, now)?.facts;
    // A version without support for earlier CAs wrote it.
    if !leaf.cert.ends_with(&authority.cross) {
        return Err("its chain does not include earlier CAs".to_owned());
    }
    // Long before it expires, because the kubelet needs a minute or two to update mounted Secrets.
    if is_due(&facts, now) && facts.not_after < ca_facts.not_after {
        return Err(rotation::CERTIFICATE_DUE.to_owned());
    }
    Ok(())
}

/// The content of a Secret, if it is complete. If an earlier version wrote it, it has no next CA and no
/// earlier ones.
#[must_use]
pub fn content(secret: &Secret) -> Option<Issued> {
    let data = secret.data.as_ref()?;
    let text = |key| String::from_utf8(data.get(key)?.0.clone()).ok();
    let next = text(NEXT_CA).zip(text(NEXT_CA_KEY)).map(|(cert, key)| Ca { cert, key });
    Some(Issued {
        ca_cert: text(CA)?,
        ca_key: text(CA_KEY)?,
        cert: text(CERT)?,
        key: text(KEY)?,
        next,
        cross: text(CROSS).unwrap_or_default(),
    })
}

/// The data of the Secret for issued certificates.
#[must_use]
pub fn data(issued: &Issued) -> BTreeMap<String, ByteString> {
    let Issued { ca_cert, ca_key, cert, key, next, cross } = issued;
    let next = next.iter().flat_map(|next| [(NEXT_CA, &next.cert), (NEXT_CA_KEY, &next.key)]);
    let cross = (!cross.is_empty()).then_some((CROSS, cross));
    [(CA, ca_cert), (CA_KEY, ca_key), (CERT, cert), (KEY, key)]
        .into_iter()
        .chain(next)
        .chain(cross)
        .map(|(key, text)| (key.to_owned(), ByteString(text.clone().into_bytes())))
        .collect()
}

/// The request in the annotation of the Secret; its text as error if it is unknown.
#[must_use]
pub fn request(secret: &Secret) -> Option<Result<RotationRequest, String>> {
    let text = secret.metadata.annotations.as_ref()?.get(names::ANNOTATION_ROTATE)?;
    Some(RotationRequest::parse(text).ok_or_else(|| text.clone()))
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::super::rotation::{Published, Timing};
    use super::*;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-11-21 10:00 UTC);

    fn names() -> Names {
        Names::of_service("bootlace", "bootlace-system")
    }

    fn issue_all(names: &Names, now: OffsetDateTime) -> Issued {
        authority::issue(names, now, Lifetimes::default()).unwrap()
    }

    fn secret(issued: &Issued) -> Secret {
        Secret { data: Some(data(issued)), ..Secret::default() }
    }

    fn verdict(secret: &Secret, now: OffsetDateTime) -> Verdict {
        let (names, timing) = (names(), Timing::default());
        let published = Published::NotYet;
        evaluate(secret, RotationContext { names: &names, now, timing: &timing, published, request: None })
    }

    fn summary(secret: &Secret, now: OffsetDateTime) -> (&'static str, String) {
        match verdict(secret, now) {
            Verdict::Good { change: None, .. } => ("good", String::new()),
            Verdict::Good { change: Some(change), .. } => ("due", change.reason),
            Verdict::Unusable(Change { issued: Some(_), reason, .. }) => ("renew", reason),
            Verdict::Unusable(Change { issued: None, reason, .. }) => ("replace", reason),
            Verdict::Foreign => ("foreign", String::new()),
        }
    }

    #[test]
    fn a_certificate_is_renewed_after_two_thirds_of_its_lifetime_and_served_until_it_expires() {
        let secret = secret(&issue_all(&names(), NOW));
        assert_eq!(summary(&secret, NOW).0, "good");
        assert_eq!(summary(&secret, NOW + Duration::days(243)).0, "good");
        let (action, reason) = summary(&secret, NOW + Duration::days(244));
        assert!(action == "due" && reason.contains("two thirds"), "{action} {reason}");
        assert_eq!(summary(&secret, NOW + Duration::days(364)).0, "due");
        let (action, reason) = summary(&secret, NOW + Duration::days(366));
        assert!(action == "renew" && reason.contains("only valid from"), "{action} {reason}");
        let (action, reason) = summary(&secret, NOW + Duration::days(4000));
        assert!(action == "replace" && reason.contains("CA expired"), "{action} {reason}");
    }

    #[test]
    fn other_names_need_a_new_certificate_of_the_same_ca() {
        let issued = issue_all(&Names::of_service("old", "ns"), NOW);
        let Verdict::Unusable(Change { issued: Some(renewed), reason, .. }) = verdict(&secret(&issued), NOW)
        else {
            panic!("not renewed")
        };
        assert!(reason.contains("bootlace.bootlace-system.svc"), "{reason}");
        assert_eq!(renewed.ca_cert, issued.ca_cert);
        assert_eq!(summary(&secret(&renewed), NOW).0, "good");
    }

    fn leaf(found: Option<&Secret>, authority: &Issued, now: OffsetDateTime) -> (String, Option<Secret>) {
        match evaluate_leaf(found, authority, &names(), now, Lifetimes::default()).unwrap() {
            Leaf::Good => ("good".to_owned(), None),
            Leaf::Foreign => ("foreign".to_owned(), None),
            Leaf::Write { data, reason } => {
                let labels = [(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned())];
                let mut secret = Secret { data: Some(data), ..Secret::default() };
                secret.metadata.labels = Some(labels.into());
                (reason, Some(secret))
            }
        }
    }

    #[test]
    fn the_secret_of_another_role_has_no_ca_key_and_is_renewed_in_time() {
        let mut authority = issue_all(&Names::of_service("webhook", "ns"), NOW);
        authority.next = Some(authority::ca(NOW, Lifetimes::default()).unwrap());
        let (reason, created) = leaf(None, &authority, NOW);
        assert_eq!(reason, "it does not exist");
        let mut created = created.unwrap();
        let keys: Vec<_> = created.data.as_ref().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, [CA, CERT, KEY]);
        assert_eq!(created.data.as_ref().unwrap()[CA].0, authority.ca_cert.as_bytes());
        assert_eq!(leaf(Some(&created), &authority, NOW + Duration::days(240)).0, "good");
        let (reason, renewed) = leaf(Some(&created), &authority, NOW + Duration::days(245));
        assert_eq!(reason, rotation::CERTIFICATE_DUE);
        assert_eq!(leaf(renewed.as_ref(), &authority, NOW + Duration::days(300)).0, "good");
        let other = issue_all(&names(), NOW);
        assert_eq!(leaf(Some(&created), &other, NOW).0, "the CA has changed");
        assert_eq!(leaf(Some(&Secret::default()), &authority, NOW).0, "foreign");
        let request = [(names::ANNOTATION_ROTATE.to_owned(), "certificate".to_owned())];
        created.metadata.annotations = Some(request.into());
        assert_eq!(leaf(Some(&created), &authority, NOW).0, "it was requested");
    }

    #[test]
    fn invalid_parts_are_issued_again() {
        let (good, other) = (issue_all(&names(), NOW), issue_all(&names(), NOW));
        let with = |change: &dyn Fn(&mut Issued)| {
            let mut issued = good.clone();
            change(&mut issued);
            summary(&secret(&issued), NOW)
        };
        assert_eq!(with(&|issued| issued.key.clone_from(&other.key)).0, "renew");
        assert_eq!(with(&|issued| issued.cert.clear()).0, "renew");
        assert_eq!(with(&|issued| issued.ca_cert.clear()).0, "replace");
        // A leaf of another CA, which can even have the same name: only the signature shows the difference.
        let stranger = with(&|issued| {
            issued.cert.clone_from(&other.cert);
            issued.key.clone_from(&other.key);
        });
        assert!(stranger.0 == "renew", "{stranger:?}");
        // Nothing can be signed with the key of another CA, or without a key.
        for key in ["", other.ca_key.as_str()] {
            let (action, reason) = with(&|issued| {
                issued.cert.clear();
                issued.ca_key = key.to_owned();
            });
            assert!(action == "replace" && reason.contains("the key of the CA"), "{action} {reason}");
        }
    }

    #[test]
    fn an_empty_secret_is_filled_and_that_of_another_program_is_not_changed() {
        assert_eq!(summary(&Secret::default(), NOW).0, "replace");
        let mut foreign = secret(&issue_all(&names(), NOW));
        foreign.data.as_mut().unwrap().remove(CA_KEY);
        assert_eq!(summary(&foreign, NOW).0, "foreign");
    }

    #[test]
    fn a_secret_contains_everything_that_a_rotation_needs() {
        let mut issued = issue_all(&names(), NOW);
        assert_eq!(secret(&issued).data.unwrap().len(), 4, "the keys of the previous version");
        issued.next = Some(authority::ca(NOW, Lifetimes::default()).unwrap());
        issued.cross = authority::cross(issued.next.as_ref().unwrap(), &issued).unwrap();
        assert!(content(&secret(&issued)).unwrap() == issued);
    }
}
