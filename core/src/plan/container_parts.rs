//! Common parts of injected containers and their volumes.

use std::sync::Arc;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource;
use serde::Serialize;
use serde_json::Value;

use super::{InstallationSettings, PlanError};
use crate::names;
use crate::pod::Pod;
use crate::profile::BootProfileSpec;
use crate::profile::run_as_user::RunAsUser;
use crate::profile::spec::Boot;
use crate::quantity::Quantity;

/// A part of the pod as JSON.
pub(super) fn json(part: &impl Serialize) -> Result<Value, PlanError> {
    serde_json::to_value(part).map_err(|error| PlanError::Serialization(error.to_string()))
}

/// A part that all pods of a profile share, so that it is not copied for each patch.
pub(super) fn shared_json(part: &impl Serialize) -> Result<Arc<Value>, PlanError> {
    json(part).map(Arc::new)
}

/// A mount that the container can write to.
pub(super) fn writable_mount(volume: &str, path: &str) -> core::VolumeMount {
    core::VolumeMount { name: volume.to_owned(), mount_path: path.to_owned(), ..core::VolumeMount::default() }
}

/// A mount that the container can only read.
pub(super) fn read_only_mount(volume: &str, path: &str) -> core::VolumeMount {
    core::VolumeMount { read_only: Some(true), ..writable_mount(volume, path) }
}

/// An emptyDir in memory. A program that exceeds the size limit gets an error; on a disk, it would evict the
/// pod.
pub(super) fn memory_volume(name: &str, size_limit: impl Into<String>) -> core::Volume {
    core::Volume {
        name: name.to_owned(),
        empty_dir: Some(core::EmptyDirVolumeSource {
            // In memory, so that secrets are not written to the disk of the node. If the node has swap, the
            // kubelet mounts the volume with `noswap` on kernels that support it (6.4 and later);
            // docs/memory.md describes other options.
            medium: Some("Memory".to_owned()),
            size_limit: Some(resource::Quantity(size_limit.into())),
            ..Default::default()
        }),
        ..core::Volume::default()
    }
}

/// A variable with the value of a field of the pod.
pub(super) fn env_of_field(name: &str, field: &str) -> core::EnvVar {
    let field_ref = core::ObjectFieldSelector { api_version: None, field_path: field.to_owned() };
    let source = core::EnvVarSource { field_ref: Some(field_ref), ..core::EnvVarSource::default() };
    core::EnvVar { name: name.to_owned(), value_from: Some(source), ..core::EnvVar::default() }
}

/// The size limit of the profile in bytes.
pub(super) fn memory_volume_bytes(profile: &BootProfileSpec) -> u64 {
    // A value that is not a quantity is refused when the profile is read.
    Quantity::parse(&profile.volume.size_limit).map_or(u64::MAX, Quantity::units)
}

/// A security context that the pod security standard `restricted` allows.
/// <https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted>
pub(super) fn security_context(user: RunAsUser) -> core::SecurityContext {
    core::SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(core::Capabilities { add: None, drop: Some(vec!["ALL".to_owned()]) }),
        read_only_root_filesystem: Some(true),
        run_as_non_root: Some(true),
        run_as_user: user.id(),
        run_as_group: user.id(),
        seccomp_profile: Some(core::SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            localhost_profile: None,
        }),
        ..core::SecurityContext::default()
    }
}

/// The user of the injected containers of a profile.
pub(super) fn run_as_user(boot: &Boot, settings: &InstallationSettings) -> RunAsUser {
    boot.run_as_user.unwrap_or(settings.boot_run_as_user)
}

/// Sets the user of an injected container that has none if the user of the pod is root: the container has
/// `runAsNonRoot`, so the kubelet would not start it. A platform that allows this pod to run as root also
/// allows any other user.
pub(super) fn avoid_root(container: &mut Value, pod: &Pod<'_>) {
    if pod.run_as_user != Some(0) {
        return;
    }
    let context = container.get_mut("securityContext").and_then(Value::as_object_mut);
    if let Some(context) = context.filter(|context| !context.contains_key("runAsUser")) {
        for field in ["runAsUser", "runAsGroup"] {
            context.insert(field.to_owned(), names::USER.into());
        }
    }
}
