//! The object of a run that owns its Pipes, so that they are deleted with it. Pure functions.
//!
//! It is the controller of the pod, if the table of schedulers lists its kind for the scheduler. The webhook
//! writes these kinds to the signed configuration of the sidecar if they make a difference, so that the store
//! needs no table. The table lists only kinds that exist until the end of the run, because later tasks of the
//! run read what earlier ones stored. If a `JobSet`, a `CronJob` or another object owns a Job, the Job is
//! deleted with it. Schedulers such as Airflow have no such object, and their Pipes expire. A pod never owns
//! Pipes, because it is deleted as soon as its task has ended.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use bootlace_core::identity::spec::group_and_kind;
use bootlace_core::output::SidecarConfig;

/// The owner of the Pipes of `pod`, whose sidecar has the configuration `config`; `None` if they expire.
#[must_use]
pub fn run_owner(pod: &Pod, config: &SidecarConfig<'_>) -> Option<OwnerReference> {
    // The Job is one step of the run, and can be deleted before the next step starts.
    if config.task.is_joined() {
        return None;
    }
    let owners = pod.metadata.owner_references.iter().flatten();
    let is_run = |owner: &&OwnerReference| {
        owner.controller == Some(true)
            && config.run_owners.contains(&group_and_kind(&owner.api_version, &owner.kind))
    };
    let owner = owners.into_iter().find(is_run)?;
    Some(OwnerReference {
        // It controls the pod, not the Pipe, and its deletion does not wait for Pipes.
        controller: None,
        block_owner_deletion: None,
        ..owner.clone()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn config(scheduler: &str) -> SidecarConfig<'static> {
        serde_json::from_value(json!({
            "task": {"scheduler": scheduler, "run": "r"}, "profile": {"name": "default", "generation": 1},
            "store": {"url": "", "ca": ""}, "outputs": [], "timeToLiveSeconds": 1, "deadlineSeconds": 1,
            "graceSeconds": 1, "runOwners": ["batch/Job", "argoproj.io/Workflow"],
        }))
        .unwrap()
    }

    fn owner(owners: &Value) -> Option<Value> {
        let pod = serde_json::from_value(json!({"metadata": {"ownerReferences": owners}})).unwrap();
        run_owner(&pod, &config("job")).map(|owner| serde_json::to_value(owner).unwrap())
    }

    #[test]
    fn the_pipes_of_a_pod_whose_run_is_in_an_annotation_expire() {
        let owners = json!([reference("batch/v1", "Job", true)]);
        let pod: Pod = serde_json::from_value(json!({"metadata": {"ownerReferences": owners}})).unwrap();
        let joined = config("annotation");
        assert!(joined.task.is_joined() && run_owner(&pod, &joined).is_none());
        assert!(run_owner(&pod, &config("job")).is_some());
    }

    #[test]
    fn the_configuration_of_an_older_webhook_means_jobs() {
        let mut old = serde_json::to_value(config("job")).unwrap();
        old.as_object_mut().unwrap().remove("runOwners");
        let old: SidecarConfig<'_> = serde_json::from_value(old).unwrap();
        let pod =
            |owner: Value| serde_json::from_value(json!({"metadata": {"ownerReferences": [owner]}})).unwrap();
        assert!(run_owner(&pod(reference("batch/v1", "Job", true)), &old).is_some());
        assert!(run_owner(&pod(reference("argoproj.io/v1alpha1", "Workflow", true)), &old).is_none());
    }

    fn reference(version: &str, kind: &str, controller: bool) -> Value {
        json!({"apiVersion": version, "kind": kind, "name": "run", "uid": "u-1", "controller": controller,
               "blockOwnerDeletion": true})
    }

    #[test]
    fn the_object_of_a_run_owns_its_pipes_in_any_api_version() {
        for (version, kind) in
            [("batch/v1", "Job"), ("batch/v2alpha1", "Job"), ("argoproj.io/v1alpha1", "Workflow")]
        {
            let expected = json!({"apiVersion": version, "kind": kind, "name": "run", "uid": "u-1"});
            let others = json!([reference("v1", "ConfigMap", false), reference(version, kind, true)]);
            assert_eq!(owner(&others), Some(expected));
        }
    }

    #[test]
    fn other_objects_do_not_own_pipes() {
        for owners in [
            json!([]),
            json!([reference("v1", "Pod", true)]),
            json!([reference("v1", "Job", true)]),
            json!([reference("apps/v1", "ReplicaSet", true)]),
            json!([reference("batch/v1", "Job", false)]),
            json!([reference("evil.example/v1", "Job", true)]),
            json!([reference("flows.example.com/v1", "Workflow", true)]),
        ] {
            assert_eq!(owner(&owners), None, "{owners}");
        }
    }
}
