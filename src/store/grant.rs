//! What a pod may ask for: what its injection names, in its annotation and in its spec. Pure.
//!
//! The annotation alone would not do, because whoever may patch pods can change it later. The spec cannot change, so the
//! name of a Secret counts only where a container takes its env from it.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use serde::Deserialize;

use super::denial::Denial;
use crate::names;

/// What counts here of `plan::Injected`. Not all of it, so that a store that is older than the webhook, as it is for a
/// moment while both are upgraded, grants what it knows.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Injected {
    env_secret: Option<String>,
}

/// The name of the Secret that the pod may have made of its boot env.
///
/// # Errors
/// Where its injection names none, or one that Bootlace would not have named.
pub fn env_secret(pod: &Pod) -> Result<String, Denial> {
    let annotation = names::ANNOTATION_INJECTED;
    let injected = injected(pod)?;
    let Some(secret) = injected.env_secret else {
        return Err(Denial::forbidden(format!(
            "the pod's annotation {annotation} names no Secret: its env takes another way"
        )));
    };
    if !names::is_env_secret(&secret) {
        return Err(Denial::forbidden(format!(
            "the pod's annotation {annotation} names Secret {secret:?}, and the store creates only such as Bootlace \
             itself names: {}, then {} hexadecimal digits",
            names::SECRET_ENV_PREFIX,
            names::SECRET_ENV_DIGITS
        )));
    }
    if !takes_env_from(pod, &secret) {
        return Err(Denial::forbidden(format!("no container of the pod takes its env from Secret {secret}")));
    }
    Ok(secret)
}

/// Checks that the pod may report how its boot went.
///
/// # Errors
/// Where Bootlace did not inject it.
pub fn events(pod: &Pod) -> Result<(), Denial> {
    injected(pod).map(drop)
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

pub(super) fn injected(pod: &Pod) -> Result<Injected, Denial> {
    let annotation = names::ANNOTATION_INJECTED;
    let value = pod.metadata.annotations.as_ref().and_then(|annotations| annotations.get(annotation));
    let value = value.ok_or_else(|| {
        Denial::forbidden(format!(
            "the pod carries no annotation {annotation}, so Bootlace did not inject it, and it may ask for nothing"
        ))
    })?;
    serde_json::from_str(value).map_err(|_| {
        Denial::forbidden(format!(
            "the pod's annotation {annotation} cannot be read, so Bootlace did not write it"
        ))
    })
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

    fn pod(annotation: Option<&Value>, secret: &str) -> Pod {
        let annotations = annotation.map(|value| json!({names::ANNOTATION_INJECTED: value.to_string()}));
        let container = json!({"name": "main", "envFrom": [{"secretRef": {"name": secret}}]});
        serde_json::from_value(
            json!({"metadata": {"annotations": annotations}, "spec": {"containers": [container]}}),
        )
        .unwrap()
    }

    fn mark(secret: Option<&str>) -> Value {
        let mut mark = json!({
            "profile": "default", "generation": 1, "version": "0", "containers": ["main"], "envMode": "secret",
        });
        if let Some(secret) = secret {
            mark["envSecret"] = json!(secret);
        }
        mark
    }

    #[test]
    fn what_annotation_and_spec_name_is_granted() {
        assert_eq!(env_secret(&pod(Some(&mark(Some(OURS))), OURS)).unwrap(), OURS);
    }

    #[test]
    fn all_else_is_refused() {
        let other = "bootlace-env-ffffffffffffffffffffffffffffffff";
        let upper = OURS.to_uppercase();
        for (annotation, named, hint) in [
            (None, OURS, "carries no annotation"),
            (Some(json!("x")), OURS, "cannot be read"),
            (Some(json!({"envSecret": 1})), OURS, "cannot be read"),
            (Some(mark(None)), OURS, "names no Secret"),
            (Some(mark(Some("db-login"))), "db-login", "creates only such as Bootlace itself names"),
            (Some(mark(Some(&upper))), OURS, "creates only such as Bootlace itself names"),
            (Some(mark(Some(other))), OURS, "no container of the pod takes its env from"),
        ] {
            let pod = pod(annotation.as_ref(), named);
            let denial = env_secret(&pod).unwrap_err();
            assert!(denial.status == 403 && denial.message.contains(hint), "{denial}");
        }
        events(&pod(None, OURS)).unwrap_err();
        events(&pod(Some(&mark(None)), OURS)).unwrap();
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
