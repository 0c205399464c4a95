//! The native sidecar that sends the outputs of a pod to the store.

use std::borrow::Cow;
use std::sync::Arc;

use bootlace_launch::handover::MAX_BYTES;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::Value;

use super::shared_volumes::SharedVolumes;
use super::{Outputs, PipesError, StoreContainer, unguarded_output_warning};
use crate::identity::spec::{OwnerKind, group_and_kind};
use crate::identity::{Identity, Scheduler};
use crate::names;
use crate::output::sidecar_config::{DEFAULT_RUN_OWNER, default_run_owners};
use crate::output::{DeclaredOutput, SidecarConfig, SidecarLifetime};
use crate::plan::container_parts::{json, read_only_mount, writable_mount};
use crate::plan::{PlanError, Version};
use crate::pod::{Container, Pod};

/// Seconds at the end of the grace period of the pod that the sidecar does not use. The kubelet kills
/// containers that have not exited by then, and schedulers treat a killed sidecar as a failed one.
const MARGIN_SECONDS: u32 = 2;
/// Default of `terminationGracePeriodSeconds` in the API server.
const GRACE_SECONDS: u32 = 30;
/// Bytes of the volume for each task container, in addition to its outputs: for the outputs of the previous
/// attempt, which are removed after the next one has started, and for the files of the protocol.
const OVERHEAD_BYTES: u64 = MAX_BYTES + 512 * 1024;

/// The additions to a pod with outputs.
#[derive(Debug)]
pub(in crate::plan) struct Sidecar<'r> {
    /// The container, which is an entry of `initContainers`.
    pub(in crate::plan) container: Value,
    /// Its configuration.
    pub(in crate::plan) config: SidecarConfig<'r>,
    /// The volume in which launchers pass outputs; `None` if the launcher starts no task.
    pub(in crate::plan) volume: Option<Value>,
    /// Warnings for the author of the pod.
    pub(in crate::plan) warnings: Vec<String>,
}

/// A task container, and whether the launcher passes its outputs.
#[derive(Debug, Clone, Copy)]
pub(in crate::plan) struct TaskOutputs<'c, 'a> {
    pub(in crate::plan) container: &'c Container<'a>,
    /// Why the launcher does not start it; `None` if it does.
    pub(in crate::plan) unlaunched: Option<&'c str>,
}

impl<'r> Sidecar<'r> {
    /// The sidecar of a pod with `outputs`; `None` if there are no outputs.
    pub(in crate::plan) fn plan(
        pod: &Pod<'_>,
        tasks: &[TaskOutputs<'_, '_>],
        outputs: &Outputs,
        task: &Identity,
        parts: &StoreContainer<'r>,
    ) -> Result<Option<Self>, PlanError> {
        if outputs.is_empty() {
            return Ok(None);
        }
        let Some(store) = parts.store else {
            return Err(PipesError::NoStore { profile: parts.profile.name.clone() }.into());
        };
        if let Some(version) = parts.kubernetes.filter(|version| *version < Version::NATIVE_SIDECARS) {
            return Err(PipesError::TooOld { version }.into());
        }
        if task.run.is_none() {
            return Err(PipesError::NoRun.into());
        }
        let (mut shared, mut declared, mut warnings) = (SharedVolumes::default(), Vec::new(), Vec::new());
        for &TaskOutputs { container, unlaunched } in tasks {
            for output in outputs.of_container(container.name) {
                let shared_file = match unlaunched {
                    None => None,
                    Some(reason) => {
                        warnings.push(unguarded_output_warning(&output.key, container.name, reason));
                        Some(shared.file(output, container, reason)?)
                    }
                };
                declared.push(DeclaredOutput {
                    key: output.key.clone(),
                    kind: output.kind,
                    container: container.name.to_owned(),
                    shared_file,
                    optional: output.optional,
                    awaited: output.awaited,
                });
            }
        }
        let is_launched = |task: &&TaskOutputs<'_, '_>| {
            task.unlaunched.is_none() && outputs.of_container(task.container.name).next().is_some()
        };
        let launched = tasks.iter().filter(is_launched).fold(0, |count, _| count + 1);
        if parts.kubernetes.is_none() {
            warnings.push(format!(
                "bootlace: outputs require native sidecars of Kubernetes {} or later, and the version of the cluster is unknown \
                 here",
                Version::NATIVE_SIDECARS
            ));
        }
        let volume = (launched > 0).then(|| volume(launched)).as_ref().map(json).transpose()?;
        let pipes = &parts.spec.pipes;
        let config = SidecarConfig {
            task: task.clone(),
            profile: parts.profile.clone(),
            store: Cow::Borrowed(store),
            outputs: declared,
            time_to_live_seconds: pipes.time_to_live_seconds.into(),
            deadline_seconds: pipes.deadline_seconds,
            grace_seconds: grace(pod),
            ends: lifetime(pod, launched),
            quota: pipes.quota,
            run_owners: run_owners(pod, parts.scheduler),
        };
        let container = json(&container(&config, volume.is_some(), &shared, parts)?)?;
        Ok(Some(Self { container, config, volume, warnings }))
    }
}

/// Kinds of objects that own the outputs of a pod of `scheduler` if one of them controls it, as `GROUP/KIND`.
/// It is the default where the controller of the pod makes no difference, so that a store which does not know
/// these kinds accepts the configuration, and an older configuration does not differ.
pub(in crate::plan) fn run_owners(pod: &Pod<'_>, scheduler: Option<&Arc<Scheduler>>) -> Vec<String> {
    let owners = scheduler.into_iter().flat_map(|scheduler| scheduler.run_owners());
    let owners: Vec<_> = owners.map(OwnerKind::group_and_kind).collect();
    let controller = pod.controller().map(|found| group_and_kind(found.api_version, found.kind));
    let is_owner = controller.as_ref().is_some_and(|kind| owners.contains(kind));
    let is_default = controller.is_some_and(|kind| kind == DEFAULT_RUN_OWNER);
    if is_owner == is_default { default_run_owners() } else { owners }
}

/// When the sidecar exits. It can exit together with the tasks if all containers are tasks with outputs and
/// none is restarted; otherwise the kubelet would restart the sidecar too.
fn lifetime(pod: &Pod<'_>, launched: u64) -> SidecarLifetime {
    let all_launched = u64::try_from(pod.containers.len()).is_ok_and(|all| all == launched);
    if !all_launched || pod.containers.iter().any(|container| container.restart_policy.is_some()) {
        return SidecarLifetime::WhenTold;
    }
    match pod.restart_policy {
        Some("Never") => SidecarLifetime::WithTasks,
        Some("OnFailure") => SidecarLifetime::WithSuccess,
        _ => SidecarLifetime::WhenTold,
    }
}

/// Seconds that the sidecar can use after the tasks have ended.
fn grace(pod: &Pod<'_>) -> u32 {
    let seconds =
        pod.grace_seconds.map_or(GRACE_SECONDS, |seconds| u32::try_from(seconds).unwrap_or_default());
    seconds.saturating_sub(MARGIN_SECONDS).max(1)
}

/// The volume in which the launchers of `launched` containers pass outputs.
fn volume(launched: u64) -> core::Volume {
    let bytes = launched.saturating_mul(MAX_BYTES + OVERHEAD_BYTES);
    core::Volume {
        name: names::VOLUME_RUN.to_owned(),
        empty_dir: Some(core::EmptyDirVolumeSource {
            // In memory, so that secrets are not written to the disk of the node.
            medium: Some("Memory".to_owned()),
            size_limit: Some(Quantity(format!("{}Ki", bytes.div_ceil(1024)))),
            ..Default::default()
        }),
        ..core::Volume::default()
    }
}

fn container(
    spec: &SidecarConfig<'_>,
    launched: bool,
    shared: &SharedVolumes<'_>,
    parts: &StoreContainer<'_>,
) -> Result<core::Container, PlanError> {
    let handover = launched.then(|| writable_mount(names::VOLUME_RUN, names::MOUNT_RUN));
    let shared = shared.mounts().map(|(volume, sub_path, path)| core::VolumeMount {
        sub_path: sub_path.map(str::to_owned),
        ..read_only_mount(volume, &path)
    });
    let mut sidecar = parts.container(names::CONTAINER_PIPE, "pipe", (names::ENV_PIPES, spec))?;
    sidecar.restart_policy = Some("Always".to_owned());
    sidecar.volume_mounts.get_or_insert_default().extend(handover.into_iter().chain(shared));
    Ok(sidecar)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::identity::Schedulers;
    use crate::pod::Json;

    fn owners(labels: &Value, controller: Option<(&str, &str)>) -> Vec<String> {
        let controller = controller.map(|(api_version, kind)| {
            json!({"apiVersion": api_version, "kind": kind, "name": "a", "uid": "b", "controller": true})
        });
        let pod = json!({
            "metadata": {"name": "a", "labels": labels, "ownerReferences": controller.into_iter().collect::<Vec<_>>()},
            "spec": {"containers": [{"name": "main"}]},
        });
        let json = Json::from(&pod);
        let pod = Pod::read(&json).unwrap();
        let schedulers = Schedulers::built_in();
        run_owners(&pod, schedulers.detect(&pod))
    }

    #[test]
    fn owners_are_only_named_if_they_make_a_difference() {
        let airflow = json!({"kubernetes_pod_operator": "True"});
        let argo = json!({"workflows.argoproj.io/workflow": "etl"});
        let job = Some(("batch/v1", "Job"));
        assert_eq!(owners(&json!({"batch.kubernetes.io/job-name": "a"}), job), ["batch/Job"]);
        assert_eq!(owners(&json!({}), Some(("apps/v1", "ReplicaSet"))), ["batch/Job"]);
        assert_eq!(owners(&airflow, None), ["batch/Job"]);
        // An older store would make the Job the owner.
        assert_eq!(owners(&airflow, job), [""; 0]);
        assert_eq!(owners(&argo, Some(("argoproj.io/v1alpha1", "Workflow"))), ["argoproj.io/Workflow"]);
    }
}
