//! The boot container and its volumes.

use k8s_openapi::api::core::v1 as core;

use super::container_parts::{memory_volume, read_only_mount, run_as_user, security_context, writable_mount};
use super::{InstallationSettings, env_secret, mounts};
use crate::names;
use crate::profile::spec::BootProfileSpec;

/// The volumes of the boot container.
pub(super) fn volumes(profile: &BootProfileSpec, settings: &InstallationSettings) -> Vec<core::Volume> {
    let token = settings.store.as_ref().map(|_| env_secret::volume());
    let sources = mounts::all(profile).into_iter().map(|mount| mount.volume);
    let data = profile.assets.writable().map(|_| core::Volume {
        name: names::VOLUME_DATA.to_owned(),
        // On the disk of the node: files that a task writes there should not use memory.
        empty_dir: Some(core::EmptyDirVolumeSource::default()),
        ..core::Volume::default()
    });
    [memory_volume(names::VOLUME, &*profile.volume.size_limit)]
        .into_iter()
        .chain(token)
        .chain(sources)
        .chain(data)
        .collect()
}

/// The boot container without its env and resources, which are specific to a pod.
pub(super) fn container(profile: &BootProfileSpec, settings: &InstallationSettings) -> core::Container {
    let boot = &profile.boot;
    let policy = match boot.image {
        Some(_) => boot.image_pull_policy,
        None => boot.image_pull_policy.or(settings.boot_image_pull_policy),
    };
    core::Container {
        name: names::CONTAINER_BOOT.to_owned(),
        image: Some(boot.image.clone().unwrap_or_else(|| settings.boot_image.clone())),
        image_pull_policy: policy.map(|policy| policy.as_str().to_owned()),
        command: Some(vec![names::IMAGE_BOOTLACE.to_owned(), "boot".to_owned()]),
        volume_mounts: Some(volume_mounts(profile, settings)),
        // Boot writes the message itself. If it is killed before that, the end of its log is used.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        security_context: Some(security_context(run_as_user(boot, settings))),
        ..core::Container::default()
    }
}

fn volume_mounts(profile: &BootProfileSpec, settings: &InstallationSettings) -> Vec<core::VolumeMount> {
    let token = settings.store.as_ref().map(|_| read_only_mount(names::VOLUME_STORE, names::MOUNT_STORE));
    let sources = mounts::all(profile);
    let sources = sources.into_iter().map(|mount| read_only_mount(&mount.volume.name, &mount.path));
    [writable_mount(names::VOLUME, names::MOUNT)].into_iter().chain(token).chain(sources).collect()
}
