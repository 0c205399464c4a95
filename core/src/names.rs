//! Every label, annotation, path, volume, container and env name that Bootlace reads or writes.
//!
//! One module, so that the chart, the docs and the code cannot drift apart: tests compare the rendered
//! manifests and the reference page with these constants. What the launcher reads too stands in its own package,
//! which depends on next to nothing, and is only called by its name here.

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
/// What [`ANNOTATION_INJECTED`] holds where boot comes before the pod's own init containers. The API server looks for it.
pub const INJECTED_FIRST: &str = r#""position":"First""#;
/// Pod annotation: comma-separated names of the containers that are tasks.
pub const ANNOTATION_CONTAINERS: &str = "bootlace.dev/containers";
/// Pod annotation: the image's entrypoint, where the pod names no command, as a JSON array of strings; or an object of
/// such arrays by container.
pub const ANNOTATION_ENTRYPOINT: &str = "bootlace.dev/entrypoint";
/// Pod annotation: the way that the boot env takes, in place of the profile's (see `profile::spec::EnvMode`).
pub const ANNOTATION_ENV_MODE: &str = "bootlace.dev/env-mode";
/// Pod annotation: a boot image of the pod's own, which the profile must allow.
pub const ANNOTATION_INIT_IMAGE: &str = "bootlace.dev/init-image";
/// Kubernetes' own annotation that names a pod's main container.
pub const ANNOTATION_DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// The init container that boots the task.
pub const CONTAINER_BOOT: &str = "bootlace-boot";
/// The init container that puts the launcher in place for [`CONTAINER_INIT`].
pub const CONTAINER_INSTALL: &str = "bootlace-install";
/// The init container that runs a boot image of the pod's own.
pub const CONTAINER_INIT: &str = "bootlace-init";
/// The emptyDir that boot fills and the task containers read.
pub const VOLUME: &str = "bootlace";
/// Prefix of the volumes that mount a source's `ConfigMap` or `Secret` into boot; the source's position follows.
pub const VOLUME_SOURCE_PREFIX: &str = "bootlace-source-";
/// The emptyDir that [`CONTAINER_INIT`] fills and boot reads.
pub const VOLUME_OUT: &str = "bootlace-out";
/// Prefix of the volumes that mount a Secret into [`CONTAINER_INIT`]; its position in the profile follows.
pub const VOLUME_SECRET_PREFIX: &str = "bootlace-secret-";

/// The emptyDir that a task can write to around its files, in the layout of Optimus.
pub const VOLUME_DATA: &str = "bootlace-data";

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
/// Where [`VOLUME_OUT`] is mounted, in [`CONTAINER_INIT`] and in boot.
pub const MOUNT_OUT: &str = layout::MOUNT_OUT;
/// Where [`CONTAINER_INIT`] sees its Secrets; a Secret's name follows.
pub const MOUNT_SECRETS: &str = "/bootlace-secrets";
/// The launcher, below [`MOUNT`].
pub const FILE_LAUNCHER: &str = "bin/launch";
/// The folder of env files, below [`MOUNT`].
pub const DIR_ENV: &str = "env";
/// The boot env, below [`MOUNT`]: `NAME=value` records, each ended by a NUL byte, as in `/proc/PID/environ`.
pub const FILE_ENV: &str = layout::FILE_ENVIRON;
/// Below [`MOUNT`], followed by `/` and a container's name: the env names that the pod's spec sets itself for
/// that container and a source may give too, each ended by a NUL byte. The launcher lets the pod's win.
pub const DIR_ENV_KEEP: &str = layout::DIR_KEEP;
/// Below [`MOUNT`], followed by `/` and a container's name: what of that container's spec refers to the boot env, as the
/// spec has it. The launcher resolves it.
pub const DIR_ENV_REFERENCES: &str = layout::DIR_REFERENCES;
/// Below [`MOUNT`], followed by `/` and a container's name: the boot env as the kubelet reads it for that container's
/// `fileKeyRef` variables.
pub const DIR_ENV_FILE: &str = "env/file";
/// The folder of assets, below [`MOUNT`].
pub const DIR_ASSETS: &str = "assets";
/// In the layout of Optimus: the folder of assets, below the mount path.
pub const DIR_OPTIMUS_IN: &str = "in";
/// In that folder: the boot env for a shell to source, without what its sources keep secret.
pub const FILE_OPTIMUS_ENV: &str = ".env";
/// In that folder: the rest of the boot env.
pub const FILE_OPTIMUS_SECRET: &str = ".secret";
/// Who the task is, below [`MOUNT`]: JSON, no secrets.
pub const FILE_TASK: &str = "task.json";

/// The architectures that Bootlace's image is built for, as nodes name theirs in the label `kubernetes.io/arch`.
pub const IMAGE_ARCHITECTURES: [&str; 1] = ["amd64"];
/// The `bootlace` binary in the image.
pub const IMAGE_BOOTLACE: &str = "/usr/local/bin/bootlace";
/// The launcher in the image, which boot copies to [`FILE_LAUNCHER`].
pub const IMAGE_LAUNCHER: &str = "/usr/local/bin/bootlace-launch";
/// The one that it copies there where a hook sends a request.
pub const IMAGE_LAUNCHER_HTTP: &str = "/usr/local/bin/bootlace-launch-http";

/// Env of the boot container: what to do, as JSON (see `plan::BootSpec`). What does not fit goes on in
/// variables of the same name with `_1`, `_2`, … behind it.
pub const ENV_BOOT_SPEC: &str = "BOOTLACE_SPEC";

/// Env of the boot container: the signature of what the injected containers are told (see `signature`).
pub const ENV_SIGNATURE: &str = "BOOTLACE_SIGNATURE";

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
/// Who reports the Events of outputs.
pub const EVENT_CONTROLLER_PIPE: &str = "bootlace.dev/pipe";
/// Who reports the Events of pods that waited for inputs.
pub const EVENT_CONTROLLER_WAIT: &str = "bootlace.dev/wait";

/// Whether a Secret's name is one that Bootlace makes for a pod's boot env.
#[must_use]
pub fn is_env_secret(name: &str) -> bool {
    name.strip_prefix(SECRET_ENV_PREFIX).is_some_and(|digits| {
        digits.len() == SECRET_ENV_DIGITS
            && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    })
}
/// Env of the boot container, followed by a container's number (`INIT_` and its number of an init container), `_` and a name: what the pod's own `envFrom` gives to
/// that container. Boot looks at the names only, and lets the pod's win.
pub const ENV_HELD_PREFIX: &str = "BOOTLACE_HELD_";

/// The program of a boot image of the pod's own, where the profile names none.
pub const IMAGE_INIT: &str = "/bootlace-init";

/// Env of [`CONTAINER_INIT`]: [`MOUNT_OUT`].
pub const ENV_OUT: &str = "BOOTLACE_OUT";
/// Env of [`CONTAINER_INIT`]: [`MOUNT_SECRETS`].
pub const ENV_SECRETS: &str = "BOOTLACE_SECRETS";
/// Env of [`CONTAINER_INIT`]: seconds until it is ended.
pub const ENV_TIMEOUT: &str = "BOOTLACE_TIMEOUT_SECONDS";
/// Env of [`CONTAINER_INIT`]: the profile's name.
pub const ENV_PROFILE: &str = "BOOTLACE_PROFILE";
/// Env of [`CONTAINER_INIT`]: the pod's namespace.
pub const ENV_NAMESPACE: &str = "BOOTLACE_NAMESPACE";
/// Env of [`CONTAINER_INIT`]: the pod's name.
pub const ENV_POD: &str = "BOOTLACE_POD";
/// Env of [`CONTAINER_INIT`]: `Identity::scheduler`.
pub const ENV_SCHEDULER: &str = "BOOTLACE_SCHEDULER";
/// Env of [`CONTAINER_INIT`]: `Identity::workflow`.
pub const ENV_WORKFLOW: &str = "BOOTLACE_WORKFLOW";
/// Env of [`CONTAINER_INIT`]: `Identity::run`.
pub const ENV_RUN: &str = "BOOTLACE_RUN";
/// Env of [`CONTAINER_INIT`]: `Identity::task`.
pub const ENV_TASK: &str = "BOOTLACE_TASK";
/// Env of [`CONTAINER_INIT`]: `Identity::attempt`.
pub const ENV_ATTEMPT: &str = "BOOTLACE_ATTEMPT";
/// Env of [`CONTAINER_INIT`]: `Identity::map_index`.
pub const ENV_MAP_INDEX: &str = "BOOTLACE_MAP_INDEX";
/// Env of [`CONTAINER_INIT`]: `Identity::scheduled_time`.
pub const ENV_SCHEDULED_TIME: &str = "BOOTLACE_SCHEDULED_TIME";

/// Pod annotation: what its tasks hand over to later ones, as a YAML list (see `plan::pipes`).
pub const ANNOTATION_PIPE_OUT: &str = "bootlace.dev/pipe-out";
/// Pod annotation: what its tasks take from earlier ones, as a YAML list.
pub const ANNOTATION_PIPE_IN: &str = "bootlace.dev/pipe-in";
/// Pod annotation: the run that the task belongs to, where its pods' makers know of none that they share.
pub const ANNOTATION_RUN: &str = "bootlace.dev/run";
/// Annotation of the Secret that Bootlace keeps its certificates in: asks for new ones. The webhook takes it off when it has
/// made them.
pub const ANNOTATION_ROTATE: &str = "bootlace.dev/rotate";
/// Pod annotation: the workflow of [`ANNOTATION_RUN`].
pub const ANNOTATION_WORKFLOW: &str = "bootlace.dev/workflow";
/// Prefix of the volumes that hold what a task takes from an earlier one; a number follows.
pub const VOLUME_PIPE_PREFIX: &str = "bootlace-pipe-";
/// Where [`CONTAINER_PIPE`] has the pod's own volumes that it reads outputs from itself; a number follows.
pub const MOUNT_SHARED: &str = "/bootlace-shared";
/// The native sidecar that has the tasks' outputs stored.
pub const CONTAINER_PIPE: &str = "bootlace-pipe";
/// The emptyDir on which the launchers hand outputs over to [`CONTAINER_PIPE`].
pub const VOLUME_RUN: &str = "bootlace-run";
/// Where [`VOLUME_RUN`] is mounted in [`CONTAINER_PIPE`]; in a task container, the folder below it that is named like
/// the container, alone.
pub const MOUNT_RUN: &str = "/bootlace-run";
/// Env of [`CONTAINER_PIPE`]: what to do, as JSON (see `output::PipeSpec`).
pub const ENV_PIPES: &str = "BOOTLACE_PIPES";
/// The init container that waits for what earlier tasks have not handed over yet.
pub const CONTAINER_WAIT: &str = "bootlace-wait";
/// The init container behind it, which sees to it that the kubelet has put it into the pod's volumes.
pub const CONTAINER_VOLUME_WAIT: &str = "bootlace-look";
/// Env of [`CONTAINER_WAIT`] and [`CONTAINER_VOLUME_WAIT`]: what is awaited, as JSON (see `input::WaitSpec`).
pub const ENV_WAIT: &str = "BOOTLACE_WAIT";
/// Where [`CONTAINER_VOLUME_WAIT`] has the volumes that hold what is awaited; a volume's name follows.
pub const MOUNT_AWAITED: &str = "/bootlace-awaited";
/// Label of a `Pipe`: a hash of its scheduler, workflow and run, by which a later task of that run finds it.
pub const LABEL_PIPE_RUN: &str = "bootlace.dev/pipe-run";

/// Whether a container's name is one of Bootlace's.
#[must_use]
pub fn is_own_container(name: &str) -> bool {
    [CONTAINER_BOOT, CONTAINER_INSTALL, CONTAINER_INIT, CONTAINER_PIPE, CONTAINER_WAIT, CONTAINER_VOLUME_WAIT]
        .contains(&name)
}

/// The numeric user of Bootlace's image, because `runAsNonRoot` cannot check a named one.
pub const USER: i64 = 65532;
