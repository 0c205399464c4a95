//! The object that represents the run of a task, and owns its Pipes. Pure.
//!
//! It is the controller of the pod, if the scheduler's entry in the table of schedulers lists its kind. The webhook writes these
//! kinds to the signed configuration of the sidecar, so that the store needs no table. The table lists only kinds that exist
//! until the run is forgotten, because a later task of the run reads what an earlier one has stored. If a `JobSet`, a `CronJob`
//! or another object controls a Job, the Job is the owner, and is deleted together with it. The Pipes of a scheduler without
//! such an object, as Airflow, expire. A pod is never the owner, because it is removed as soon as its task has ended.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use bootlace_core::output::SidecarConfig;

/// The owner of the Pipes of `pod`, whose sidecar has the configuration `config`; `None` if they expire.
#[must_use]
pub fn of_run(pod: &Pod, config: &SidecarConfig<'_>) -> Option<OwnerReference> {
    // The Job of such a pod is one step of the run, and may be forgotten before the next one starts.
    if config.task.is_joined() {
        return None;
    }
    let owners = pod.metadata.owner_references.iter().flatten();
    let is_run =
        |owner: &&OwnerReference| owner.controller == Some(true) && is_listed(owner, &config.run_owners);
    let owner = owners.into_iter().find(is_run)?;
    Some(OwnerReference {
        // It controls the pod. The Pipe has no controller, and its deletion waits for nothing.
        controller: None,
        block_owner_deletion: None,
        ..owner.clone()
    })
}

/// Whether `kinds`, as `GROUP/KIND`, contains the kind of `owner` in any version.
fn is_listed(owner: &OwnerReference, kinds: &[String]) -> bool {
    // Without a group there is a version alone: the core's.
    let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
    let is_kind = |kind: &String| kind.rsplit_once('/') == Some((group, owner.kind.as_str()));
    kinds.iter().any(is_kind)
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
        of_run(&pod, &config("job")).map(|owner| serde_json::to_value(owner).unwrap())
    }

    #[test]
    fn a_pod_that_names_its_run_itself_leaves_its_pipes_to_expire() {
        let owners = json!([reference("batch/v1", "Job", true)]);
        let pod: Pod = serde_json::from_value(json!({"metadata": {"ownerReferences": owners}})).unwrap();
        let joined = config("annotation");
        assert!(joined.task.is_joined() && of_run(&pod, &joined).is_none());
        assert!(of_run(&pod, &config("job")).is_some());
    }

    #[test]
    fn the_configuration_of_an_older_webhook_means_jobs() {
        let mut old = serde_json::to_value(config("job")).unwrap();
        old.as_object_mut().unwrap().remove("runOwners");
        let old: SidecarConfig<'_> = serde_json::from_value(old).unwrap();
        let pod =
            |owner: Value| serde_json::from_value(json!({"metadata": {"ownerReferences": [owner]}})).unwrap();
        assert!(of_run(&pod(reference("batch/v1", "Job", true)), &old).is_some());
        assert!(of_run(&pod(reference("argoproj.io/v1alpha1", "Workflow", true)), &old).is_none());
    }

    fn reference(version: &str, kind: &str, controller: bool) -> Value {
        json!({"apiVersion": version, "kind": kind, "name": "run", "uid": "u-1", "controller": controller,
               "blockOwnerDeletion": true})
    }

    #[test]
    fn a_runs_own_object_owns_its_pipes_whatever_its_version() {
        for (version, kind) in
            [("batch/v1", "Job"), ("batch/v2alpha1", "Job"), ("argoproj.io/v1alpha1", "Workflow")]
        {
            let expected = json!({"apiVersion": version, "kind": kind, "name": "run", "uid": "u-1"});
            let others = json!([reference("v1", "ConfigMap", false), reference(version, kind, true)]);
            assert_eq!(owner(&others), Some(expected));
        }
    }

    #[test]
    fn what_is_no_run_owns_none() {
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
