//! What outputs a pod may have stored, and which it may ask about: those that its own spec declares. Pure.
//!
//! The webhook writes them into the env of the sidecar and of the container that waits, which nobody can change once the pod
//! is there.

use k8s_openapi::api::core::v1::Pod;
use serde::de::DeserializeOwned;

use crate::input::{Awaits, WaitSpec};
use crate::names;
use crate::output::{Declared, Kind, PipeSpec};
use crate::store::denial::Denial;
use crate::store::grant;

/// What the pod's sidecar was told.
///
/// # Errors
/// Where Bootlace did not inject the pod, or gave it no sidecar.
pub fn spec(pod: &Pod) -> Result<PipeSpec<'static>, Denial> {
    told(pod, names::CONTAINER_PIPE, names::ENV_PIPES, "so its tasks declare no outputs")
}

/// What the pod waits for under the name `object`.
///
/// # Errors
/// Where Bootlace did not inject the pod, or had it wait for nothing of that name.
pub fn awaits(pod: &Pod, object: &str) -> Result<Awaits, Denial> {
    let told: WaitSpec<'_> = told(pod, names::CONTAINER_WAIT, names::ENV_WAIT, "so it waits for nothing")?;
    told.awaits.iter().find(|awaits| awaits.object == object).cloned().ok_or_else(|| {
        let shown: String = object.chars().take(253).collect();
        Denial::forbidden(format!(
            "the pod does not wait for {shown:?}: what it waits for stands in the annotation {} when it is created",
            names::ANNOTATION_PIPE_IN
        ))
    })
}

/// What an init container of the pod was told in its env; `without` says what it means that there is no such container.
fn told<T: DeserializeOwned>(pod: &Pod, container: &str, name: &str, without: &str) -> Result<T, Denial> {
    grant::injected(pod)?;
    let containers = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
    let found = containers
        .into_iter()
        .find(|found| found.name == container)
        .ok_or_else(|| Denial::forbidden(format!("the pod has no container {container}, {without}")))?;
    let told = found.env.iter().flatten().find(|env| env.name == name).and_then(|env| env.value.as_deref());
    serde_json::from_str(told.unwrap_or_default()).map_err(|_| {
        Denial::forbidden(format!(
            "the env {name} of the pod's container {container} cannot be read: the webhook of this store's own version \
             writes it"
        ))
    })
}

/// Checks that the pod declares an output under `key` at all.
///
/// # Errors
/// Where it does not.
pub fn key(spec: &PipeSpec<'_>, key: &str) -> Result<(), Denial> {
    if spec.outputs.iter().any(|declared| declared.key == key) {
        return Ok(());
    }
    let shown: String = key.chars().take(253).collect();
    Err(Denial::forbidden(format!(
        "the pod declares no output {shown:?}: declare it in the annotation {} or in the profile",
        names::ANNOTATION_PIPE_OUT
    )))
}

/// The declaration of exactly this output.
///
/// # Errors
/// Where another container declares it, or as another kind.
pub fn output<'s>(
    spec: &'s PipeSpec<'_>,
    key: &str,
    container: &str,
    kind: Kind,
) -> Result<&'s Declared, Denial> {
    let of_key = || spec.outputs.iter().filter(|declared| declared.key == key);
    let shown: String = container.chars().take(63).collect();
    let Some(declared) = of_key().find(|declared| declared.container == container) else {
        return Err(Denial::forbidden(format!(
            "output {key} is not container {shown:?}'s to hand over: another one declares it"
        )));
    };
    if declared.kind != kind {
        let (asked, declared) = (kind.as_str(), declared.kind.as_str());
        return Err(Denial::forbidden(format!(
            "output {key} is declared as a {declared}, and not as a {asked}"
        )));
    }
    Ok(declared)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn told() -> Value {
        json!({
            "task": {"scheduler": "airflow", "workflow": "etl", "run": "r1", "task": "load"},
            "profile": {"name": "default", "generation": 1},
            "store": {"url": "https://bootlace-store.bootlace.svc", "ca": ""},
            "outputs": [
                {"key": "Cert", "kind": "Secret", "container": "base"},
                {"key": "Log", "kind": "ConfigMap", "container": "other", "optional": true},
            ],
            "timeToLiveSeconds": 3600, "deadlineSeconds": 60, "graceSeconds": 20,
        })
    }

    fn pod(annotation: bool, container: &str, env: &Value) -> Pod {
        let mark = json!({"profile": "default"}).to_string();
        let annotations = if annotation { json!({"bootlace.dev/injected": mark}) } else { json!({}) };
        let sidecar = json!({"name": container, "restartPolicy": "Always", "env": [env]});
        let spec = json!({"containers": [], "initContainers": [sidecar]});
        serde_json::from_value(json!({"metadata": {"annotations": annotations}, "spec": spec})).unwrap()
    }

    fn env(value: &Value) -> Value {
        json!({"name": "BOOTLACE_PIPES", "value": value.to_string()})
    }

    #[test]
    fn what_the_sidecar_was_told_is_granted() {
        let spec = spec(&pod(true, "bootlace-pipe", &env(&told()))).unwrap();
        assert_eq!(spec.task.run.as_deref(), Some("r1"));
        key(&spec, "Cert").unwrap();
        assert!(output(&spec, "Log", "other", Kind::ConfigMap).unwrap().optional);
    }

    #[test]
    fn a_pod_may_ask_about_what_it_waits_for_and_nothing_else() {
        let from = json!({"scheduler": "airflow", "workflow": "etl", "run": "r1", "task": "load"});
        let awaits = Awaits::new("Cert", Kind::Secret, serde_json::from_value(from).unwrap(), 60);
        let told = json!({
            "profile": {"name": "default", "generation": 1},
            "store": {"url": "https://bootlace-store.bootlace.svc", "ca": ""}, "awaits": [awaits],
        });
        let waiting = |container: &str, told: &Value| {
            pod(true, container, &json!({"name": "BOOTLACE_WAIT", "value": told.to_string()}))
        };
        let waits = waiting("bootlace-wait", &told);
        assert_eq!(super::awaits(&waits, &awaits.object).unwrap(), awaits);
        let mut newer = told.clone();
        newer["awaits"][0]["encrypted"] = json!(true);
        for (pod, object, hint) in [
            (&waits, "db-login", "does not wait for \"db-login\""),
            (&waiting("bootlace-wait", &newer), &awaits.object, "cannot be read"),
            (
                &waiting("bootlace-look", &told),
                &awaits.object,
                "has no container bootlace-wait, so it waits for",
            ),
            (&pod(false, "bootlace-wait", &json!({})), &awaits.object, "carries no annotation"),
        ] {
            let denial = super::awaits(pod, object).unwrap_err();
            assert!(denial.status == 403 && denial.message.contains(hint), "{denial}");
        }
    }

    #[test]
    fn all_else_is_refused() {
        let mut newer = told();
        newer["encrypt"] = json!(true);
        for (pod, hint) in [
            (pod(false, "bootlace-pipe", &env(&told())), "carries no annotation"),
            (pod(true, "mine", &env(&told())), "has no container bootlace-pipe"),
            (pod(true, "bootlace-pipe", &json!({"name": "PATH", "value": "/"})), "cannot be read"),
            (pod(true, "bootlace-pipe", &env(&newer)), "cannot be read"),
            // From a ConfigMap that can be changed later.
            (
                pod(true, "bootlace-pipe", &json!({"name": "BOOTLACE_PIPES", "valueFrom": {}})),
                "cannot be read",
            ),
        ] {
            let denial = spec(&pod).unwrap_err();
            assert!(denial.status == 403 && denial.message.contains(hint), "{denial}");
        }
        let spec = spec(&pod(true, "bootlace-pipe", &env(&told()))).unwrap();
        for (denial, hint) in [
            (key(&spec, "cert").unwrap_err(), "declares no output \"cert\""),
            (key(&spec, "../Cert").unwrap_err(), "declares no output"),
            (output(&spec, "Cert", "other", Kind::Secret).unwrap_err(), "not container \"other\"'s"),
            (output(&spec, "Cert", "base", Kind::ConfigMap).unwrap_err(), "declared as a Secret, and not as"),
        ] {
            assert!(denial.status == 403 && denial.message.contains(hint), "{denial}");
        }
    }
}
