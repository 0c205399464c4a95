//! The Secret of a pod's boot env. Pure.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ObjectMeta;

use super::api_error::ApiError;
use crate::store_client::protocol::{EnvRequest, MAX_ENV_BYTES, MAX_NAME_BYTES, is_env_key};
use bootlace_core::names;

/// Checks an env. Boot has done so already, with sentences that name the source; this is for whoever is not boot.
///
/// # Errors
/// Where the kubelet could not give it to a process.
pub fn check(env: &EnvRequest) -> Result<(), ApiError> {
    for (name, value) in &env.env {
        let shown: String = name.chars().take(MAX_NAME_BYTES).collect();
        if !is_env_key(name) {
            return Err(ApiError::invalid(format!(
                "{shown:?} is no key of a Secret: write letters, digits, -, _ and ., {MAX_NAME_BYTES} at most, and nothing \
                 that begins with .."
            )));
        }
        if str::from_utf8(&value.0).is_err() || value.0.contains(&0) {
            return Err(ApiError::invalid(format!(
                "the value of {shown} is no text in UTF-8 without NUL, and nothing else can be given to a process by a Secret"
            )));
        }
    }
    let bytes = size(env);
    if bytes > MAX_ENV_BYTES {
        return Err(ApiError::too_large(format!(
            "the env takes {bytes} bytes, names included, and a Secret holds {MAX_ENV_BYTES} at most: give large values \
             as files"
        )));
    }
    Ok(())
}

/// Bytes of an env as the API server counts them.
#[must_use]
pub fn size(env: &EnvRequest) -> usize {
    env.env.iter().map(|(name, value)| name.len() + value.0.len()).sum()
}

/// The Secret: immutable, and gone when the pod is.
#[must_use]
pub fn secret(name: &str, pod: &Pod, data: BTreeMap<String, ByteString>) -> Secret {
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some([(names::LABEL_MANAGED_BY.to_owned(), names::MANAGED_BY.to_owned())].into()),
            owner_references: Some(vec![owner(pod)]),
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".to_owned()),
        immutable: Some(true),
        data: Some(data),
        ..Secret::default()
    }
}

fn owner(pod: &Pod) -> OwnerReference {
    OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        name: pod.metadata.name.clone().unwrap_or_default(),
        uid: pod.metadata.uid.clone().unwrap_or_default(),
        // Neither a controller nor a block on the pod's deletion, which would take a right over pods' finalizers.
        ..OwnerReference::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &[u8])]) -> EnvRequest {
        let pair = |(name, value): &(&str, &[u8])| ((*name).to_owned(), ByteString(value.to_vec()));
        EnvRequest { env: pairs.iter().map(pair).collect() }
    }

    #[test]
    fn text_of_any_kind_is_taken() {
        check(&env(&[])).unwrap();
        check(&env(&[
            ("A", b""),
            ("with.dot", b"1"),
            ("db-user", b"1"),
            ("1A", b"1"),
            ("_B2", "line\n\"'$(A)`ü".as_bytes()),
            ("C", &vec![b'x'; 100_000]),
        ]))
        .unwrap();
    }

    #[test]
    fn what_no_process_could_be_given_is_refused() {
        let long = "N".repeat(MAX_NAME_BYTES + 1);
        let (half, big) = (vec![b'x'; MAX_ENV_BYTES / 2], vec![b'x'; MAX_ENV_BYTES / 2 - 1]);
        check(&env(&[("A", &half), ("B", &big[1..])])).unwrap();
        for (pairs, status, hint) in [
            (vec![("A=1\nB", &b"hunter2"[..])], 422, "no key of a Secret"),
            (vec![("", b"hunter2")], 422, "no key of a Secret"),
            (vec![("A B", b"hunter2")], 422, "no key of a Secret"),
            (vec![("Logging:Level", b"hunter2")], 422, "no key of a Secret"),
            (vec![("..a", b"hunter2")], 422, "no key of a Secret"),
            (vec![(&long, b"hunter2")], 422, "253 at most"),
            (vec![("A", b"hunter2\xff")], 422, "the value of A is no text"),
            (vec![("A", b"hunter2\0")], 422, "the value of A is no text"),
            (vec![("A", &half), ("B", &big)], 413, "1048576 at most"),
        ] {
            let denial = check(&env(&pairs)).unwrap_err();
            assert!(denial.status == status && denial.message.contains(hint), "{denial}");
            assert!(!denial.message.contains("hunter2"), "{denial}");
        }
    }

    #[test]
    fn the_secret_belongs_to_the_pod() {
        let pod = Pod {
            metadata: ObjectMeta {
                name: Some("load".to_owned()),
                uid: Some("u-1".to_owned()),
                ..ObjectMeta::default()
            },
            ..Pod::default()
        };
        let secret = serde_json::to_value(secret("bootlace-env-x", &pod, env(&[("A", b"1")]).env)).unwrap();
        let expected = serde_json::json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "immutable": true,
            "metadata": {
                "name": "bootlace-env-x", "labels": {"app.kubernetes.io/managed-by": "bootlace"},
                "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "load", "uid": "u-1"}],
            },
            "data": {"A": "MQ=="},
        });
        assert_eq!(secret, expected);
    }
}
