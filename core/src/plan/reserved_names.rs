//! The names of containers and volumes that are reserved for Bootlace.

use std::collections::BTreeSet;

use super::{PlanError, mounts};
use crate::names;
use crate::pod::Pod;
use crate::profile::BootProfileSpec;

/// Refuses a pod that uses a name that is reserved for Bootlace. Otherwise, merging by name would silently
/// combine two containers or volumes.
pub(super) fn check_names_are_free(pod: &Pod<'_>, profile: &BootProfileSpec) -> Result<(), PlanError> {
    let taken = |field, name: &str| PlanError::NameTaken { field, name: name.to_owned() };
    if let Some(container) = pod.all_containers().find(|container| names::is_own_container(container.name)) {
        return Err(taken("container", container.name));
    }
    let data = profile.assets.writable().is_some();
    let is_reserved = |name: &str| {
        [names::VOLUME, names::VOLUME_PROGRESS, names::VOLUME_RUN, names::VOLUME_STORE].contains(&name)
            || (data && name == names::VOLUME_DATA)
            || mounts::is_source_volume(profile, name)
            || mounts::is_init_image_volume(name)
            || (profile.hooks.need_sidecar() && name.starts_with(names::VOLUME_HOOK_PREFIX))
    };
    match pod.volumes.iter().flatten().find(|volume| is_reserved(volume.name)) {
        Some(volume) => Err(taken("volume", volume.name)),
        None => Ok(()),
    }
}

/// Refuses a pod that mounts volumes of Bootlace: they contain the token of the pod, the Secrets of its
/// sources, and files that only boot may write. `pod` is the original pod, which does not have these volumes.
pub(super) fn check_volumes_are_not_mounted(pod: &Pod<'_>) -> Result<(), PlanError> {
    let mut declared = None;
    for container in pod.all_containers() {
        let mounts = container.mounts.iter().flatten().map(|mount| (mount.volume, mount.path));
        let devices = container.devices.iter().map(|device| (device.volume, device.path));
        for (volume, path) in mounts.chain(devices).filter(|(volume, _)| names::is_reserved(volume)) {
            let declared = declared.get_or_insert_with(|| {
                pod.volumes.iter().flatten().map(|volume| volume.name).collect::<BTreeSet<_>>()
            });
            // A volume that the pod declares is not from Bootlace, or is refused because of its name.
            if !declared.contains(volume) {
                return Err(PlanError::ReservedVolume {
                    container: container.name.to_owned(),
                    volume: volume.to_owned(),
                    path: path.to_owned(),
                });
            }
        }
    }
    Ok(())
}
