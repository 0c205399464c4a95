//! What a Secret holds, and whether it is still good. Pure but for the log: the clock is an argument.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use rustls_pki_types::CertificateDer;
use time::OffsetDateTime;
use tracing::warn;

use super::authority::{self, Ca, Issued, Lifetimes};
use super::ca_secret::MANAGED_BY;
use super::certificate::{self, Facts};
use super::files::{CA, CERT, KEY};
use super::rotation::{self, Change, RotationContext, RotationRequest, is_due};
use super::{Certificate, Names};
use bootlace_core::names;

/// The CA's key, in the Secret's data beside [`CERT`], [`KEY`] and [`CA`].
pub const CA_KEY: &str = "ca.key";

/// The CA that signs next, and its key.
const NEXT_CA: &str = "next-ca.crt";
const NEXT_CA_KEY: &str = "next-ca.key";
/// The CA that signs, signed by those before it.
const CROSS: &str = "cross.crt";

/// What to do about a Secret.
pub enum Verdict {
    /// Serve with it.
    Good {
        /// Its content.
        good: Box<Good>,
        /// What is due all the same.
        change: Option<Change>,
    },
    /// It cannot be served with: change it.
    Unusable(Change),
    /// Leave it alone: it holds somebody else's certificate.
    Foreign,
}

/// A Secret's content, ready to serve.
pub struct Good {
    /// The serving certificate.
    pub certificate: Certificate,
    /// For caBundle: PEM.
    pub ca: Vec<u8>,
}

/// Judges a Secret by its content, the names that are served under, and the time.
#[must_use]
pub fn evaluate(secret: &Secret, around: RotationContext<'_>) -> Verdict {
    let RotationContext { names, now, timing, .. } = around;
    let anew = |because| Verdict::Unusable(Change { issued: None, because, fulfils: true });
    let Some(issued) = content(secret) else {
        // An empty Secret is one that was made for us to fill.
        let empty = secret.data.as_ref().is_none_or(BTreeMap::is_empty);
        return if empty { anew("it is empty".to_owned()) } else { Verdict::Foreign };
    };
    let (ca, facts) = match usable_ca(&issued, now) {
        Ok(ca) => ca,
        Err(because) => {
            return rotation::rescue(&issued, around).map_or_else(|| anew(because), Verdict::Unusable);
        }
    };
    match usable_leaf(&issued, &ca, &facts, names, now) {
        Ok(certificate) => {
            let change = rotation::step(&issued, &certificate.facts, around).unwrap_or_else(|error| {
                // Nothing that is served now is at fault, so it is served on.
                warn!("the certificate that is due cannot be made: {error}");
                None
            });
            let good = Box::new(Good { certificate, ca: issued.ca_cert.into_bytes() });
            Verdict::Good { good, change }
        }
        Err(because) => match authority::reissue(&issued, names, now, timing.lifetimes) {
            Ok(issued) => Verdict::Unusable(Change { issued: Some(issued), because, fulfils: false }),
            Err(error) => rotation::rescue(&issued, around)
                .map_or_else(|| anew(format!("{because}, and {error}")), Verdict::Unusable),
        },
    }
}

fn usable_ca(issued: &Issued, now: OffsetDateTime) -> Result<(CertificateDer<'static>, Facts), String> {
    let unusable = |error: &dyn std::fmt::Display| format!("its CA {error}");
    let chain = certificate::chain(issued.ca_cert.as_bytes()).map_err(|error| unusable(&error))?;
    let ca = chain.into_iter().next().ok_or("it holds no CA")?;
    let facts = certificate::facts(&ca).map_err(|error| unusable(&error))?;
    if facts.not_after <= now {
        return Err(format!("its CA expired on {}", facts.not_after));
    }
    Ok((ca, facts))
}

fn usable_leaf(
    issued: &Issued,
    ca: &CertificateDer<'_>,
    ca_facts: &Facts,
    names: &Names,
    now: OffsetDateTime,
) -> Result<Certificate, String> {
    let unusable = |error: &dyn std::fmt::Display| format!("its certificate {error}");
    let certificate = Certificate::from_pem(issued.cert.as_bytes(), issued.key.as_bytes())
        .map_err(|error| unusable(&error))?;
    let facts = &certificate.facts;
    if !facts.names.cover(names) {
        let wanted: Vec<_> = names.dns.iter().map(String::as_str).collect();
        return Err(format!("its certificate is not for {}", wanted.join(", ")));
    }
    if facts.not_after <= now || facts.not_before > now {
        return Err(format!("its certificate holds from {} to {}", facts.not_before, facts.not_after));
    }
    if facts.issuer != ca_facts.subject {
        return Err("its certificate was issued by another CA".to_owned());
    }
    let leaf = certificate::chain(issued.cert.as_bytes()).map_err(|error| unusable(&error))?;
    let leaf = leaf.first().ok_or("it holds no certificate")?;
    certificate::verify(leaf, ca).map_err(|error| unusable(&error))?;
    Ok(certificate)
}

/// What to do about a Secret that holds a certificate for another role.
pub enum Leaf {
    /// Nothing.
    Good,
    /// Write this into it.
    Write {
        /// The Secret's data.
        data: BTreeMap<String, ByteString>,
        /// Why.
        because: String,
    },
    /// Leave it alone: it is somebody else's.
    Foreign,
}

/// Judges a Secret that should hold a certificate for `names` under the CA of `authority`, and not its key.
///
/// # Errors
/// Where a new certificate is needed and cannot be made.
pub fn judge_leaf(
    found: Option<&Secret>,
    authority: &Issued,
    names: &Names,
    now: OffsetDateTime,
    lifetimes: Lifetimes,
) -> Result<Leaf, String> {
    let ours = |secret: &Secret| {
        let labels = secret.metadata.labels.as_ref();
        labels.and_then(|labels| labels.get(MANAGED_BY.0)).is_some_and(|value| value == MANAGED_BY.1)
    };
    if found.is_some_and(|secret| !ours(secret)) {
        return Ok(Leaf::Foreign);
    }
    let (ca, facts) = usable_ca(authority, now)?;
    let because = match found {
        None => "it is not there".to_owned(),
        Some(secret) => match fresh_leaf(secret, authority, (&ca, &facts), names, now) {
            Ok(()) if request(secret) != Some(Ok(RotationRequest::Certificate)) => return Ok(Leaf::Good),
            Ok(()) => "it was asked for".to_owned(),
            Err(because) => because,
        },
    };
    let issued = authority::reissue(authority, names, now, lifetimes)
        .map_err(|error| format!("no certificate can be made for the store: {error}"))?;
    let mut data = data(&issued);
    data.retain(|key, _| [CA, CERT, KEY].contains(&key.as_str()));
    Ok(Leaf::Write { data, because })
}

fn fresh_leaf(
    secret: &Secret,
    authority: &Issued,
    (ca, ca_facts): (&CertificateDer<'static>, &Facts),
    names: &Names,
    now: OffsetDateTime,
) -> Result<(), String> {
    let text = |key| {
        let bytes = secret.data.as_ref().and_then(|data| data.get(key)).map(|bytes| bytes.0.clone());
        bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| format!("it holds no {key}"))
    };
    if text(CA)? != authority.ca_cert {
        return Err("the CA is another one now".to_owned());
    }
    let leaf = Issued { cert: text(CERT)?, key: text(KEY)?, ..authority.clone() };
    let facts = usable_leaf(&leaf, ca, ca_facts, names, now)?.facts;
    // A version that knows nothing of earlier CAs wrote it.
    if !leaf.cert.ends_with(&authority.cross) {
        return Err("it does not lead to earlier CAs".to_owned());
    }
    // Long before its end: the kubelet takes a minute or two to bring a change to whoever mounts it.
    if is_due(&facts, now) && facts.not_after < ca_facts.not_after {
        return Err("two thirds of its certificate's life are over".to_owned());
    }
    Ok(())
}

/// What a Secret holds, where it holds all of it. One that was written by an earlier version has no next CA and none before.
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

/// The Secret's data for what was issued.
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

/// What somebody asks for with the Secret's annotation; an error where it cannot be read.
#[must_use]
pub fn request(secret: &Secret) -> Option<Result<RotationRequest, String>> {
    let text = secret.metadata.annotations.as_ref()?.get(names::ANNOTATION_ROTATE)?;
    Some(RotationRequest::read(text).ok_or_else(|| text.clone()))
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

    fn told(secret: &Secret, now: OffsetDateTime) -> (&'static str, String) {
        match verdict(secret, now) {
            Verdict::Good { change: None, .. } => ("good", String::new()),
            Verdict::Good { change: Some(change), .. } => ("due", change.because),
            Verdict::Unusable(Change { issued: Some(_), because, .. }) => ("renew", because),
            Verdict::Unusable(Change { issued: None, because, .. }) => ("replace", because),
            Verdict::Foreign => ("foreign", String::new()),
        }
    }

    #[test]
    fn what_was_made_is_good_for_two_thirds_of_its_life_and_served_until_it_expires() {
        let secret = secret(&issue_all(&names(), NOW));
        assert_eq!(told(&secret, NOW).0, "good");
        assert_eq!(told(&secret, NOW + Duration::days(243)).0, "good");
        let (what, why) = told(&secret, NOW + Duration::days(244));
        assert!(what == "due" && why.contains("two thirds"), "{what} {why}");
        assert_eq!(told(&secret, NOW + Duration::days(364)).0, "due");
        let (what, why) = told(&secret, NOW + Duration::days(366));
        assert!(what == "renew" && why.contains("holds from"), "{what} {why}");
        let (what, why) = told(&secret, NOW + Duration::days(4000));
        assert!(what == "replace" && why.contains("CA expired"), "{what} {why}");
    }

    #[test]
    fn other_names_take_a_new_certificate_under_the_same_ca() {
        let issued = issue_all(&Names::of_service("old", "ns"), NOW);
        let Verdict::Unusable(Change { issued: Some(renewed), because, .. }) = verdict(&secret(&issued), NOW)
        else {
            panic!("not renewed")
        };
        assert!(because.contains("bootlace.bootlace-system.svc"), "{because}");
        assert_eq!(renewed.ca_cert, issued.ca_cert);
        assert_eq!(told(&secret(&renewed), NOW).0, "good");
    }

    fn leaf(found: Option<&Secret>, authority: &Issued, now: OffsetDateTime) -> (String, Option<Secret>) {
        match judge_leaf(found, authority, &names(), now, Lifetimes::default()).unwrap() {
            Leaf::Good => ("good".to_owned(), None),
            Leaf::Foreign => ("foreign".to_owned(), None),
            Leaf::Write { data, because } => {
                let labels = [(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned())];
                let mut secret = Secret { data: Some(data), ..Secret::default() };
                secret.metadata.labels = Some(labels.into());
                (because, Some(secret))
            }
        }
    }

    #[test]
    fn anothers_certificate_is_under_the_same_ca_without_its_key_and_renewed_in_time() {
        let mut authority = issue_all(&Names::of_service("webhook", "ns"), NOW);
        authority.next = Some(authority::ca(NOW, Lifetimes::default()).unwrap());
        let (because, made) = leaf(None, &authority, NOW);
        assert_eq!(because, "it is not there");
        let mut made = made.unwrap();
        let keys: Vec<_> = made.data.as_ref().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, [CA, CERT, KEY]);
        assert_eq!(made.data.as_ref().unwrap()[CA].0, authority.ca_cert.as_bytes());
        assert_eq!(leaf(Some(&made), &authority, NOW + Duration::days(240)).0, "good");
        let (because, renewed) = leaf(Some(&made), &authority, NOW + Duration::days(245));
        assert_eq!(because, "two thirds of its certificate's life are over");
        assert_eq!(leaf(renewed.as_ref(), &authority, NOW + Duration::days(300)).0, "good");
        let other = issue_all(&names(), NOW);
        assert_eq!(leaf(Some(&made), &other, NOW).0, "the CA is another one now");
        assert_eq!(leaf(Some(&Secret::default()), &authority, NOW).0, "foreign");
        let asked = [(names::ANNOTATION_ROTATE.to_owned(), "certificate".to_owned())];
        made.metadata.annotations = Some(asked.into());
        assert_eq!(leaf(Some(&made), &authority, NOW).0, "it was asked for");
    }

    #[test]
    fn broken_parts_are_made_again() {
        let (good, other) = (issue_all(&names(), NOW), issue_all(&names(), NOW));
        let with = |change: &dyn Fn(&mut Issued)| {
            let mut issued = good.clone();
            change(&mut issued);
            told(&secret(&issued), NOW)
        };
        assert_eq!(with(&|issued| issued.key.clone_from(&other.key)).0, "renew");
        assert_eq!(with(&|issued| issued.cert.clear()).0, "renew");
        assert_eq!(with(&|issued| issued.ca_cert.clear()).0, "replace");
        // A leaf of another CA, whose name may even be the same: the signature tells.
        let stranger = with(&|issued| {
            issued.cert.clone_from(&other.cert);
            issued.key.clone_from(&other.key);
        });
        assert!(stranger.0 == "renew", "{stranger:?}");
        // Nothing can be signed with a key that is not the CA's, or none.
        for key in ["", other.ca_key.as_str()] {
            let (what, why) = with(&|issued| {
                issued.cert.clear();
                issued.ca_key = key.to_owned();
            });
            assert!(what == "replace" && why.contains("CA's certificate or key"), "{what} {why}");
        }
    }

    #[test]
    fn an_empty_secret_is_filled_and_a_foreign_one_is_left_alone() {
        assert_eq!(told(&Secret::default(), NOW).0, "replace");
        let mut foreign = secret(&issue_all(&names(), NOW));
        foreign.data.as_mut().unwrap().remove(CA_KEY);
        assert_eq!(told(&foreign, NOW).0, "foreign");
    }

    #[test]
    fn a_secret_holds_all_that_a_rotation_needs() {
        let mut issued = issue_all(&names(), NOW);
        assert_eq!(secret(&issued).data.unwrap().len(), 4, "what the version before reads and writes");
        issued.next = Some(authority::ca(NOW, Lifetimes::default()).unwrap());
        issued.cross = authority::cross(issued.next.as_ref().unwrap(), &issued).unwrap();
        assert!(content(&secret(&issued)).unwrap() == issued);
    }
}
