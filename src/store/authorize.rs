//! What a pod may request: what the webhook configured for it. Pure functions.
//!
//! The webhook writes the configuration into the env of the injected containers, which is immutable after the
//! pod is created, and signs it together with the namespace and the name of the pod
//! ([`bootlace_core::signature`]). A forged pod that looks the same may request nothing.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::api_error::ApiError;
use bootlace_core::code::Code;
use bootlace_core::names;
use bootlace_core::signature::{self, Invalid, Signature, SigningKeys, Specs};

/// The part of `plan::BootSpec` that the store needs. Only this part, so that a store of another version can
/// parse it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BootConfig {
    env_secret: Option<String>,
}

/// The configuration of the injected containers, which the webhook signed for this pod.
///
/// # Errors
/// Bootlace did not inject the pod, or the signature is invalid.
pub fn specs<'p>(pod: &'p Pod, namespace: &str, keys: &SigningKeys) -> Result<Specs<'p>, ApiError> {
    let annotation = names::ANNOTATION_INJECTED;
    if !pod.annotations().contains_key(annotation) {
        return Err(ApiError::new(
            Code::CallerNotInjected,
            format!("the pod has no annotation {annotation}: Bootlace did not inject it"),
        ));
    }
    let specs = Specs::of(|container, name| env(pod, container, name));
    let signature = env(pod, names::CONTAINER_BOOT, names::ENV_SIGNATURE).and_then(Signature::read);
    let Some(signature) = signature else {
        let created = pod.creation_timestamp().map_or(i64::MAX, |created| created.0.as_second());
        if keys.may_be_unsigned(created) {
            return Ok(specs);
        }
        return Err(ApiError::new(
            Code::CallerNotInjected,
            format!(
                "the pod has no signature (variable {} of container {:?}): recreate it from its own manifest, without the parts \
                 that Bootlace injected",
                names::ENV_SIGNATURE,
                names::CONTAINER_BOOT
            ),
        ));
    };
    let (name, prefix) = (pod.name_any(), pod.metadata.generate_name.as_deref());
    match signature::verify(keys, &signature, namespace, (&name, prefix), &specs) {
        Ok(()) => Ok(specs),
        Err(error @ Invalid::NewKey(_)) => Err(ApiError::new(
            Code::SigningKeyUnknown,
            format!("failed to verify the signature of the pod: {error}; retry"),
        )),
        Err(error) => Err(ApiError::new(
            Code::CallerNotInjected,
            format!(
                "the signature of the pod is invalid: {error}; recreate the pod from its own manifest, without the parts that \
                 Bootlace injected"
            ),
        )),
    }
}

/// The value of a variable of an init container.
fn env<'p>(pod: &'p Pod, container: &str, name: &str) -> Option<&'p str> {
    let containers = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
    let found = containers.into_iter().find(|found| found.name == container)?;
    found.env.iter().flatten().find(|env| env.name == name).and_then(|env| env.value.as_deref())
}

/// Parses the configuration of a container. It is signed, so if it is invalid, a webhook of another version
/// wrote it.
pub(super) fn parse<T: DeserializeOwned>(text: &str, container: &str) -> Result<T, ApiError> {
    serde_json::from_str(text).map_err(|_| {
        ApiError::new(
            Code::CallerConfigUnreadable,
            format!(
                "failed to parse the configuration of container {container:?}, which a webhook of another version wrote: \
                 retry when store and webhook have the same version"
            ),
        )
    })
}

/// The name of the Secret in which the pod may store its boot env.
///
/// # Errors
/// The configuration of boot names no Secret, or one with a name that Bootlace does not generate.
pub fn env_secret(pod: &Pod, specs: &Specs<'_>) -> Result<String, ApiError> {
    let config: BootConfig = parse(&specs.boot, names::CONTAINER_BOOT)?;
    let refuse = |message: String| Err(ApiError::new(Code::RequestNotAllowed, message));
    let Some(secret) = config.env_secret else {
        return refuse(
            "the configuration of boot names no Secret: the env mode of the pod is not Secret".to_owned(),
        );
    };
    if !names::is_env_secret(&secret) {
        return refuse(format!(
            "Secret {secret:?} in the configuration of boot is invalid: must be {:?} and {} hexadecimal digits",
            names::SECRET_ENV_PREFIX,
            names::SECRET_ENV_DIGITS
        ));
    }
    if !has_env_from(pod, &secret) {
        return refuse(format!("no container of the pod has Secret {secret:?} in envFrom"));
    }
    Ok(secret)
}

/// How often the boot container ran before; at least 1 if its status shows that it terminated.
#[must_use]
pub fn earlier_boots(pod: &Pod) -> u32 {
    let statuses = pod.status.as_ref().and_then(|status| status.init_container_statuses.as_ref());
    let boot = statuses.into_iter().flatten().find(|status| status.name == names::CONTAINER_BOOT);
    boot.map_or(0, |boot| {
        let restarts = u32::try_from(boot.restart_count).unwrap_or_default();
        restarts.max(u32::from(has_terminated(boot)))
    })
}

fn has_terminated(boot: &ContainerStatus) -> bool {
    let states = [boot.state.as_ref(), boot.last_state.as_ref()];
    states.into_iter().flatten().any(|state| state.terminated.is_some())
}

fn has_env_from(pod: &Pod, secret: &str) -> bool {
    let containers =
        pod.spec.iter().flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten()));
    let sources = containers.flat_map(|container| container.env_from.iter().flatten());
    sources.filter_map(|source| source.secret_ref.as_ref()).any(|reference| reference.name == secret)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const OURS: &str = "bootlace-env-0123456789abcdef0123456789abcdef";

    const NOW: u64 = 1_800_000_000;

    fn keys() -> SigningKeys {
        SigningKeys::read([(format!("key-{NOW}"), vec![7; 32])], NOW).unwrap()
    }

    /// A pod with a configuration of boot, and a container with `secret` in `envFrom`.
    fn pod(config: &Value, secret: &str) -> Value {
        json!({
            "metadata": {
                "name": "load", "namespace": "etl", "annotations": {names::ANNOTATION_INJECTED: "{}"},
                "creationTimestamp": "2027-06-01T00:00:00Z",
            },
            "spec": {
                "containers": [{"name": "main", "envFrom": [{"secretRef": {"name": secret}}]}],
                "initContainers": [
                    {"name": "bootlace-boot", "env": [{"name": "BOOTLACE_SPEC", "value": config.to_string()}]},
                ],
            },
        })
    }

    fn signed(mut pod: Value, namespace: &str) -> Value {
        let read: Pod = serde_json::from_value(pod.clone()).unwrap();
        let specs = Specs::of(|container, name| env(&read, container, name));
        let signature = signature::sign(&keys(), namespace, signature::PodName::Name("load"), &specs);
        let env = pod["spec"]["initContainers"][0]["env"].as_array_mut().unwrap();
        env.push(json!({"name": names::ENV_SIGNATURE, "value": signature}));
        pod
    }

    fn authorized_secret(pod: &Value) -> Result<String, ApiError> {
        let pod: Pod = serde_json::from_value(pod.clone()).unwrap();
        env_secret(&pod, &specs(&pod, "etl", &keys())?)
    }

    #[test]
    fn the_env_secret_in_the_signed_configuration_is_allowed() {
        let newer = json!({"envSecret": OURS, "unknown": {"field": true}});
        for config in [json!({"envSecret": OURS}), newer] {
            assert_eq!(authorized_secret(&signed(pod(&config, OURS), "etl")).unwrap(), OURS);
        }
    }

    #[test]
    fn unsigned_configurations_and_other_env_secrets_are_refused() {
        let other = "bootlace-env-ffffffffffffffffffffffffffffffff";
        let upper = OURS.to_uppercase();
        let good = || pod(&json!({"envSecret": OURS}), OURS);
        let change = |change: &dyn Fn(&mut Value)| {
            let mut pod = signed(good(), "etl");
            change(&mut pod);
            pod
        };
        let no_annotation = change(&|pod| pod["metadata"]["annotations"] = json!({}));
        let renamed = change(&|pod| pod["metadata"]["name"] = json!("load2"));
        let changed = change(&|pod| {
            pod["spec"]["initContainers"][0]["env"][0]["value"] =
                json!({"envSecret": other}).to_string().into();
        });
        for (pod, detail) in [
            (no_annotation, names::ANNOTATION_INJECTED),
            (good(), names::ENV_SIGNATURE),
            (signed(good(), "other"), "signature"),
            (renamed, "signature"),
            (changed, "signature"),
        ] {
            let error = authorized_secret(&pod).unwrap_err();
            assert!(error.status == 403 && error.code == Code::CallerNotInjected, "{error}");
            assert!(error.message.contains(detail), "{detail}: {error}");
        }
        let secret = |name: &str, used: &str| signed(pod(&json!({"envSecret": name}), used), "etl");
        for (pod, details) in [
            (signed(pod(&json!({}), OURS), "etl"), ["env mode", "Secret"]),
            (secret("db-login", "db-login"), ["\"db-login\"", names::SECRET_ENV_PREFIX]),
            (secret(&upper, OURS), [upper.as_str(), names::SECRET_ENV_PREFIX]),
            (secret(other, OURS), [other, "envFrom"]),
        ] {
            let error = authorized_secret(&pod).unwrap_err();
            assert!(error.status == 403 && error.code == Code::RequestNotAllowed, "{error}");
            assert!(details.iter().all(|detail| error.message.contains(detail)), "{details:?}: {error}");
        }
    }

    #[test]
    fn an_unsigned_pod_from_before_the_first_signing_key_is_accepted() {
        let mut before = pod(&json!({"envSecret": OURS}), OURS);
        before["metadata"]["creationTimestamp"] = json!("2026-06-01T00:00:00Z");
        assert_eq!(authorized_secret(&before).unwrap(), OURS);
    }

    #[test]
    fn what_a_newer_webhook_signed_can_be_retried() {
        let newer = signed(pod(&json!({"envSecret": {"name": OURS}}), OURS), "etl");
        let error = authorized_secret(&newer).unwrap_err();
        assert!(error.status == 503 && error.code == Code::CallerConfigUnreadable, "{error}");
        let mut new_key = signed(pod(&json!({"envSecret": OURS}), OURS), "etl");
        let signature = &mut new_key["spec"]["initContainers"][0]["env"][1]["value"];
        *signature = signature.as_str().unwrap().replace(&NOW.to_string(), &(NOW + 1).to_string()).into();
        let error = authorized_secret(&new_key).unwrap_err();
        assert!(error.status == 503 && error.code == Code::SigningKeyUnknown, "{error}");
        let signature = &mut new_key["spec"]["initContainers"][0]["env"][1]["value"];
        *signature =
            signature.as_str().unwrap().replace(&(NOW + 1).to_string(), &(NOW - 1).to_string()).into();
        let error = authorized_secret(&new_key).unwrap_err();
        assert!(error.status == 403 && error.code == Code::CallerNotInjected, "{error}");
    }

    #[test]
    fn an_earlier_boot_shows_in_the_pods_status() {
        let status = |boot: Value| -> Pod {
            let mut boot = boot;
            boot["name"] = json!("bootlace-boot");
            serde_json::from_value(json!({"status": {"initContainerStatuses": [boot]}})).unwrap()
        };
        assert_eq!(earlier_boots(&Pod::default()), 0);
        assert_eq!(earlier_boots(&status(json!({"restartCount": 0, "state": {"running": {}}}))), 0);
        assert_eq!(earlier_boots(&status(json!({"restartCount": 3, "state": {"running": {}}}))), 3);
        let ended = json!({"terminated": {"exitCode": 1}});
        assert_eq!(earlier_boots(&status(json!({"restartCount": 0, "state": ended}))), 1);
        assert_eq!(earlier_boots(&status(json!({"restartCount": 0, "lastState": ended}))), 1);
    }
}
