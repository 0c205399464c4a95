//! The Secret with the boot env of a pod. Pure functions.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ObjectMeta;

use super::api_error::ApiError;
use crate::store_client::protocol::{EnvRequest, MAX_ENV_BYTES, MAX_NAME_BYTES, is_env_key};
use bootlace_core::code::Code;
use bootlace_core::names;

/// Validates an env. Boot has validated it already, with messages that name the source; this check is for
/// other clients.
///
/// # Errors
/// The kubelet could not pass the env to a process, or a Secret cannot contain it.
pub fn check(env: &EnvRequest) -> Result<(), ApiError> {
    for (name, value) in &env.env {
        let shown: String = name.chars().take(MAX_NAME_BYTES).collect();
        if !is_env_key(name) {
            return Err(ApiError::new(
                Code::ObjectContentInvalid,
                format!(
                    "variable {shown:?} is invalid: a key of a Secret must consist of at most {MAX_NAME_BYTES} letters, \
                     digits, `-`, `_` and `.`, and must not start with `..`"
                ),
            ));
        }
        if str::from_utf8(&value.0).is_err() || value.0.contains(&0) {
            return Err(ApiError::new(
                Code::ObjectContentInvalid,
                format!(
                    "the value of variable {shown:?} is invalid: must be UTF-8 text without NUL, because the kubelet cannot \
                     pass anything else from a Secret to a process"
                ),
            ));
        }
    }
    let bytes = size(env);
    if bytes > MAX_ENV_BYTES {
        return Err(ApiError::new(
            Code::ContentTooLarge,
            format!(
                "the env has {bytes} bytes, including names, and the limit of a Secret is {MAX_ENV_BYTES}: use files for \
                 large values"
            ),
        ));
    }
    Ok(())
}

/// The size of an env in bytes, as the API server counts it.
#[must_use]
pub fn size(env: &EnvRequest) -> usize {
    env.env.iter().map(|(name, value)| name.len() + value.0.len()).sum()
}

/// The Secret, which is immutable and is deleted with the pod.
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
        // Not a controller, and not blocking the deletion of the pod, which would need a permission for
        // finalizers of pods.
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
    fn any_text_is_accepted() {
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
    fn what_the_kubelet_cannot_pass_to_a_process_is_refused() {
        let long = "N".repeat(MAX_NAME_BYTES + 1);
        let (half, big) = (vec![b'x'; MAX_ENV_BYTES / 2], vec![b'x'; MAX_ENV_BYTES / 2 - 1]);
        check(&env(&[("A", &half), ("B", &big[1..])])).unwrap();
        for (pairs, code, detail) in [
            (vec![("A=1\nB", &b"hunter2"[..])], Code::ObjectContentInvalid, r#""A=1\nB""#),
            (vec![("", b"hunter2")], Code::ObjectContentInvalid, r#""""#),
            (vec![("A B", b"hunter2")], Code::ObjectContentInvalid, r#""A B""#),
            (vec![("Logging:Level", b"hunter2")], Code::ObjectContentInvalid, r#""Logging:Level""#),
            (vec![("..a", b"hunter2")], Code::ObjectContentInvalid, r#""..a""#),
            (vec![(&long, b"hunter2")], Code::ObjectContentInvalid, "253"),
            (vec![("A", b"hunter2\xff")], Code::ObjectContentInvalid, r#"variable "A""#),
            (vec![("A", b"hunter2\0")], Code::ObjectContentInvalid, r#"variable "A""#),
            (vec![("A", &half), ("B", &big)], Code::ContentTooLarge, "1048577"),
        ] {
            let error = check(&env(&pairs)).unwrap_err();
            assert!(error.code == code && error.message.contains(detail), "{error}");
            assert!(!error.message.contains("hunter2"), "{error}");
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
