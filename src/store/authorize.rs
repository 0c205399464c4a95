//! What a pod may ask for: what the webhook gave it. Pure.
//!
//! The webhook writes that into the env of the injected containers, which nobody can change once the pod is there, and signs
//! it together with the pod's namespace and name ([`bootlace_core::signature`]): a pod that somebody made alike is granted nothing.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::api_error::ApiError;
use bootlace_core::names;
use bootlace_core::signature::{self, Invalid, Keys, Signature, Specs};

/// What counts here of `plan::BootSpec`. Not all of it, so that a store of another version grants what it knows.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfBoot {
    env_secret: Option<String>,
}

/// What the pod's injected containers are told, which the webhook signed for this pod.
///
/// # Errors
/// Where Bootlace did not inject the pod, or the signature does not hold.
pub fn specs<'p>(pod: &'p Pod, namespace: &str, keys: &Keys) -> Result<Specs<'p>, ApiError> {
    let annotation = names::ANNOTATION_INJECTED;
    if !pod.annotations().contains_key(annotation) {
        return Err(ApiError::forbidden(format!(
            "the pod carries no annotation {annotation}, so Bootlace did not inject it, and it may ask for nothing"
        )));
    }
    let specs = Specs::of(|container, name| env(pod, container, name));
    let signature = env(pod, names::CONTAINER_BOOT, names::ENV_SIGNATURE).and_then(Signature::read);
    let Some(signature) = signature else {
        let created = pod.creation_timestamp().map_or(i64::MAX, |created| created.0.as_second());
        if keys.may_be_unsigned(created) {
            return Ok(specs);
        }
        return Err(ApiError::forbidden(format!(
            "the pod carries no signature ({} of its container {}), so it was not admitted by Bootlace's webhook, and it may \
             ask for nothing: create it without what Bootlace injected",
            names::ENV_SIGNATURE,
            names::CONTAINER_BOOT
        )));
    };
    let (name, prefix) = (pod.name_any(), pod.metadata.generate_name.as_deref());
    match signature::verify(keys, &signature, namespace, (&name, prefix), &specs) {
        Ok(()) => Ok(specs),
        Err(error @ Invalid::NewKey(_)) => Err(ApiError::unavailable(format!(
            "the pod's signature cannot be verified, as {error}: try again"
        ))),
        Err(error) => Err(ApiError::forbidden(format!(
            "the pod's signature does not hold, as {error}: create the pod without what Bootlace injected"
        ))),
    }
}

/// The value of a variable of an init container.
fn env<'p>(pod: &'p Pod, container: &str, name: &str) -> Option<&'p str> {
    let containers = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
    let found = containers.into_iter().find(|found| found.name == container)?;
    found.env.iter().flatten().find(|env| env.name == name).and_then(|env| env.value.as_deref())
}

/// Reads one of the specs. It is signed, so what cannot be read was written by a webhook of another version.
pub(super) fn read<T: DeserializeOwned>(text: &str, container: &str) -> Result<T, ApiError> {
    serde_json::from_str(text).map_err(|_| {
        ApiError::unavailable(format!(
            "this store cannot read what the pod's container {container} is told, which a webhook of another version \
             wrote: try again once both are of one version"
        ))
    })
}

/// The name of the Secret that the pod may have made of its boot env.
///
/// # Errors
/// Where its boot spec names none, or one that Bootlace would not have named.
pub fn env_secret(pod: &Pod, specs: &Specs<'_>) -> Result<String, ApiError> {
    let spec: OfBoot = read(&specs.boot, names::CONTAINER_BOOT)?;
    let Some(secret) = spec.env_secret else {
        return Err(ApiError::forbidden(
            "the pod's boot is told of no Secret: its env is delivered in another way",
        ));
    };
    if !names::is_env_secret(&secret) {
        return Err(ApiError::forbidden(format!(
            "the pod's boot is told of Secret {secret:?}, and the store creates only such as Bootlace itself names: {}, then \
             {} hexadecimal digits",
            names::SECRET_ENV_PREFIX,
            names::SECRET_ENV_DIGITS
        )));
    }
    if !takes_env_from(pod, &secret) {
        return Err(ApiError::forbidden(format!(
            "no container of the pod takes its env from Secret {secret}"
        )));
    }
    Ok(secret)
}

/// How often the boot container has run before; at least 1 where its status tells of an earlier end.
#[must_use]
pub fn earlier_boots(pod: &Pod) -> u32 {
    let statuses = pod.status.as_ref().and_then(|status| status.init_container_statuses.as_ref());
    let boot = statuses.into_iter().flatten().find(|status| status.name == names::CONTAINER_BOOT);
    boot.map_or(0, |boot| {
        let restarts = u32::try_from(boot.restart_count).unwrap_or_default();
        restarts.max(u32::from(has_ended(boot)))
    })
}

fn has_ended(boot: &ContainerStatus) -> bool {
    let states = [boot.state.as_ref(), boot.last_state.as_ref()];
    states.into_iter().flatten().any(|state| state.terminated.is_some())
}

fn takes_env_from(pod: &Pod, secret: &str) -> bool {
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

    fn keys() -> Keys {
        Keys::read([(format!("key-{NOW}"), vec![7; 32])], NOW).unwrap()
    }

    /// A pod whose boot is told of a Secret, and which takes its env from one.
    fn pod(told: &Value, named: &str) -> Value {
        json!({
            "metadata": {
                "name": "load", "namespace": "etl", "annotations": {names::ANNOTATION_INJECTED: "{}"},
                "creationTimestamp": "2027-06-01T00:00:00Z",
            },
            "spec": {
                "containers": [{"name": "main", "envFrom": [{"secretRef": {"name": named}}]}],
                "initContainers": [
                    {"name": "bootlace-boot", "env": [{"name": "BOOTLACE_SPEC", "value": told.to_string()}]},
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

    fn granted(pod: &Value) -> Result<String, ApiError> {
        let pod: Pod = serde_json::from_value(pod.clone()).unwrap();
        env_secret(&pod, &specs(&pod, "etl", &keys())?)
    }

    #[test]
    fn what_is_signed_for_the_pod_is_granted() {
        let newer = json!({"envSecret": OURS, "unknown": {"field": true}});
        for told in [json!({"envSecret": OURS}), newer] {
            assert_eq!(granted(&signed(pod(&told, OURS), "etl")).unwrap(), OURS);
        }
    }

    #[test]
    fn all_else_is_refused() {
        let other = "bootlace-env-ffffffffffffffffffffffffffffffff";
        let upper = OURS.to_uppercase();
        let good = || pod(&json!({"envSecret": OURS}), OURS);
        let change = |change: &dyn Fn(&mut Value)| {
            let mut pod = signed(good(), "etl");
            change(&mut pod);
            pod
        };
        for (pod, hint) in [
            (change(&|pod| pod["metadata"]["annotations"] = json!({})), "carries no annotation"),
            (good(), "carries no signature"),
            (signed(good(), "other"), "does not hold"),
            (change(&|pod| pod["metadata"]["name"] = json!("load2")), "does not hold"),
            (
                change(&|pod| {
                    pod["spec"]["initContainers"][0]["env"][0]["value"] =
                        json!({"envSecret": other}).to_string().into();
                }),
                "does not hold",
            ),
            (signed(pod(&json!({}), OURS), "etl"), "is told of no Secret"),
            (
                signed(pod(&json!({"envSecret": "db-login"}), "db-login"), "etl"),
                "only such as Bootlace itself names",
            ),
            (signed(pod(&json!({"envSecret": upper}), OURS), "etl"), "only such as Bootlace itself names"),
            (
                signed(pod(&json!({"envSecret": other}), OURS), "etl"),
                "no container of the pod takes its env from",
            ),
        ] {
            let denial = granted(&pod).unwrap_err();
            assert!(denial.status == 403 && denial.message.contains(hint), "{denial}");
        }
    }

    #[test]
    fn a_pod_of_before_all_were_signed_is_taken_as_it_is() {
        let mut before = pod(&json!({"envSecret": OURS}), OURS);
        before["metadata"]["creationTimestamp"] = json!("2026-06-01T00:00:00Z");
        assert_eq!(granted(&before).unwrap(), OURS);
    }

    #[test]
    fn what_a_newer_webhook_signed_is_asked_for_again() {
        let newer = signed(pod(&json!({"envSecret": {"name": OURS}}), OURS), "etl");
        let denial = granted(&newer).unwrap_err();
        assert!(denial.status == 503 && denial.message.contains("of another version"), "{denial}");
        let mut of_new_key = signed(pod(&json!({"envSecret": OURS}), OURS), "etl");
        let signature = &mut of_new_key["spec"]["initContainers"][0]["env"][1]["value"];
        *signature = signature.as_str().unwrap().replace(&NOW.to_string(), &(NOW + 1).to_string()).into();
        let denial = granted(&of_new_key).unwrap_err();
        assert!(denial.status == 503 && denial.message.contains("is not known yet"), "{denial}");
        let signature = &mut of_new_key["spec"]["initContainers"][0]["env"][1]["value"];
        *signature =
            signature.as_str().unwrap().replace(&(NOW + 1).to_string(), &(NOW - 1).to_string()).into();
        let denial = granted(&of_new_key).unwrap_err();
        assert!(denial.status == 403 && denial.message.contains("is not in use"), "{denial}");
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
