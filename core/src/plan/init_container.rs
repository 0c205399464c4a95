//! The init containers, volumes and source of a boot image that a pod selects. The containers have no image,
//! env and resources yet.

use k8s_openapi::api::core::v1 as core;

use super::boot_spec::{BootSource, InitImageSource, SourceKind, SourceLimits};
use super::container_parts::{
    memory_volume, memory_volume_bytes, read_only_mount, security_context, writable_mount,
};
use crate::names;
use crate::profile::BootProfileSpec;
use crate::profile::init_image::InitImage;
use crate::profile::remote::Limits;
use crate::profile::run_as_user::RunAsUser;
use crate::profile::spec::Boot;

/// Name of the source in the log of boot.
const SOURCE: &str = "init-image";

/// The source for the output of the image. It is the last one, so it wins: the pod, which selects the image,
/// is more specific than the profile.
pub(super) fn source(profile: &BootProfileSpec) -> BootSource {
    let limits = Some(SourceLimits { bytes: memory_volume_bytes(profile), files: Limits::default().files });
    let from = InitImageSource { image: String::new(), path: names::MOUNT_OUT.to_owned() };
    BootSource { name: SOURCE.to_owned(), optional: false, limits, from: SourceKind::InitImage(from) }
}

/// The container that copies the launcher, from the container `boot`.
pub(super) fn install_container(boot: &core::Container) -> core::Container {
    core::Container {
        name: names::CONTAINER_INSTALL.to_owned(),
        volume_mounts: Some(vec![writable_mount(names::VOLUME, names::MOUNT)]),
        ..boot.clone()
    }
}

/// The container that runs the image.
pub(super) fn init_container(settings: &InitImage, boot: &Boot, user: RunAsUser) -> core::Container {
    let launch = [
        format!("{}/{}", names::MOUNT, names::FILE_LAUNCHER),
        "init".to_owned(),
        format!("--container={}", names::CONTAINER_INIT),
        format!("--timeout={}", boot.timeout_seconds),
        "--".to_owned(),
    ];
    let secrets = settings.secrets.iter().enumerate().map(|(position, name)| {
        read_only_mount(&secret_volume(position), &format!("{}/{name}", names::MOUNT_SECRETS))
    });
    let mounts =
        [read_only_mount(names::VOLUME, names::MOUNT), writable_mount(names::VOLUME_OUT, names::MOUNT_OUT)];
    core::Container {
        name: names::CONTAINER_INIT.to_owned(),
        command: Some(launch.into_iter().chain(settings.command.iter().cloned()).collect()),
        volume_mounts: Some(mounts.into_iter().chain(secrets).collect()),
        // The end of the log of the image is the reason of a failure, unless the image writes a message.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        security_context: Some(security_context(user)),
        ..core::Container::default()
    }
}

/// The volumes for the output of the image and for its Secrets.
pub(super) fn volumes(settings: &InitImage, profile: &BootProfileSpec) -> Vec<core::Volume> {
    let secrets = settings.secrets.iter().enumerate().map(|(position, name)| core::Volume {
        name: secret_volume(position),
        secret: Some(core::SecretVolumeSource {
            secret_name: Some(name.clone()),
            // The kubelet would wait indefinitely for a missing Secret. The image gets an empty folder
            // instead, and can report it.
            optional: Some(true),
            ..Default::default()
        }),
        ..core::Volume::default()
    });
    [memory_volume(names::VOLUME_OUT, &*profile.volume.size_limit)].into_iter().chain(secrets).collect()
}

fn secret_volume(position: usize) -> String {
    format!("{}{position}", names::VOLUME_SECRET_PREFIX)
}
