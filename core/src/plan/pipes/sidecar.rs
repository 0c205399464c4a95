//! The native sidecar that has a pod's outputs stored.

use std::borrow::Cow;

use bootlace_launch::handover::MAX_BYTES;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::Value;

use super::shared_volumes::SharedVolumes;
use super::{Outputs, PipesError, StoreContainer, unguarded_output_warning};
use crate::identity::spec::OwnerKind;
use crate::identity::{Identity, Schedulers};
use crate::names;
use crate::output::{DeclaredOutput, SidecarConfig, SidecarLifetime};
use crate::plan::prepared::json;
use crate::plan::{PlanError, Version, boot};
use crate::pod::{Container, Pod};

/// Seconds of the pod's grace period that are left to the kubelet: what is not ended by then is killed, and schedulers
/// read a killed sidecar as a failed one.
const MARGIN_SECONDS: u32 = 2;
/// The API server's default for `terminationGracePeriodSeconds`.
const GRACE_SECONDS: u32 = 30;
/// Bytes of the volume a task container, beside what it may hand over: the attempt before, which is removed only once the
/// next has begun, and the protocol's own files.
const ROOM_BYTES: u64 = MAX_BYTES + 512 * 1024;

/// What a pod with outputs gets.
#[derive(Debug)]
pub(in crate::plan) struct Sidecar {
    /// The container, for `initContainers`.
    pub(in crate::plan) container: Value,
    /// The volume that launchers hand over on, where there is a launcher.
    pub(in crate::plan) volume: Option<Value>,
    /// What the pod's author should know.
    pub(in crate::plan) warnings: Vec<String>,
}

/// A task container of the pod, as far as outputs go.
#[derive(Debug, Clone, Copy)]
pub(in crate::plan) struct TaskOutputs<'c, 'a> {
    pub(in crate::plan) container: &'c Container<'a>,
    /// Why no launcher starts it; none where one does.
    pub(in crate::plan) unlaunched: Option<&'c str>,
}

impl Sidecar {
    /// The sidecar of a pod with `outputs`; none where there are none.
    pub(in crate::plan) fn plan(
        pod: &Pod<'_>,
        tasks: &[TaskOutputs<'_, '_>],
        outputs: &Outputs,
        task: &Identity,
        from: &StoreContainer<'_>,
    ) -> Result<Option<Self>, PlanError> {
        if outputs.is_empty() {
            return Ok(None);
        }
        let Some(store) = from.store else {
            return Err(PipesError::NoStore { profile: from.profile.name.clone() }.into());
        };
        if let Some(version) = from.kubernetes.filter(|version| *version < Version::NATIVE_SIDECARS) {
            return Err(PipesError::TooOld { version }.into());
        }
        if task.run.is_none() {
            return Err(PipesError::NoRun.into());
        }
        let (mut shared, mut declared, mut warnings) = (SharedVolumes::default(), Vec::new(), Vec::new());
        for &TaskOutputs { container, unlaunched } in tasks {
            for output in outputs.of(container.name) {
                let shared_file = match unlaunched {
                    None => None,
                    Some(because) => {
                        warnings.push(unguarded_output_warning(&output.key, container.name, because));
                        Some(shared.file(output, container, because)?)
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
        let hands_over = |task: &&TaskOutputs<'_, '_>| {
            task.unlaunched.is_none() && outputs.of(task.container.name).next().is_some()
        };
        let launched = tasks.iter().filter(hands_over).fold(0, |count, _| count + 1);
        if from.kubernetes.is_none() {
            warnings.push(format!(
                "bootlace: outputs require native sidecars of Kubernetes {} or later, and the version of the cluster is unknown \
                 here",
                Version::NATIVE_SIDECARS
            ));
        }
        let volume = (launched > 0).then(|| volume(launched)).as_ref().map(json).transpose()?;
        let pipes = &from.spec.pipes;
        let spec = SidecarConfig {
            task: task.clone(),
            profile: from.profile.clone(),
            store: Cow::Borrowed(store),
            outputs: declared,
            time_to_live_seconds: pipes.time_to_live_seconds.into(),
            deadline_seconds: pipes.deadline_seconds,
            grace_seconds: grace(pod),
            ends: lifetime(pod, launched),
            quota: pipes.quota,
            run_owners: run_owners(pod, from.schedulers),
        };
        let container = json(&container(&spec, volume.is_some(), &shared, from)?)?;
        Ok(Some(Self { container, volume, warnings }))
    }
}

/// Kinds of objects that own the outputs of a pod if one of them controls it, as `GROUP/KIND`.
pub(in crate::plan) fn run_owners(pod: &Pod<'_>, schedulers: &Schedulers) -> Vec<String> {
    let owners = schedulers.detect(pod).into_iter().flat_map(|scheduler| scheduler.run_owners());
    owners.map(OwnerKind::group_and_kind).collect()
}

/// The sidecar may end by itself where nothing goes on without it, and nothing begins again: the kubelet would start it
/// again too.
fn lifetime(pod: &Pod<'_>, launched: u64) -> SidecarLifetime {
    let all_hand_over = u64::try_from(pod.containers.len()).is_ok_and(|all| all == launched);
    if !all_hand_over || pod.containers.iter().any(|container| container.restart_policy.is_some()) {
        return SidecarLifetime::WhenTold;
    }
    match pod.restart_policy {
        Some("Never") => SidecarLifetime::WithTasks,
        Some("OnFailure") => SidecarLifetime::WithSuccess,
        _ => SidecarLifetime::WhenTold,
    }
}

/// Seconds that the sidecar may use once the tasks have ended.
fn grace(pod: &Pod<'_>) -> u32 {
    let all = pod.grace_seconds.map_or(GRACE_SECONDS, |seconds| u32::try_from(seconds).unwrap_or_default());
    all.saturating_sub(MARGIN_SECONDS).max(1)
}

/// The volume that the launchers of `launched` containers hand over on.
fn volume(launched: u64) -> core::Volume {
    let bytes = launched.saturating_mul(MAX_BYTES + ROOM_BYTES);
    core::Volume {
        name: names::VOLUME_RUN.to_owned(),
        empty_dir: Some(core::EmptyDirVolumeSource {
            // Memory, so that secrets never reach the node's disk.
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
    from: &StoreContainer<'_>,
) -> Result<core::Container, PlanError> {
    let run = launched.then(|| boot::writable(names::VOLUME_RUN, names::MOUNT_RUN));
    let shared = shared.mounts().map(|(volume, sub_path, path)| core::VolumeMount {
        sub_path: sub_path.map(str::to_owned),
        ..boot::read_only(volume, &path)
    });
    let mut sidecar = from.container(names::CONTAINER_PIPE, "pipe", (names::ENV_PIPES, spec))?;
    sidecar.restart_policy = Some("Always".to_owned());
    sidecar.volume_mounts.get_or_insert_default().extend(run.into_iter().chain(shared));
    Ok(sidecar)
}
