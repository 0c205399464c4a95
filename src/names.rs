//! Every label, annotation, path, volume, container and env name that Bootlace reads or writes.
//!
//! One module, so that the chart, the docs and the code cannot drift apart: tests compare the rendered
//! manifests and the reference page with these constants. What the launcher reads too stands in its own package,
//! which depends on nothing, and is only called by its name here.

use bootlace_launch::layout;

/// The domain of Bootlace's own labels and annotations, and the API group of its custom resources.
pub const DOMAIN: &str = "bootlace.dev";

/// Pod label: opts the pod in. Its value names the `BootProfile`; see [`TASK_DEFAULT`] and [`TASK_OFF`].
pub const LABEL_TASK: &str = "bootlace.dev/task";
/// Value of [`LABEL_TASK`] that names no profile: the namespace's counts ([`LABEL_PROFILE`]), else [`PROFILE_DEFAULT`].
pub const TASK_DEFAULT: &str = "true";
/// Value of [`LABEL_TASK`] that opts a pod out. It always wins.
pub const TASK_OFF: &str = "false";
/// The profile that is used where neither the pod nor its namespace names one.
pub const PROFILE_DEFAULT: &str = "default";

/// Namespace label: with the value [`SCHEDULERS_ENABLED`], pods that a known scheduler marked as its own are
/// injected too.
pub const LABEL_SCHEDULERS: &str = "bootlace.dev/schedulers";
/// The value of [`LABEL_SCHEDULERS`] that turns it on.
pub const SCHEDULERS_ENABLED: &str = "enabled";

/// Namespace label: names the profile of the namespace's tasks whose pods name none.
pub const LABEL_PROFILE: &str = "bootlace.dev/profile";

/// Pod annotation, written by Bootlace: what was injected, as JSON (see `plan::Injected`).
pub const ANNOTATION_INJECTED: &str = "bootlace.dev/injected";
/// Pod annotation: comma-separated names of the containers that are tasks.
pub const ANNOTATION_CONTAINERS: &str = "bootlace.dev/containers";
/// Kubernetes' own annotation that names a pod's main container.
pub const ANNOTATION_DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// The init container that boots the task.
pub const CONTAINER_BOOT: &str = "bootlace-boot";
/// The emptyDir that boot fills and the task containers read.
pub const VOLUME: &str = "bootlace";
/// Prefix of the volumes that mount a source's `ConfigMap` or `Secret` into boot; the source's position follows.
pub const VOLUME_SOURCE_PREFIX: &str = "bootlace-source-";

/// The volume with the token by which the store knows the pod, in boot only.
pub const VOLUME_STORE: &str = "bootlace-store";

/// Where [`VOLUME`] is mounted, in boot (writable) and in the task containers (read-only).
pub const MOUNT: &str = layout::MOUNT;
/// Where a source's own volume is mounted in boot; the source's position follows.
pub const MOUNT_SOURCES: &str = "/bootlace-sources";
/// Where [`VOLUME_STORE`] is mounted in boot.
pub const MOUNT_STORE: &str = "/bootlace-store";
/// The token, below [`MOUNT_STORE`].
pub const FILE_STORE_TOKEN: &str = "token";
/// The launcher, below [`MOUNT`].
pub const FILE_LAUNCHER: &str = "bin/launch";
/// The folder of env files, below [`MOUNT`].
pub const DIR_ENV: &str = "env";
/// The boot env, below [`MOUNT`]: `NAME=value` records, each ended by a NUL byte, as in `/proc/PID/environ`.
pub const FILE_ENV: &str = layout::FILE_ENVIRON;
/// Below [`MOUNT`], followed by `/` and a container's name: the env names that the pod's spec sets itself for
/// that container and a source may give too, each ended by a NUL byte. The launcher lets the pod's win.
pub const DIR_ENV_KEEP: &str = layout::DIR_KEEP;
/// The folder of assets, below [`MOUNT`].
pub const DIR_ASSETS: &str = "assets";
/// Who the task is, below [`MOUNT`]: JSON, no secrets.
pub const FILE_TASK: &str = "task.json";

/// The `bootlace` binary in the image.
pub const IMAGE_BOOTLACE: &str = "/usr/local/bin/bootlace";
/// The launcher in the image, which boot copies to [`FILE_LAUNCHER`].
pub const IMAGE_LAUNCHER: &str = "/usr/local/bin/bootlace-launch";

/// Env of the boot container: what to do, as JSON (see `plan::BootSpec`). What does not fit goes on in
/// variables of the same name with `_1`, `_2`, … behind it.
pub const ENV_BOOT_SPEC: &str = "BOOTLACE_SPEC";

/// The audience of the token that the store takes.
pub const AUDIENCE: &str = "bootlace";
/// The Secret that holds a pod's boot env: this, then [`SECRET_ENV_DIGITS`] hexadecimal digits.
pub const SECRET_ENV_PREFIX: &str = "bootlace-env-";
/// See [`SECRET_ENV_PREFIX`].
pub const SECRET_ENV_DIGITS: usize = 32;
/// Kubernetes' own label that says who manages an object; Bootlace writes [`MANAGED_BY`].
pub const LABEL_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`LABEL_MANAGED_BY`] on what Bootlace makes.
pub const MANAGED_BY: &str = "bootlace";
/// Who reports the Events of a boot.
pub const EVENT_CONTROLLER: &str = "bootlace.dev/boot";

/// Whether a Secret's name is one that Bootlace makes for a pod's boot env.
#[must_use]
pub fn is_env_secret(name: &str) -> bool {
    name.strip_prefix(SECRET_ENV_PREFIX).is_some_and(|digits| {
        digits.len() == SECRET_ENV_DIGITS
            && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// The numeric user of Bootlace's image, because `runAsNonRoot` cannot check a named one.
pub const USER: i64 = 65532;
