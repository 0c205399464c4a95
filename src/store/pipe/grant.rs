//! What outputs a pod may have stored: those that its own spec declares. Pure.
//!
//! The webhook writes them into the env of the sidecar, which nobody can change once the pod is there.

use k8s_openapi::api::core::v1::Pod;

use crate::names;
use crate::output::{Declared, Kind, PipeSpec};
use crate::store::denial::Denial;
use crate::store::grant;

/// What the pod's sidecar was told.
///
/// # Errors
/// Where Bootlace did not inject the pod, or gave it no sidecar.
pub fn spec(pod: &Pod) -> Result<PipeSpec<'static>, Denial> {
    grant::injected(pod)?;
    let (container, name) = (names::CONTAINER_PIPE, names::ENV_PIPES);
    let containers = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
    let sidecar = containers.into_iter().find(|found| found.name == container).ok_or_else(|| {
        Denial::forbidden(format!("the pod has no container {container}, so its tasks declare no outputs"))
    })?;
    let told = sidecar.env.iter().flatten().find(|env| env.name == name).and_then(|env| env.value.as_deref());
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
