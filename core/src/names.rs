//! Every label, annotation, path, volume, container and env name that Bootlace reads or writes.
//!
//! They are in one module so that the chart, the docs and the code stay consistent: tests compare the
//! rendered manifests and the reference page with these constants. Names that the launcher also uses are
//! defined in its package, which has almost no dependencies, and are aliased here.

use bootlace_launch::layout;

/// The domain of Bootlace's own labels and annotations, and the API group of its custom resources.
pub const DOMAIN: &str = "bootlace.dev";

/// Pod label: opts the pod in. Its value names the `BootProfile`; see [`TASK_DEFAULT`] and [`TASK_OFF`].
pub const LABEL_TASK: &str = "bootlace.dev/task";
/// Value of [`LABEL_TASK`] that names no profile: uses the profile of the namespace ([`LABEL_PROFILE`]), or
/// [`PROFILE_DEFAULT`].
pub const TASK_DEFAULT: &str = "true";
/// Value of [`LABEL_TASK`] that opts a pod out. It takes precedence over everything else.
pub const TASK_OFF: &str = "false";
/// Profile of tasks if neither the pod nor its namespace names one.
pub const PROFILE_DEFAULT: &str = "default";

/// Namespace label: with the value [`SCHEDULERS_ENABLED`], pods that a known scheduler created are injected
/// too.
pub const LABEL_SCHEDULERS: &str = "bootlace.dev/schedulers";
/// Value of [`LABEL_SCHEDULERS`] that enables it.
pub const SCHEDULERS_ENABLED: &str = "enabled";

/// Namespace label: the profile of task pods in the namespace that name none.
pub const LABEL_PROFILE: &str = "bootlace.dev/profile";

/// Pod label, written by Bootlace: the monitor watches the pod. See [`MONITOR_LAUNCH`] and
/// [`MONITOR_SIDECARS`].
pub const LABEL_MONITOR: &str = "bootlace.dev/monitor";
/// Value of [`LABEL_MONITOR`] on pods that are watched until their tasks have started.
pub const MONITOR_LAUNCH: &str = "launch";
/// Value of [`LABEL_MONITOR`] on pods that are watched until their tasks have ended.
pub const MONITOR_SIDECARS: &str = "sidecars";
/// Pod annotation, written by the monitor: what it saw when it failed the pod, as JSON. Also the label of the
/// `ConfigMap` that keeps it, with the namespace of the pod as its value.
pub const ANNOTATION_DIAGNOSIS: &str = "bootlace.dev/diagnosis";
/// Annotation of such a `ConfigMap`: when the monitor deletes it.
pub const ANNOTATION_EXPIRES: &str = "bootlace.dev/expires";
/// Condition of a pod that the monitor failed because its tasks have not started in time: `False`.
pub const CONDITION_LAUNCHED: &str = "bootlace.dev/Launched";
/// Condition of a pod that the monitor failed because another container has failed: `True`.
pub const CONDITION_SIDECAR_FAILED: &str = "bootlace.dev/SidecarFailed";

/// Pod annotation, written by Bootlace: what was injected, as JSON (see `plan::InjectedAnnotation`).
pub const ANNOTATION_INJECTED: &str = "bootlace.dev/injected";
/// Part of the value of [`ANNOTATION_INJECTED`] if boot runs before the init containers of the pod. The API
/// server searches for it.
pub const INJECTED_FIRST: &str = r#""position":"First""#;
/// Pod annotation: names of the task containers, separated by commas.
pub const ANNOTATION_CONTAINERS: &str = "bootlace.dev/containers";
/// Pod annotation: entrypoint of the image, for pods without a command. A JSON array of strings, or an object
/// with such an array for each container.
pub const ANNOTATION_ENTRYPOINT: &str = "bootlace.dev/entrypoint";
/// Pod annotation: the env mode, which overrides that of the profile (see `profile::env::EnvMode`).
pub const ANNOTATION_ENV_MODE: &str = "bootlace.dev/env-mode";
/// Pod annotation: the boot image of the pod, which the profile must allow.
pub const ANNOTATION_INIT_IMAGE: &str = "bootlace.dev/init-image";
/// Pod annotation: names of the optional overlays of the profile that are applied to the pod, in this order,
/// separated by commas.
pub const ANNOTATION_OVERLAYS: &str = "bootlace.dev/overlays";
/// Prefix of pod annotations with links of the profile. The name of a link follows.
pub const ANNOTATION_LINK_PREFIX: &str = "bootlace.dev/link.";

/// The pod annotation with the link `name`.
#[must_use]
pub fn link_annotation(name: &str) -> String {
    format!("{ANNOTATION_LINK_PREFIX}{name}")
}
/// Prefix of pod annotations with resource attributes of OpenTelemetry. The name of an attribute follows.
/// <https://opentelemetry.io/docs/specs/semconv/non-normative/k8s-attributes/>
pub const ANNOTATION_RESOURCE_PREFIX: &str = "resource.opentelemetry.io/";
/// Pod annotation, written by the store: the last line of the progress of the task.
pub const ANNOTATION_PROGRESS: &str = "bootlace.dev/progress";
/// Annotation of Kubernetes that names the main container of a pod.
pub const ANNOTATION_DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// The init container that boots the task.
pub const CONTAINER_BOOT: &str = "bootlace-boot";
/// The init container that installs the launcher for [`CONTAINER_INIT`].
pub const CONTAINER_INSTALL: &str = "bootlace-install";
/// The init container that runs the boot image of the pod.
pub const CONTAINER_INIT: &str = "bootlace-init";
/// The emptyDir that boot fills and the task containers read.
pub const VOLUME: &str = "bootlace";
/// Prefix of the volumes that mount the `ConfigMap` or `Secret` of a source into boot. The position of the
/// source follows.
pub const VOLUME_SOURCE_PREFIX: &str = "bootlace-source-";
/// The emptyDir that [`CONTAINER_INIT`] fills and boot reads.
pub const VOLUME_OUT: &str = "bootlace-out";
/// Prefix of the volumes that mount a Secret into [`CONTAINER_INIT`]. The position of the Secret in the
/// profile follows.
pub const VOLUME_SECRET_PREFIX: &str = "bootlace-secret-";

/// The emptyDir around the files that a task can write to, in the layout of Optimus.
pub const VOLUME_DATA: &str = "bootlace-data";

/// The volume with the token for the store, in boot only.
pub const VOLUME_STORE: &str = "bootlace-store";

/// Mount path of [`VOLUME`], in boot (writable) and in the task containers (read-only).
pub const MOUNT: &str = layout::MOUNT;
/// Mount path of the volume of a source in boot. The position of the source follows.
pub const MOUNT_SOURCES: &str = "/bootlace-sources";
/// Mount path of [`VOLUME_STORE`] in boot.
pub const MOUNT_STORE: &str = "/bootlace-store";
/// The token, below [`MOUNT_STORE`].
pub const FILE_STORE_TOKEN: &str = "token";
/// Mount path of [`VOLUME_OUT`], in [`CONTAINER_INIT`] and in boot.
pub const MOUNT_OUT: &str = layout::MOUNT_OUT;
/// Mount path of the Secrets in [`CONTAINER_INIT`]. The name of a Secret follows.
pub const MOUNT_SECRETS: &str = "/bootlace-secrets";
/// The launcher, below [`MOUNT`].
pub const FILE_LAUNCHER: &str = "bin/launch";
/// The folder of env files, below [`MOUNT`].
pub const DIR_ENV: &str = "env";
/// The boot env, below [`MOUNT`]: `NAME=value` records, each terminated by a NUL byte, as in
/// `/proc/PID/environ`.
pub const FILE_ENV: &str = layout::FILE_ENVIRON;
/// Below [`MOUNT`], followed by `/` and the name of a container: names of the variables that the spec of the
/// container sets and that a source may also provide, each terminated by a NUL byte. For these, the launcher
/// uses the value of the spec.
pub const DIR_ENV_KEEP: &str = layout::DIR_KEEP;
/// Below [`MOUNT`], followed by `/` and the name of a container: the texts in the spec of the container that
/// refer to the boot env, unexpanded. The launcher expands them.
pub const DIR_ENV_REFERENCES: &str = layout::DIR_REFERENCES;
/// Below [`MOUNT`], followed by `/` and the name of a container: the boot env in the format that the kubelet
/// reads for `fileKeyRef` variables of the container.
pub const DIR_ENV_FILE: &str = "env/file";
/// The folder of assets, below [`MOUNT`].
pub const DIR_ASSETS: &str = "assets";
/// In the layout of Optimus: the folder of assets, below the mount path.
pub const DIR_OPTIMUS_IN: &str = "in";
/// In [`DIR_OPTIMUS_IN`]: the boot env for a shell to source, without the variables of secret sources.
pub const FILE_OPTIMUS_ENV: &str = ".env";
/// In [`DIR_OPTIMUS_IN`]: the rest of the boot env.
pub const FILE_OPTIMUS_SECRET: &str = ".secret";
/// Identity of the task, below [`MOUNT`]: JSON, without secrets.
pub const FILE_TASK: &str = "task.json";

/// Architectures that the Bootlace image is built for, as in the node label `kubernetes.io/arch`.
pub const IMAGE_ARCHITECTURES: [&str; 1] = ["amd64"];
/// The `bootlace` binary in the image.
pub const IMAGE_BOOTLACE: &str = "/usr/local/bin/bootlace";
/// The launcher in the image, which boot copies to [`FILE_LAUNCHER`].
pub const IMAGE_LAUNCHER: &str = "/usr/local/bin/bootlace-launch";
/// The launcher that boot copies instead if a hook sends a request.
pub const IMAGE_LAUNCHER_HTTP: &str = "/usr/local/bin/bootlace-launch-http";

/// Env of the boot container: its configuration as JSON (see `plan::BootSpec`). If it does not fit into one
/// variable, it continues in variables with the suffixes `_1`, `_2`, ….
pub const ENV_BOOT_SPEC: &str = "BOOTLACE_SPEC";

/// Env of the boot container: the signature of the configuration of the injected containers (see
/// `signature`).
pub const ENV_SIGNATURE: &str = "BOOTLACE_SIGNATURE";

/// Audience of the tokens that the store accepts.
pub const AUDIENCE: &str = "bootlace";
/// Prefix of the Secret that contains the boot env of a pod. [`SECRET_ENV_DIGITS`] hexadecimal digits follow.
pub const SECRET_ENV_PREFIX: &str = "bootlace-env-";
/// See [`SECRET_ENV_PREFIX`].
pub const SECRET_ENV_DIGITS: usize = 32;
/// Label of Kubernetes for the manager of an object. Bootlace sets it to [`MANAGED_BY`].
pub const LABEL_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`LABEL_MANAGED_BY`] on objects that Bootlace creates.
pub const MANAGED_BY: &str = "bootlace";
/// Reporting controller of Events about boot.
pub const EVENT_CONTROLLER: &str = "bootlace.dev/boot";
/// Reporting controller of Events about outputs.
pub const EVENT_CONTROLLER_PIPE: &str = "bootlace.dev/pipe";
/// Reporting controller of Events about hooks.
pub const EVENT_CONTROLLER_HOOKS: &str = "bootlace.dev/hooks";
/// Reporting controller of Events of the monitor.
pub const EVENT_CONTROLLER_MONITOR: &str = "bootlace.dev/monitor";
/// Reporting controller of Events about pods that wait for inputs.
pub const EVENT_CONTROLLER_WAIT: &str = "bootlace.dev/wait";

/// Whether a Secret has a name of the form that Bootlace generates for the boot env of a pod.
#[must_use]
pub fn is_env_secret(name: &str) -> bool {
    name.strip_prefix(SECRET_ENV_PREFIX).is_some_and(|digits| {
        digits.len() == SECRET_ENV_DIGITS
            && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    })
}
/// Env of the boot container, followed by the index of a container (with `INIT_` for an init container), `_`
/// and a name: the variables that `envFrom` provides to that container. Boot only reads their names, and lets
/// the values of the pod win.
pub const ENV_HELD_PREFIX: &str = "BOOTLACE_HELD_";

/// Default program of the boot image of a pod.
pub const IMAGE_INIT: &str = "/bootlace-init";

/// Env of [`CONTAINER_INIT`]: [`MOUNT_OUT`].
pub const ENV_OUT: &str = "BOOTLACE_OUT";
/// Env of [`CONTAINER_INIT`]: [`MOUNT_SECRETS`].
pub const ENV_SECRETS: &str = "BOOTLACE_SECRETS";
/// Env of [`CONTAINER_INIT`]: timeout in seconds.
pub const ENV_TIMEOUT: &str = "BOOTLACE_TIMEOUT_SECONDS";
/// Env of [`CONTAINER_INIT`]: name of the profile.
pub const ENV_PROFILE: &str = "BOOTLACE_PROFILE";
/// Env of [`CONTAINER_INIT`]: namespace of the pod.
pub const ENV_NAMESPACE: &str = "BOOTLACE_NAMESPACE";
/// Env of [`CONTAINER_INIT`]: name of the pod. Also of the boot container and [`CONTAINER_PIPE`], if they
/// need it.
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

/// Pod annotation: outputs of its tasks, as a YAML list (see `plan::pipes`).
pub const ANNOTATION_PIPE_OUT: &str = "bootlace.dev/pipe-out";
/// Pod annotation: inputs of its tasks, as a YAML list.
pub const ANNOTATION_PIPE_IN: &str = "bootlace.dev/pipe-in";
/// Pod annotation: the run of the task, if the creators of the pods have no run in common.
pub const ANNOTATION_RUN: &str = "bootlace.dev/run";
/// Annotation of the Secret with the certificates of Bootlace: requests new certificates. The webhook removes
/// it after it has issued them.
pub const ANNOTATION_ROTATE: &str = "bootlace.dev/rotate";
/// Pod annotation: the workflow of [`ANNOTATION_RUN`].
pub const ANNOTATION_WORKFLOW: &str = "bootlace.dev/workflow";
/// Prefix of the volumes that contain inputs of a task. A number follows.
pub const VOLUME_PIPE_PREFIX: &str = "bootlace-pipe-";
/// Mount path in [`CONTAINER_PIPE`] of the volumes of the pod from which it reads outputs. A number follows.
pub const MOUNT_SHARED: &str = "/bootlace-shared";
/// The emptyDir in which tasks report their progress.
pub const VOLUME_PROGRESS: &str = "bootlace-progress";
/// Mount path of [`VOLUME_PROGRESS`], in task containers and in [`CONTAINER_PIPE`].
pub const MOUNT_PROGRESS: &str = "/bootlace-progress";
/// Env of a task container: the path of the file in which it reports its progress.
pub const ENV_PROGRESS: &str = "BOOTLACE_PROGRESS";
/// Env of a task, which SDKs of OpenTelemetry read: resource attributes.
/// <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>
pub const ENV_RESOURCE_ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";
/// Env of a task: the attribute `service.name`.
pub const ENV_SERVICE_NAME: &str = "OTEL_SERVICE_NAME";
/// Env of a task: the trace of its run.
/// <https://opentelemetry.io/docs/specs/otel/context/env-carriers/>
pub const ENV_TRACE_PARENT: &str = "TRACEPARENT";
/// Env of a task, which clients of OpenLineage read: its parent run and root run as JSON.
pub const ENV_LINEAGE_CONTEXT: &str = "OPENLINEAGE_CONTEXT";
/// Env of a task: its parent run, in the format that [`ENV_LINEAGE_CONTEXT`] replaces.
pub const ENV_LINEAGE_PARENT: &str = "OPENLINEAGE_PARENT_ID";
/// Env of a task: its root run, in the same format.
pub const ENV_LINEAGE_ROOT: &str = "OPENLINEAGE_ROOT_PARENT_ID";
/// The native sidecar that sends the outputs and the progress of the tasks to the store.
pub const CONTAINER_PIPE: &str = "bootlace-pipe";
/// The emptyDir in which the launchers pass outputs to [`CONTAINER_PIPE`].
pub const VOLUME_RUN: &str = "bootlace-run";
/// Mount path of [`VOLUME_RUN`]. A task container only mounts the folder that has the name of the container.
pub const MOUNT_RUN: &str = "/bootlace-run";
/// Env of [`CONTAINER_PIPE`]: its configuration as JSON (see `output::SidecarConfig`).
pub const ENV_PIPES: &str = "BOOTLACE_PIPES";
/// The init container that waits for outputs that earlier tasks have not stored yet.
pub const CONTAINER_WAIT: &str = "bootlace-wait";
/// The init container after [`CONTAINER_WAIT`], which waits until the kubelet has put these outputs into the
/// volumes of the pod.
pub const CONTAINER_VOLUME_WAIT: &str = "bootlace-look";
/// Env of [`CONTAINER_WAIT`] and [`CONTAINER_VOLUME_WAIT`]: the outputs to wait for, as JSON (see
/// `input::WaitSpec`).
pub const ENV_WAIT: &str = "BOOTLACE_WAIT";
/// Mount path in [`CONTAINER_VOLUME_WAIT`] of the volumes that contain these outputs. The name of a volume
/// follows.
pub const MOUNT_AWAITED: &str = "/bootlace-awaited";
/// Env of [`CONTAINER_PIPE`]: the hooks that it runs, as JSON (see `abort::HooksConfig`).
pub const ENV_HOOKS: &str = "BOOTLACE_HOOKS";
/// Env of [`CONTAINER_PIPE`] and of the boot container: UID of the pod.
pub const ENV_POD_UID: &str = "BOOTLACE_POD_UID";
/// Env of the boot container: name of the node.
pub const ENV_NODE: &str = "BOOTLACE_NODE";
/// Env of a task whose profile has hooks for its end: the path of the file in which it leaves what its abort
/// needs.
pub const ENV_ABORT: &str = layout::ENV_ABORT;
/// Prefix of the volumes that mount a Secret or `ConfigMap` of a hook into [`CONTAINER_PIPE`]. The position
/// of the hook follows.
pub const VOLUME_HOOK_PREFIX: &str = "bootlace-hook-";
/// Mount path of the volumes of a hook in [`CONTAINER_PIPE`]. The position of the hook follows.
pub const MOUNT_HOOKS: &str = "/bootlace-hooks";
/// In the volume [`VOLUME_RUN`], outside of the folders of the containers: exists from when the kubelet
/// begins to stop the pod.
pub const FILE_STOPPING: &str = ".stopping";

/// Label of a `Pipe`: a hash of its scheduler, workflow and run, by which later tasks of the run find it.
pub const LABEL_PIPE_RUN: &str = "bootlace.dev/pipe-run";

/// Whether the name of a container or volume is one that Bootlace uses now or may use later, so that an
/// overlay cannot use it.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    name.strip_prefix(VOLUME).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// Prefix of the variables of Bootlace.
pub const ENV_PREFIX: &str = "BOOTLACE_";

/// Whether the name of a container is reserved for Bootlace.
#[must_use]
pub fn is_own_container(name: &str) -> bool {
    [CONTAINER_BOOT, CONTAINER_INSTALL, CONTAINER_INIT, CONTAINER_PIPE, CONTAINER_WAIT, CONTAINER_VOLUME_WAIT]
        .contains(&name)
}

/// User ID of the Bootlace image. It is numeric because `runAsNonRoot` cannot check a name.
pub const USER: i64 = 65532;
