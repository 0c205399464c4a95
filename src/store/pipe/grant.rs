//! What outputs a pod may have stored, and which it may ask about: those that its own spec declares. Pure.
//!
//! The webhook writes them into the env of the sidecar and of the container that waits, and signs them
//! ([`crate::store::authorize::specs`]).

use crate::store::api_error::ApiError;
use crate::store::authorize;
use bootlace_core::input::{AwaitedOutput, WaitSpec};
use bootlace_core::names;
use bootlace_core::output::{DeclaredOutput, ObjectKind, SidecarConfig};
use bootlace_core::signature::Specs;

/// What the pod's sidecar was told.
///
/// # Errors
/// Where the pod has no sidecar, or it is of a version that this store cannot read.
pub fn spec(specs: &Specs<'_>) -> Result<SidecarConfig<'static>, ApiError> {
    if specs.pipes.is_empty() {
        let sidecar = names::CONTAINER_PIPE;
        return Err(ApiError::forbidden(format!(
            "the pod has no container {sidecar} that is told of outputs, so its tasks declare none"
        )));
    }
    authorize::read(&specs.pipes, names::CONTAINER_PIPE)
}

/// What the pod waits for under the name `object`.
///
/// # Errors
/// Where the pod waits for nothing of that name, or it is of a version that this store cannot read.
pub fn awaits(specs: &Specs<'_>, object: &str) -> Result<AwaitedOutput, ApiError> {
    if specs.wait.is_empty() {
        let wait = names::CONTAINER_WAIT;
        return Err(ApiError::forbidden(format!("the pod has no container {wait}, so it waits for nothing")));
    }
    let told: WaitSpec<'_> = authorize::read(&specs.wait, names::CONTAINER_WAIT)?;
    told.awaits.iter().find(|awaits| awaits.object == object).cloned().ok_or_else(|| {
        let shown: String = object.chars().take(253).collect();
        ApiError::forbidden(format!(
            "the pod does not wait for {shown:?}: what it waits for stands in the annotation {} when it is created",
            names::ANNOTATION_PIPE_IN
        ))
    })
}

/// Checks that the pod declares an output under `key` at all.
///
/// # Errors
/// Where it does not.
pub fn key(spec: &SidecarConfig<'_>, key: &str) -> Result<(), ApiError> {
    if spec.outputs.iter().any(|declared| declared.key == key) {
        return Ok(());
    }
    let shown: String = key.chars().take(253).collect();
    Err(ApiError::forbidden(format!(
        "the pod declares no output {shown:?}: declare it in the annotation {} or in the profile",
        names::ANNOTATION_PIPE_OUT
    )))
}

/// The declaration of exactly this output.
///
/// # Errors
/// Where another container declares it, or as another kind.
pub fn output<'s>(
    spec: &'s SidecarConfig<'_>,
    key: &str,
    container: &str,
    kind: ObjectKind,
) -> Result<&'s DeclaredOutput, ApiError> {
    let of_key = || spec.outputs.iter().filter(|declared| declared.key == key);
    let shown: String = container.chars().take(63).collect();
    let Some(declared) = of_key().find(|declared| declared.container == container) else {
        return Err(ApiError::forbidden(format!(
            "output {key} is not container {shown:?}'s to hand over: another one declares it"
        )));
    };
    if declared.kind != kind {
        let (asked, declared) = (kind.as_str(), declared.kind.as_str());
        return Err(ApiError::forbidden(format!(
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

    fn specs(pipes: &Value, wait: &Value) -> Specs<'static> {
        let text = |value: &Value| if value.is_null() { String::new() } else { value.to_string() };
        Specs { boot: "{}".into(), pipes: text(pipes).into(), wait: text(wait).into() }
    }

    #[test]
    fn what_the_sidecar_was_told_is_granted() {
        let mut newer = told();
        newer["encrypt"] = json!(true);
        newer["outputs"][0]["unknown"] = json!(1);
        newer["task"]["unknown"] = json!(1);
        newer["quota"] = json!({"perRun": 3, "unknown": 1});
        assert_eq!(spec(&specs(&newer, &json!(null))).unwrap().quota.per_run, Some(3));
        let spec = spec(&specs(&told(), &json!(null))).unwrap();
        assert_eq!(spec.task.run.as_deref(), Some("r1"));
        key(&spec, "Cert").unwrap();
        assert!(output(&spec, "Log", "other", ObjectKind::ConfigMap).unwrap().optional);
    }

    #[test]
    fn a_pod_may_ask_about_what_it_waits_for_and_nothing_else() {
        let from = json!({"scheduler": "airflow", "workflow": "etl", "run": "r1", "task": "load"});
        let awaits =
            AwaitedOutput::new("Cert", ObjectKind::Secret, serde_json::from_value(from).unwrap(), 60);
        let told = json!({
            "profile": {"name": "default", "generation": 1},
            "store": {"url": "https://bootlace-store.bootlace.svc", "ca": ""}, "awaits": [awaits],
        });
        let waits = specs(&json!(null), &told);
        assert_eq!(super::awaits(&waits, &awaits.object).unwrap(), awaits);
        let mut newer = told.clone();
        newer["awaits"][0]["encrypted"] = json!(true);
        assert_eq!(super::awaits(&specs(&json!(null), &newer), &awaits.object).unwrap(), awaits);
        let mut other = told.clone();
        other["awaits"][0]["kind"] = json!("Volume");
        for (specs, object, status, hint) in [
            (&waits, "db-login", 403, "does not wait for \"db-login\""),
            (&specs(&json!(null), &other), &awaits.object, 503, "of another version"),
            (
                &specs(&json!(null), &json!(null)),
                &awaits.object,
                403,
                "has no container bootlace-wait, so it waits for",
            ),
        ] {
            let denial = super::awaits(specs, object).unwrap_err();
            assert!(denial.status == status && denial.message.contains(hint), "{denial}");
        }
    }

    #[test]
    fn all_else_is_refused() {
        let denial = spec(&specs(&json!(null), &json!(null))).unwrap_err();
        assert!(
            denial.status == 403 && denial.message.contains("has no container bootlace-pipe"),
            "{denial}"
        );
        let mut other = told();
        other["outputs"][0]["kind"] = json!("Volume");
        let denial = spec(&specs(&other, &json!(null))).unwrap_err();
        assert!(denial.status == 503 && denial.message.contains("of another version"), "{denial}");
        let spec = spec(&specs(&told(), &json!(null))).unwrap();
        for (denial, hint) in [
            (key(&spec, "cert").unwrap_err(), "declares no output \"cert\""),
            (key(&spec, "../Cert").unwrap_err(), "declares no output"),
            (output(&spec, "Cert", "other", ObjectKind::Secret).unwrap_err(), "not container \"other\"'s"),
            (
                output(&spec, "Cert", "base", ObjectKind::ConfigMap).unwrap_err(),
                "declared as a Secret, and not as",
            ),
        ] {
            assert!(denial.status == 403 && denial.message.contains(hint), "{denial}");
        }
    }
}
