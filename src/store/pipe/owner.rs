//! The object of a run that owns its Pipes, so that they are deleted with it. Pure functions.
//!
//! It is the controller of the pod, if that is a Job. Schedulers such as Airflow have no such object, and their Pipes expire.
//! A pod never owns Pipes, because it is deleted as soon as its task has ended.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use bootlace_core::identity::Identity;

/// API group and kind of the objects that represent runs, of the schedulers that [`bootlace_core::identity`] supports. Pods of
/// other schedulers belong to a run only if an annotation names it. If a `JobSet`, a `CronJob` or another object owns the Job,
/// the Job is deleted with it.
/// Only objects that exist until the end of the run, because later tasks of the run read what earlier ones stored.
const RUN_OWNERS: &[(&str, &str)] = &[("batch", "Job")];

/// The owner of the Pipes of `pod`, which runs `task`; `None` if they expire.
#[must_use]
pub fn run_owner(pod: &Pod, task: &Identity) -> Option<OwnerReference> {
    // The Job is one step of the run, and can be deleted before the next step starts.
    if task.is_joined() {
        return None;
    }
    let owners = pod.metadata.owner_references.iter().flatten();
    let owner = owners.into_iter().find(|owner| owner.controller == Some(true) && is_run(owner))?;
    Some(OwnerReference {
        // The Job controls the pod, not the Pipe, and its deletion does not wait for Pipes.
        controller: None,
        block_owner_deletion: None,
        ..owner.clone()
    })
}

fn is_run(owner: &OwnerReference) -> bool {
    // The core group has no name: `v1`.
    let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
    RUN_OWNERS.contains(&(group, owner.kind.as_str()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn owner(owners: &Value) -> Option<Value> {
        let pod = serde_json::from_value(json!({"metadata": {"ownerReferences": owners}})).unwrap();
        run_owner(&pod, &Identity::default()).map(|owner| serde_json::to_value(owner).unwrap())
    }

    #[test]
    fn the_pipes_of_a_pod_whose_run_is_in_an_annotation_expire() {
        let owners = json!([reference("batch/v1", "Job", true)]);
        let pod: Pod = serde_json::from_value(json!({"metadata": {"ownerReferences": owners}})).unwrap();
        let joined = Identity { scheduler: Some("annotation".to_owned()), ..Identity::default() };
        assert!(joined.is_joined() && run_owner(&pod, &joined).is_none());
        assert!(run_owner(&pod, &Identity::default()).is_some());
    }

    fn reference(version: &str, kind: &str, controller: bool) -> Value {
        json!({"apiVersion": version, "kind": kind, "name": "run", "uid": "u-1", "controller": controller,
               "blockOwnerDeletion": true})
    }

    #[test]
    fn the_object_of_a_run_owns_its_pipes_in_any_api_version() {
        for (version, kind) in [("batch/v1", "Job"), ("batch/v2alpha1", "Job")] {
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
            json!([reference("apps/v1", "ReplicaSet", true)]),
            json!([reference("batch/v1", "Job", false)]),
            json!([reference("evil.example/v1", "Job", true)]),
            // Of an unsupported scheduler, whose pods belong to a run only if an annotation names it.
            json!([reference("argoproj.io/v1alpha1", "Workflow", true)]),
        ] {
            assert_eq!(owner(&owners), None, "{owners}");
        }
    }
}
