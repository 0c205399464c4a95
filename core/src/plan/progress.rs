//! The progress of tasks: a volume in which each task has a file, and the sidecar that reads the files.
//!
//! The volume is not the one for outputs, so that a task which fills it with lines cannot lose its outputs.

use std::borrow::Cow;

use k8s_openapi::api::core::v1 as core;
use serde_json::{Value, json};

use super::container_parts::memory_volume;
use super::pipes::SharedVolumes;
use super::task_mounts::AddedMount;
use super::{PreparedProfile, Version};
use crate::names;
use crate::output::sidecar_config::ProgressFile;
use crate::pod::Container;

/// Size limit of the volume. The sidecar empties files long before that.
const VOLUME_SIZE: &str = "1Mi";

/// The variable in which Argo Workflows names a file for the progress of its task.
/// <https://argo-workflows.readthedocs.io/en/latest/progress/#self-reporting-progress>
const ARGO_FILE: &str = "ARGO_PROGRESS_FILE";

/// The mount of each task that can report its progress.
pub(super) const MOUNT: AddedMount<'static> = AddedMount {
    volume: names::VOLUME_PROGRESS,
    path: Cow::Borrowed(names::MOUNT_PROGRESS),
    sub_path: None,
    read_only: false,
    movable: false,
};

/// Whether a task can report its progress. The sidecar starts after the init containers that precede it.
pub(super) fn reports(container: &Container<'_>, prepared: &PreparedProfile) -> bool {
    is_available(prepared) && !container.ends_before_tasks()
}

/// Whether the profile wants progress, and the cluster has what it needs.
pub(super) fn is_available(prepared: &PreparedProfile) -> bool {
    prepared.profile.spec.progress.enabled && missing(prepared).is_none()
}

/// The warning for a pod whose profile wants progress that cannot be reported. It is no reason to refuse the
/// pod, because the task does not depend on it.
pub(super) fn warning(prepared: &PreparedProfile) -> Option<String> {
    let missing = missing(prepared).filter(|_| prepared.profile.spec.progress.enabled)?;
    Some(format!("bootlace: the task cannot report its progress, because {missing}"))
}

/// What the cluster lacks.
fn missing(prepared: &PreparedProfile) -> Option<String> {
    if prepared.store.is_none() {
        return Some(
            "the Bootlace store is not installed: install the chart with store.enabled=true, or set progress.enabled of the \
             BootProfile to false"
                .to_owned(),
        );
    }
    if !prepared.allows_progress {
        return Some(
            "the installation does not allow it: install the chart with progress.enabled=true, or set progress.enabled of \
             the BootProfile to false"
                .to_owned(),
        );
    }
    let old = Version::without_native_sidecars(prepared.kubernetes)?;
    Some(format!(
        "Kubernetes {} or later is required for native sidecars, and the API server has version {old}: upgrade the cluster",
        Version::NATIVE_SIDECARS
    ))
}

/// The variable with the path of the file.
pub(super) fn variable(container: &Container<'_>) -> Value {
    json!({"name": names::ENV_PROGRESS, "value": format!("{}/{}", names::MOUNT_PROGRESS, container.name)})
}

/// The files of `tasks` that the sidecar reads, with those of schedulers in volumes of the pod.
pub(super) fn files<'c, 'a: 'c>(
    tasks: impl Iterator<Item = &'c Container<'a>>,
    prepared: &PreparedProfile,
    shared: &mut SharedVolumes<'a>,
) -> Vec<ProgressFile> {
    let mut files = Vec::new();
    for container in tasks.filter(|container| reports(container, prepared)) {
        files.push(ProgressFile {
            folder: names::MOUNT_PROGRESS.to_owned(),
            name: container.name.to_owned(),
            counts_only: false,
        });
        let argo = container.variables().filter(|variable| variable.name == ARGO_FILE).last();
        let argo = argo.and_then(|variable| shared.find(container, variable.text?));
        files.extend(argo.map(|(folder, name)| ProgressFile { folder, name, counts_only: true }));
    }
    files
}

/// [`MOUNT`] as part of a container.
pub(super) fn mount() -> Value {
    json!({"name": MOUNT.volume, "mountPath": MOUNT.path})
}

/// The volume with the files.
pub(super) fn volume() -> core::Volume {
    memory_volume(names::VOLUME_PROGRESS, VOLUME_SIZE)
}
