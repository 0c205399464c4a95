//! The Secret with the boot env that the store creates for a pod, and the token of boot for the store. The
//! webhook determines both during admission, which only the API server can request.

use k8s_openapi::api::core::v1 as core;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::PlanError;
use crate::names;
use crate::pod::Pod;

/// Properties of an admission request that the pod does not contain.
#[derive(Clone, Copy, Debug)]
pub struct AdmissionContext<'a> {
    /// Namespace of the pod.
    pub namespace: &'a str,
    /// UID of the `AdmissionReview`, which is random; `None` if there is no review, as on the command line.
    pub uid: Option<&'a str>,
}

/// A namespace without an `AdmissionReview`.
impl<'a> From<&'a str> for AdmissionContext<'a> {
    fn from(namespace: &'a str) -> Self {
        Self { namespace, uid: None }
    }
}

/// Lifetime of the token of boot, in seconds: the minimum of the API server. The kubelet renews the token
/// while boot runs.
const TOKEN_SECONDS: i64 = 600;

/// Name of the Secret with the boot env of a pod. It cannot be guessed before the pod exists, because the UID
/// of the review is random (122 bits). It does not reveal the UID, which is in the logs of the API server.
///
/// # Errors
/// If there is no review. `explain` returns why the env is delivered in a Secret, and how to avoid it.
pub(super) fn secret_name(
    origin: AdmissionContext<'_>,
    explain: impl FnOnce() -> (String, &'static str),
) -> Result<String, PlanError> {
    let no_review = || {
        let (reason, remedy) = explain();
        PlanError::NoReview { reason, remedy }
    };
    let uid = origin.uid.ok_or_else(no_review)?;
    let hash = Sha256::new().chain_update(b"bootlace env\0").chain_update(uid).finalize();
    let mut digits = hex::encode(hash);
    digits.truncate(names::SECRET_ENV_DIGITS);
    Ok(format!("{}{digits}", names::SECRET_ENV_PREFIX))
}

/// The warning for a pod that needs the store, but may not be able to resolve its name.
pub(super) fn unreachable(pod: &Pod<'_>) -> Option<String> {
    let field = pod.no_cluster_dns?;
    Some(format!(
        "bootlace: the pod has {field}, so it resolves the Service of the Bootlace store with the DNS server of the node, which \
         usually does not know Services: if the pod fails with a lookup error, set dnsPolicy to ClusterFirstWithHostNet (with \
         hostNetwork) or ClusterFirst"
    ))
}

/// The entry of `envFrom` of a container. It is not optional: the kubelet waits for the Secret instead of
/// starting the task without its env.
pub(super) fn env_from(secret: &str) -> Value {
    json!({"secretRef": {"name": secret}})
}

/// The volume with the token that identifies the pod to the store. Task containers do not mount it.
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
    fn each_review_has_its_own_stable_name() {
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
    fn a_name_requires_a_review() {
        let explain = || ("its command is unknown".to_owned(), "add it as `command`");
        let error = secret_name("etl".into(), explain).unwrap_err().to_string();
        assert!(
            error.contains("its command is unknown") && error.ends_with("add it as `command`"),
            "{error}"
        );
    }
}
