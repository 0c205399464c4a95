//! The object of the run's own that a Pipe goes with. Pure.
//!
//! A pod's controller is that object where it is a Job. A scheduler that keeps none, as Airflow does, leaves its Pipes to
//! expire.
//! A pod is never it: it is removed as soon as its task has ended.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use bootlace_core::identity::Identity;

/// What runs are: API group and kind, of the schedulers that [`bootlace_core::identity`] knows; a pod of any other is of a run only
/// where it names that itself. Of a Job that a `JobSet`, a `CronJob` or another made, the Job is named, and goes with them.
/// Only such as stay until the run is forgotten, because a later task of the run reads what an earlier one has stored.
const RUNS: &[(&str, &str)] = &[("batch", "Job")];

/// The owner of the Pipes of `pod`, which is `task`; nothing where they are to expire.
#[must_use]
pub fn of_run(pod: &Pod, task: &Identity) -> Option<OwnerReference> {
    // Its Job is one step of the run, and may be forgotten before the next one starts.
    if task.is_joined() {
        return None;
    }
    let owners = pod.metadata.owner_references.iter().flatten();
    let owner = owners.into_iter().find(|owner| owner.controller == Some(true) && is_run(owner))?;
    Some(OwnerReference {
        // It controls the pod; nobody controls the Pipe, and its deletion waits for none.
        controller: None,
        block_owner_deletion: None,
        ..owner.clone()
    })
}

fn is_run(owner: &OwnerReference) -> bool {
    // Without a group there is a version alone: the core's.
    let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
    RUNS.contains(&(group, owner.kind.as_str()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn owner(owners: &Value) -> Option<Value> {
        let pod = serde_json::from_value(json!({"metadata": {"ownerReferences": owners}})).unwrap();
        of_run(&pod, &Identity::default()).map(|owner| serde_json::to_value(owner).unwrap())
    }

    #[test]
    fn a_pod_that_names_its_run_itself_leaves_its_pipes_to_expire() {
        let owners = json!([reference("batch/v1", "Job", true)]);
        let pod: Pod = serde_json::from_value(json!({"metadata": {"ownerReferences": owners}})).unwrap();
        let joined = Identity { scheduler: Some("annotation".to_owned()), ..Identity::default() };
        assert!(joined.is_joined() && of_run(&pod, &joined).is_none());
        assert!(of_run(&pod, &Identity::default()).is_some());
    }

    fn reference(version: &str, kind: &str, controller: bool) -> Value {
        json!({"apiVersion": version, "kind": kind, "name": "run", "uid": "u-1", "controller": controller,
               "blockOwnerDeletion": true})
    }

    #[test]
    fn a_runs_own_object_owns_its_pipes_whatever_its_version() {
        for (version, kind) in [("batch/v1", "Job"), ("batch/v2alpha1", "Job")] {
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
            json!([reference("apps/v1", "ReplicaSet", true)]),
            json!([reference("batch/v1", "Job", false)]),
            json!([reference("evil.example/v1", "Job", true)]),
            // Of a scheduler that is not known, whose pods are of a run only where they name it themselves.
            json!([reference("argoproj.io/v1alpha1", "Workflow", true)]),
        ] {
            assert_eq!(owner(&owners), None, "{owners}");
        }
    }
}
