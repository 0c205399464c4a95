//! The native sidecar that sends the outputs and the progress of a pod to the store, and runs the hooks for
//! the end of its tasks.

use std::borrow::Cow;
use std::sync::Arc;

use bootlace_launch::handover::MAX_BYTES;
use k8s_openapi::api::core::v1 as core;
use serde_json::Value;

use super::shared_volumes::SharedVolumes;
use super::store_container::env_var;
use super::{Outputs, PipesError, StoreContainer, unguarded_output_warning};
use crate::abort::HooksConfig;
use crate::identity::spec::{OwnerKind, group_and_kind};
use crate::identity::{Identity, Scheduler};
use crate::injected_config::StoreEndpoint;
use crate::names;
use crate::output::sidecar_config::{DEFAULT_RUN_OWNER, default_run_owners};
use crate::output::{DeclaredOutput, SidecarConfig, SidecarLifetime};
use crate::plan::container_parts::{env_of_field, json, memory_volume, read_only_mount, writable_mount};
use crate::plan::{
    HooksError, PlanError, PreparedProfile, Version, env_json, hooks, mounts, prestop, progress,
};
use crate::pod::{Container, Pod};
use crate::profile::BootProfileSpec;

/// Seconds at the end of the grace period of the pod that the sidecar does not use. The kubelet kills
/// containers that have not exited by then, and schedulers treat a killed sidecar as a failed one.
const MARGIN_SECONDS: u32 = 2;
/// Bytes of the volume for each task container, in addition to its outputs: for the outputs of the previous
/// attempt, which are removed after the next one has started, and for the files of the protocol.
const OVERHEAD_BYTES: u64 = MAX_BYTES + 512 * 1024;
/// Bytes of the volume for each task container without outputs: a few small files for each of its starts, of
/// which a container that is restarted has many.
const SUPERVISED_BYTES: u64 = 1024 * 1024;

/// The additions to a pod with outputs or progress.
#[derive(Debug)]
pub(in crate::plan) struct Sidecar<'r> {
    /// The container, which is an entry of `initContainers`.
    pub(in crate::plan) container: Value,
    /// Its configuration.
    pub(in crate::plan) config: SidecarConfig<'r>,
    /// Its volumes: those that it shares with launchers and tasks, and those of hooks.
    pub(in crate::plan) volumes: Vec<Value>,
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
    /// The sidecar of a pod with `outputs`, with hooks for the end of its tasks, or with tasks that report
    /// their progress; `None` if there is nothing to do for it.
    pub(in crate::plan) fn plan(
        pod: &Pod<'_>,
        tasks: &[TaskOutputs<'_, '_>],
        outputs: &Outputs,
        task: &Identity,
        prepared: &PreparedProfile,
        parts: &StoreContainer<'r>,
    ) -> Result<Option<Self>, PlanError> {
        let supervised = supervised(tasks, parts.spec);
        let mut shared = SharedVolumes::default();
        let reporting = progress::files(tasks.iter().map(|task| task.container), prepared, &mut shared);
        if outputs.is_empty() && supervised.is_empty() && reporting.is_empty() {
            return Ok(None);
        }
        let store = check(outputs, task, parts)?;
        let (mut declared, mut warnings) = (Vec::new(), Vec::new());
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
        let has_outputs = |name: &str| outputs.of_container(name).next().is_some();
        let is_launched = |task: &&TaskOutputs<'_, '_>| {
            let name = task.container.name;
            task.unlaunched.is_none() && (has_outputs(name) || supervised.iter().any(|other| other == name))
        };
        let launched: Vec<_> = tasks.iter().filter(is_launched).collect();
        if parts.kubernetes.is_none() {
            warnings.push(format!(
                "bootlace: outputs, progress, and hooks for the end of a task, require native sidecars of Kubernetes {} or later, and \
                 the version of the cluster is unknown here",
                Version::NATIVE_SIDECARS
            ));
        }
        let bytes = launched.iter().map(|task| volume_bytes(has_outputs(task.container.name))).sum::<u64>();
        let mut volumes: Vec<_> = (!launched.is_empty()).then(|| volume(bytes)).into_iter().collect();
        let pipes = &parts.spec.pipes;
        let config = SidecarConfig {
            task: task.clone(),
            profile: parts.profile.clone(),
            store: Cow::Borrowed(store),
            outputs: declared,
            progress: reporting,
            time_to_live_seconds: pipes.time_to_live_seconds.into(),
            deadline_seconds: pipes.deadline_seconds,
            grace_seconds: grace(pod),
            ends: lifetime(pod, launched.len()),
            quota: pipes.quota,
            run_owners: run_owners(pod, parts.scheduler),
            supervised,
        };
        let mut container = container(&config, !volumes.is_empty(), &shared, parts)?;
        volumes.extend((!config.progress.is_empty()).then(progress::volume));
        if !config.supervised.is_empty() {
            volumes.extend(add_hooks(&mut container, parts)?);
        }
        let volumes = volumes.iter().map(json).collect::<Result<_, _>>()?;
        Ok(Some(Self { container: json(&container)?, config, volumes, warnings }))
    }
}

/// The containers whose launcher tells the sidecar how the task ends.
fn supervised(tasks: &[TaskOutputs<'_, '_>], profile: &BootProfileSpec) -> Vec<String> {
    let supervised = tasks.iter().filter(|task| hooks::is_supervised(task.container, &profile.hooks));
    supervised.map(|task| task.container.name.to_owned()).collect()
}

/// Checks that the sidecar can work, and returns the store.
fn check<'r>(
    outputs: &Outputs,
    task: &Identity,
    parts: &StoreContainer<'r>,
) -> Result<&'r StoreEndpoint, PlanError> {
    let profile = || parts.profile.name.clone();
    let Some(store) = parts.store else {
        if outputs.is_empty() {
            return Err(HooksError::NoStore { profile: profile() }.into());
        }
        return Err(PipesError::NoStore { profile: profile() }.into());
    };
    if let Some(version) = Version::without_native_sidecars(parts.kubernetes) {
        if outputs.is_empty() {
            return Err(HooksError::TooOld { profile: profile(), version }.into());
        }
        return Err(PipesError::TooOld { version }.into());
    }
    if task.run.is_none() && !outputs.is_empty() {
        return Err(PipesError::NoRun.into());
    }
    Ok(store)
}

/// Adds the hooks to the sidecar, and the objects that they need. Returns their volumes.
fn add_hooks(
    container: &mut core::Container,
    parts: &StoreContainer<'_>,
) -> Result<Vec<core::Volume>, PlanError> {
    let hooks = &parts.spec.hooks;
    let config =
        HooksConfig { post_kill: Cow::Borrowed(&hooks.post_kill), abort: Cow::Borrowed(&hooks.abort) };
    let text = env_json::encode(&config)?;
    if text.len() > env_json::MAX_VALUE_BYTES {
        let (size, limit) = (text.len(), env_json::MAX_VALUE_BYTES);
        return Err(HooksError::TooLarge { profile: parts.profile.name.clone(), size, limit }.into());
    }
    container.env.get_or_insert_default().extend([
        env_var(names::ENV_HOOKS, text),
        env_of_field(names::ENV_NAMESPACE, "metadata.namespace"),
        env_of_field(names::ENV_POD, "metadata.name"),
        env_of_field(names::ENV_POD_UID, "metadata.uid"),
    ]);
    if !hooks.abort.is_empty() {
        // The first news of the end of the pod: the kubelet sends SIGTERM to a sidecar only after the tasks
        // have ended.
        let words = [names::IMAGE_BOOTLACE, "pipe", "--stopping"];
        let command = words.iter().map(|&word| word.to_owned()).collect();
        let exec = core::ExecAction { command: Some(command) };
        let handler = core::LifecycleHandler { exec: Some(exec), ..core::LifecycleHandler::default() };
        container.lifecycle = Some(core::Lifecycle { pre_stop: Some(handler), ..core::Lifecycle::default() });
    }
    let mut volumes = Vec::new();
    for mount in mounts::hooks(parts.spec) {
        container
            .volume_mounts
            .get_or_insert_default()
            .push(read_only_mount(&mount.volume.name, &mount.path));
        volumes.push(mount.volume);
    }
    Ok(volumes)
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
fn lifetime(pod: &Pod<'_>, launched: usize) -> SidecarLifetime {
    if pod.containers.len() != launched
        || pod.containers.iter().any(|container| container.restart_policy.is_some())
    {
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
    prestop::grace_seconds(pod).saturating_sub(MARGIN_SECONDS).max(1)
}

/// Bytes of the volume for one task container.
fn volume_bytes(has_outputs: bool) -> u64 {
    if has_outputs { MAX_BYTES + OVERHEAD_BYTES } else { SUPERVISED_BYTES }
}

/// The volume that launchers share with the sidecar.
fn volume(bytes: u64) -> core::Volume {
    memory_volume(names::VOLUME_RUN, format!("{}Ki", bytes.div_ceil(1024)))
}

fn container(
    spec: &SidecarConfig<'_>,
    launched: bool,
    shared: &SharedVolumes<'_>,
    parts: &StoreContainer<'_>,
) -> Result<core::Container, PlanError> {
    let handover = launched.then(|| writable_mount(names::VOLUME_RUN, names::MOUNT_RUN));
    let has_progress = !spec.progress.is_empty();
    let progress = has_progress.then(|| progress::MOUNT.to_volume_mount());
    let shared = shared.mounts().map(|(volume, sub_path, path)| core::VolumeMount {
        sub_path: sub_path.map(str::to_owned),
        ..read_only_mount(volume, &path)
    });
    let mut sidecar = parts.container(names::CONTAINER_PIPE, "pipe", (names::ENV_PIPES, spec))?;
    sidecar.restart_policy = Some("Always".to_owned());
    sidecar.volume_mounts.get_or_insert_default().extend(handover.into_iter().chain(progress).chain(shared));
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
