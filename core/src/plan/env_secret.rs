//! What a pod gets from the store, and what boot needs to ask it: decided at admission, where nobody but the API server
//! has a say.

use std::fmt::Write as _;

use k8s_openapi::api::core::v1 as core;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::PlanError;
use crate::names;
use crate::pod::Pod;

/// Where a pod comes from, as far as its own JSON does not say.
#[derive(Clone, Copy, Debug)]
pub struct AdmissionContext<'a> {
    /// The namespace that it is being created in.
    pub namespace: &'a str,
    /// The uid of the API server's review: new and random for each. None where there is no review.
    pub uid: Option<&'a str>,
}

/// A namespace, without a review.
impl<'a> From<&'a str> for AdmissionContext<'a> {
    fn from(namespace: &'a str) -> Self {
        Self { namespace, uid: None }
    }
}

/// Seconds that the token of boot lives: the least that the API server gives. The kubelet renews it while boot runs.
const TOKEN_SECONDS: i64 = 600;

/// The name of the Secret that holds a pod's boot env. Nobody can guess it before the pod is there, because the review's
/// uid is random (122 bits), and nobody learns the uid from it, which is in the API server's logs.
///
/// # Errors
/// Where there is no review. `why` says why the pod takes its env from a Secret, and what to do about it.
pub(super) fn secret_name(
    origin: AdmissionContext<'_>,
    why: impl FnOnce() -> (String, &'static str),
) -> Result<String, PlanError> {
    let no_review = || {
        let (because, remedy) = why();
        PlanError::NoReview { because, remedy }
    };
    let uid = origin.uid.ok_or_else(no_review)?;
    let hash = Sha256::new().chain_update(b"bootlace env\0").chain_update(uid).finalize();
    let mut name = names::SECRET_ENV_PREFIX.to_owned();
    for byte in hash.iter().take(names::SECRET_ENV_DIGITS / 2) {
        // Writing to a String cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    Ok(name)
}

/// The warning for a pod that needs the store and cannot look up its name.
pub(super) fn unreachable(pod: &Pod<'_>) -> Option<String> {
    let field = pod.no_cluster_dns?;
    Some(format!(
        "bootlace: the pod has {field}, so it resolves the Service of the Bootlace store with the DNS server of the node, which \
         usually does not know Services: if the pod fails with a lookup error, set dnsPolicy to ClusterFirstWithHostNet (with \
         hostNetwork) or ClusterFirst"
    ))
}

/// The entry of a container's `envFrom`. Not optional: the kubelet waits for the Secret instead of starting the task
/// without its env.
pub(super) fn env_from(secret: &str) -> Value {
    json!({"secretRef": {"name": secret}})
}

/// The volume with the token by which the store knows the pod. Boot alone mounts it.
pub(super) fn volume() -> core::Volume {
    let token = core::ServiceAccountTokenProjection {
        audience: Some(names::AUDIENCE.to_owned()),
        expiration_seconds: Some(TOKEN_SECONDS),
        path: names::FILE_STORE_TOKEN.to_owned(),
        ..core::ServiceAccountTokenProjection::default()
    };
    let source =
        core::VolumeProjection { service_account_token: Some(token), ..core::VolumeProjection::default() };
    core::Volume {
        name: names::VOLUME_STORE.to_owned(),
        projected: Some(core::ProjectedVolumeSource { sources: Some(vec![source]), ..Default::default() }),
        ..core::Volume::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_stable_for_a_review_and_another_for_the_next() {
        let name = |uid| {
            let origin = AdmissionContext { namespace: "etl", uid: Some(uid) };
            secret_name(origin, || (String::new(), "")).unwrap()
        };
        let first = name("6f0a3c9e-8d55-4b0e-9f57-0f9a2f3c1b7d");
        assert_eq!(first, name("6f0a3c9e-8d55-4b0e-9f57-0f9a2f3c1b7d"));
        assert_ne!(first, name("6f0a3c9e-8d55-4b0e-9f57-0f9a2f3c1b7e"));
        assert!(names::is_env_secret(&first), "{first}");
    }

    #[test]
    fn without_a_review_there_is_no_name() {
        let why = || ("its command is unknown".to_owned(), "add it as `command`");
        let error = secret_name("etl".into(), why).unwrap_err().to_string();
        assert!(
            error.contains("its command is unknown") && error.ends_with("add it as `command`"),
            "{error}"
        );
    }
}
