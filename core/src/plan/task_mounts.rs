//! The mounts that Bootlace adds to containers of the pod.

use std::borrow::Cow;

use k8s_openapi::api::core::v1 as core;

use crate::names;
use crate::profile::BootProfileSpec;

/// A mount that Bootlace adds to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AddedMount<'p> {
    /// Name of the volume.
    pub(super) volume: &'static str,
    /// Mount path.
    pub(super) path: Cow<'p, str>,
    /// The mounted folder of the volume; `None` for the whole volume.
    pub(super) sub_path: Option<&'static str>,
    /// Whether it is read-only.
    pub(super) read_only: bool,
    /// Whether `assets.mountPath` sets the path.
    pub(super) movable: bool,
}

impl AddedMount<'_> {
    pub(super) fn to_volume_mount(&self) -> core::VolumeMount {
        core::VolumeMount {
            name: self.volume.to_owned(),
            mount_path: self.path.as_ref().to_owned(),
            read_only: self.read_only.then_some(true),
            sub_path: self.sub_path.map(str::to_owned),
            ..core::VolumeMount::default()
        }
    }
}

/// The output of boot except the assets: the launcher, the boot env, the identity of the task.
pub(super) const BOOTED: AddedMount<'static> = AddedMount {
    volume: names::VOLUME,
    path: Cow::Borrowed(names::MOUNT),
    sub_path: None,
    read_only: true,
    movable: false,
};

/// The volume in which a task passes its outputs to the sidecar. Each container mounts its own folder.
pub(super) const HANDOVER: AddedMount<'static> = AddedMount {
    volume: names::VOLUME_RUN,
    path: Cow::Borrowed(names::MOUNT_RUN),
    sub_path: None,
    read_only: false,
    movable: false,
};

/// The files that boot fetches. They are mounted by `subPath`, so that the container only gets these files,
/// at the path that its image expects.
pub(super) fn assets(profile: &BootProfileSpec) -> AddedMount<'_> {
    AddedMount {
        volume: names::VOLUME,
        path: profile.assets.files(),
        sub_path: Some(names::DIR_ASSETS),
        read_only: true,
        movable: true,
    }
}

/// The writable parent folder of the assets, in layouts that have one.
pub(super) fn data(profile: &BootProfileSpec) -> Option<AddedMount<'_>> {
    profile.assets.writable().map(|path| AddedMount {
        volume: names::VOLUME_DATA,
        path: path.into(),
        sub_path: None,
        read_only: false,
        movable: true,
    })
}

/// The mounts of each task container, as Kubernetes type.
pub(super) fn task_volume_mounts(profile: &BootProfileSpec) -> Vec<core::VolumeMount> {
    task_mounts(profile).map(|mount| mount.to_volume_mount()).collect()
}

/// The mounts of each task container.
pub(super) fn task_mounts(profile: &BootProfileSpec) -> impl Iterator<Item = AddedMount<'_>> {
    [BOOTED, assets(profile)].into_iter().chain(data(profile))
}
