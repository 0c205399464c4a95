//! What a Secret holds, and whether it is still good. Pure: the clock is an argument.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use rustls_pki_types::CertificateDer;
use time::OffsetDateTime;

use super::authority::{self, IssueError, Issued, Lifetimes};
use super::certificate::{self, Facts};
use super::files::{CA, CERT, KEY};
use super::secret::MANAGED_BY;
use super::{Certificate, Names};

/// The CA's key, in the Secret's data beside [`CERT`], [`KEY`] and [`CA`].
pub const CA_KEY: &str = "ca.key";

/// What to do about a Secret.
pub enum Verdict {
    /// Serve with it.
    Good(Box<Good>),
    /// Make a new serving certificate, under the CA that is there: nobody has to be told.
    Renew {
        /// The new content.
        issued: Issued,
        /// Why.
        because: String,
    },
    /// Make everything anew.
    Replace {
        /// Why.
        because: String,
    },
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
pub fn judge(secret: &Secret, names: &Names, now: OffsetDateTime) -> Verdict {
    let Some(issued) = content(secret) else {
        // An empty Secret is one that was made for us to fill.
        let empty = secret.data.as_ref().is_none_or(BTreeMap::is_empty);
        return if empty { Verdict::Replace { because: "it is empty".to_owned() } } else { Verdict::Foreign };
    };
    let (ca, facts) = match usable_ca(&issued, now) {
        Ok(ca) => ca,
        Err(because) => return Verdict::Replace { because },
    };
    match usable_leaf(&issued, &ca, &facts, names, now) {
        Ok(certificate) => Verdict::Good(Box::new(Good { certificate, ca: issued.ca_cert.into_bytes() })),
        Err(because) => match authority::reissue(&issued, &ca, names, now, Lifetimes::default()) {
            Ok(issued) => Verdict::Renew { issued, because },
            Err(error) => Verdict::Replace { because: format!("{because}, and {error}") },
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
            Ok(()) => return Ok(Leaf::Good),
            Err(because) => because,
        },
    };
    let issued = authority::reissue(authority, &ca, names, now, Lifetimes::default())
        .map_err(|error| format!("no certificate can be made for the store: {error}"))?;
    let mut data = data(&issued);
    data.remove(CA_KEY);
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
    let Facts { not_before, not_after, .. } = usable_leaf(&leaf, ca, ca_facts, names, now)?.facts;
    // Long before its end: the kubelet takes a minute or two to bring a change to whoever mounts it.
    if now - not_before >= (not_after - not_before) * 2 / 3 {
        return Err("two thirds of its certificate's life are over".to_owned());
    }
    Ok(())
}

/// What a Secret holds, where it holds all of it.
#[must_use]
pub fn content(secret: &Secret) -> Option<Issued> {
    let data = secret.data.as_ref()?;
    let text = |key| String::from_utf8(data.get(key)?.0.clone()).ok();
    Some(Issued { ca_cert: text(CA)?, ca_key: text(CA_KEY)?, cert: text(CERT)?, key: text(KEY)? })
}

/// The Secret's data for what was issued.
#[must_use]
pub fn data(issued: &Issued) -> BTreeMap<String, ByteString> {
    [(CA, &issued.ca_cert), (CA_KEY, &issued.ca_key), (CERT, &issued.cert), (KEY, &issued.key)]
        .into_iter()
        .map(|(key, text)| (key.to_owned(), ByteString(text.clone().into_bytes())))
        .collect()
}

/// Makes everything anew.
///
/// # Errors
/// Where a name cannot stand in a certificate.
pub fn anew(names: &Names, now: OffsetDateTime) -> Result<Issued, IssueError> {
    authority::issue(names, now, Lifetimes::default())
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::*;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-11-21 10:00 UTC);

    fn names() -> Names {
        Names::of_service("bootlace", "bootlace-system")
    }

    fn secret(issued: &Issued) -> Secret {
        Secret { data: Some(data(issued)), ..Secret::default() }
    }

    fn told(verdict: Verdict) -> (&'static str, String) {
        match verdict {
            Verdict::Good(_) => ("good", String::new()),
            Verdict::Renew { because, .. } => ("renew", because),
            Verdict::Replace { because } => ("replace", because),
            Verdict::Foreign => ("foreign", String::new()),
        }
    }

    #[test]
    fn what_was_made_is_good_until_it_expires() {
        let issued = anew(&names(), NOW).unwrap();
        let secret = secret(&issued);
        assert_eq!(told(judge(&secret, &names(), NOW)).0, "good");
        assert_eq!(told(judge(&secret, &names(), NOW + Duration::days(364))).0, "good");
        let (what, why) = told(judge(&secret, &names(), NOW + Duration::days(366)));
        assert!(what == "renew" && why.contains("holds from"), "{what} {why}");
        let (what, why) = told(judge(&secret, &names(), NOW + Duration::days(4000)));
        assert!(what == "replace" && why.contains("CA expired"), "{what} {why}");
    }

    #[test]
    fn other_names_take_a_new_certificate_under_the_same_ca() {
        let issued = anew(&Names::of_service("old", "ns"), NOW).unwrap();
        let Verdict::Renew { issued: renewed, because } = judge(&secret(&issued), &names(), NOW) else {
            panic!("not renewed")
        };
        assert!(because.contains("bootlace.bootlace-system.svc"), "{because}");
        assert_eq!(renewed.ca_cert, issued.ca_cert);
        assert_eq!(told(judge(&secret(&renewed), &names(), NOW)).0, "good");
    }

    fn leaf(found: Option<&Secret>, authority: &Issued, now: OffsetDateTime) -> (String, Option<Secret>) {
        match judge_leaf(found, authority, &names(), now).unwrap() {
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
        let authority = anew(&Names::of_service("webhook", "ns"), NOW).unwrap();
        let (because, made) = leaf(None, &authority, NOW);
        assert_eq!(because, "it is not there");
        let made = made.unwrap();
        assert!(!made.data.as_ref().unwrap().contains_key(CA_KEY));
        assert_eq!(made.data.as_ref().unwrap()[CA].0, authority.ca_cert.as_bytes());
        assert_eq!(leaf(Some(&made), &authority, NOW + Duration::days(240)).0, "good");
        let (because, renewed) = leaf(Some(&made), &authority, NOW + Duration::days(245));
        assert_eq!(because, "two thirds of its certificate's life are over");
        assert_eq!(leaf(renewed.as_ref(), &authority, NOW + Duration::days(300)).0, "good");
        let other = anew(&names(), NOW).unwrap();
        assert_eq!(leaf(Some(&made), &other, NOW).0, "the CA is another one now");
        assert_eq!(leaf(Some(&Secret::default()), &authority, NOW).0, "foreign");
    }

    #[test]
    fn broken_parts_are_made_again() {
        let good = anew(&names(), NOW).unwrap();
        let other = anew(&names(), NOW).unwrap();
        let with = |change: &dyn Fn(&mut Issued)| {
            let mut issued = good.clone();
            change(&mut issued);
            told(judge(&secret(&issued), &names(), NOW))
        };
        assert_eq!(with(&|issued| issued.key.clone_from(&other.key)).0, "renew");
        assert_eq!(with(&|issued| issued.cert.clear()).0, "renew");
        assert_eq!(with(&|issued| issued.ca_cert.clear()).0, "replace");
        // A leaf of another CA, whose name may even be the same: the signature tells.
        let stranger = with(&|issued| {
            issued.cert.clone_from(&other.cert);
            issued.key.clone_from(&other.key);
        });
        assert!(stranger.0 == "renew" && stranger.1.contains("not signed by the CA"), "{stranger:?}");
        // Nothing can be signed with a key that is not the CA's.
        let (what, why) = with(&|issued| {
            issued.cert.clear();
            issued.ca_key.clear();
        });
        assert!(what == "replace" && why.contains("CA's certificate or key"), "{what} {why}");
    }

    #[test]
    fn an_empty_secret_is_filled_and_a_foreign_one_is_left_alone() {
        assert_eq!(told(judge(&Secret::default(), &names(), NOW)).0, "replace");
        let mut foreign = secret(&anew(&names(), NOW).unwrap());
        foreign.data.as_mut().unwrap().remove(CA_KEY);
        assert_eq!(told(judge(&foreign, &names(), NOW)).0, "foreign");
    }
}
