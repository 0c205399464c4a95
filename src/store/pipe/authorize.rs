//! Which outputs a pod may store, and which it may query: those in its configuration. Pure functions.
//!
//! The webhook writes them into the env of the sidecar and of the containers that wait, and signs them
//! ([`crate::store::authorize::specs`]).

use crate::store::api_error::ApiError;
use crate::store::authorize;
use bootlace_core::code::Code;
use bootlace_core::input::{AwaitedOutput, WaitSpec};
use bootlace_core::names;
use bootlace_core::output::{DeclaredOutput, ObjectKind, SidecarConfig};
use bootlace_core::signature::Specs;

/// The configuration of the sidecar.
///
/// # Errors
/// The pod has no sidecar, or this store cannot parse the version of its configuration.
pub fn sidecar_config(specs: &Specs<'_>) -> Result<SidecarConfig<'static>, ApiError> {
    if specs.pipes.is_empty() {
        return Err(not_allowed(format!(
            "the pod declares no outputs: container {:?} does not exist or has no configuration",
            names::CONTAINER_PIPE
        )));
    }
    authorize::parse(&specs.pipes, names::CONTAINER_PIPE)
}

/// The output that the pod waits for under the name `object`.
///
/// # Errors
/// The pod does not wait for this name, or this store cannot parse the version of its configuration.
pub fn awaited_output(specs: &Specs<'_>, object: &str) -> Result<AwaitedOutput, ApiError> {
    if specs.wait.is_empty() {
        return Err(not_allowed(format!(
            "the pod does not wait for outputs: container {:?} does not exist or has no configuration",
            names::CONTAINER_WAIT
        )));
    }
    let config: WaitSpec<'_> = authorize::parse(&specs.wait, names::CONTAINER_WAIT)?;
    config.awaits.iter().find(|awaits| awaits.object == object).cloned().ok_or_else(|| {
        let shown: String = object.chars().take(253).collect();
        not_allowed(format!(
            "the pod does not wait for {shown:?}: add the input to the annotation {} before the pod is created",
            names::ANNOTATION_PIPE_IN
        ))
    })
}

/// Checks that the pod declares an output with this key.
///
/// # Errors
/// No container declares it.
pub fn check_key(config: &SidecarConfig<'_>, key: &str) -> Result<(), ApiError> {
    if config.outputs.iter().any(|declared| declared.key == key) {
        return Ok(());
    }
    let shown: String = key.chars().take(253).collect();
    Err(not_allowed(format!(
        "the pod declares no output {shown:?}: declare it in the annotation {} or in the profile",
        names::ANNOTATION_PIPE_OUT
    )))
}

/// The declaration of an output.
///
/// # Errors
/// The container does not declare it, or declares another kind.
pub fn declared_output<'s>(
    config: &'s SidecarConfig<'_>,
    key: &str,
    container: &str,
    kind: ObjectKind,
) -> Result<&'s DeclaredOutput, ApiError> {
    let mut of_key = config.outputs.iter().filter(|declared| declared.key == key);
    let shown: String = container.chars().take(63).collect();
    let Some(declared) = of_key.find(|declared| declared.container == container) else {
        return Err(not_allowed(format!(
            "output {key:?} is declared by another container, not by {shown:?}: declare it there"
        )));
    };
    if declared.kind != kind {
        let (requested, declared) = (kind.as_str(), declared.kind.as_str());
        return Err(not_allowed(format!("output {key:?} is declared as a {declared}, not as a {requested}")));
    }
    Ok(declared)
}

fn not_allowed(message: String) -> ApiError {
    ApiError::new(Code::RequestNotAllowed, message)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn config() -> Value {
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
    fn what_the_configuration_declares_is_allowed() {
        let mut newer = config();
        newer["encrypt"] = json!(true);
        newer["outputs"][0]["unknown"] = json!(1);
        newer["task"]["unknown"] = json!(1);
        newer["quota"] = json!({"perRun": 3, "unknown": 1});
        assert_eq!(sidecar_config(&specs(&newer, &json!(null))).unwrap().quota.per_run, Some(3));
        let config = sidecar_config(&specs(&config(), &json!(null))).unwrap();
        assert_eq!(config.task.run.as_deref(), Some("r1"));
        check_key(&config, "Cert").unwrap();
        assert!(declared_output(&config, "Log", "other", ObjectKind::ConfigMap).unwrap().optional);
    }

    #[test]
    fn a_pod_may_query_the_outputs_that_it_waits_for_and_no_others() {
        let from = json!({"scheduler": "airflow", "workflow": "etl", "run": "r1", "task": "load"});
        let awaits =
            AwaitedOutput::new("Cert", ObjectKind::Secret, serde_json::from_value(from).unwrap(), 60);
        let config = json!({
            "profile": {"name": "default", "generation": 1},
            "store": {"url": "https://bootlace-store.bootlace.svc", "ca": ""}, "awaits": [awaits],
        });
        let waits = specs(&json!(null), &config);
        assert_eq!(awaited_output(&waits, &awaits.object).unwrap(), awaits);
        let mut newer = config.clone();
        newer["awaits"][0]["encrypted"] = json!(true);
        assert_eq!(awaited_output(&specs(&json!(null), &newer), &awaits.object).unwrap(), awaits);
        let mut other = config.clone();
        other["awaits"][0]["kind"] = json!("Volume");
        for (specs, object, status, code) in [
            (&waits, "db-login", 403, Code::RequestNotAllowed),
            (&specs(&json!(null), &other), &awaits.object, 503, Code::CallerConfigUnreadable),
            (&specs(&json!(null), &json!(null)), &awaits.object, 403, Code::RequestNotAllowed),
        ] {
            let error = awaited_output(specs, object).unwrap_err();
            assert!(error.status == status && error.code == code, "{error}");
        }
    }

    #[test]
    fn outputs_of_another_key_container_or_kind_are_refused() {
        let error = sidecar_config(&specs(&json!(null), &json!(null))).unwrap_err();
        assert!(error.status == 403 && error.code == Code::RequestNotAllowed, "{error}");
        let mut other = config();
        other["outputs"][0]["kind"] = json!("Volume");
        let error = sidecar_config(&specs(&other, &json!(null))).unwrap_err();
        assert!(error.status == 503 && error.code == Code::CallerConfigUnreadable, "{error}");
        let config = sidecar_config(&specs(&config(), &json!(null))).unwrap();
        for (error, detail) in [
            (check_key(&config, "cert").unwrap_err(), "\"cert\""),
            (check_key(&config, "../Cert").unwrap_err(), "\"../Cert\""),
            (declared_output(&config, "Cert", "other", ObjectKind::Secret).unwrap_err(), "\"other\""),
            (declared_output(&config, "Cert", "base", ObjectKind::ConfigMap).unwrap_err(), "ConfigMap"),
        ] {
            assert!(error.code == Code::RequestNotAllowed && error.message.contains(detail), "{error}");
        }
    }
}
