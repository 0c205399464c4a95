//! Why a pod cannot store its outputs or wait for inputs.

use bootlace_launch::handover::MAX_OUTPUTS;

use crate::names;
use crate::plan::Version;
use crate::quote::quoted;

/// Why a pod cannot store its outputs or wait for inputs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PipesError {
    /// The annotation is not a valid list.
    #[error(
        "annotation {} is not a valid YAML list ({reason}): set a list such as \
         - {{key: Report, file: /out/report.json, kind: ConfigMap}}",
        names::ANNOTATION_PIPE_OUT
    )]
    NotAList {
        /// Error of the parser.
        reason: String,
    },
    /// An entry of the annotation is invalid.
    #[error("annotation {}, entry {}: {problem}", names::ANNOTATION_PIPE_OUT, position + 1)]
    InvalidEntry {
        /// Index of the entry.
        position: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// The annotation declares a key twice.
    #[error(
        "annotation {} declares output {key:?} twice: use a different key for each output",
        names::ANNOTATION_PIPE_OUT
    )]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// An output is assigned to a container that is not a task.
    #[error(
        "{declared_in} assigns output {key:?} to container {container:?}, which is not a task container: use one of {}, or add \
         {container:?} to annotation {}",
        quoted(available),
        names::ANNOTATION_CONTAINERS
    )]
    NotATaskContainer {
        /// The annotation or the profile.
        declared_in: String,
        /// Key of the output.
        key: String,
        /// The container.
        container: String,
        /// Names of the task containers.
        available: Vec<String>,
    },
    /// An output is assigned to an init container, which ends before the sidecar starts.
    #[error(
        "{declared_in} assigns output {key:?} to init container {container:?}, which ends before the sidecar {:?} starts: assign it to \
         a container of spec.containers, or remove it",
        names::CONTAINER_PIPE
    )]
    InitContainer {
        /// The annotation or the profile.
        declared_in: String,
        /// Key of the output.
        key: String,
        /// The container.
        container: String,
    },
    /// An output is not assigned to a container, and the pod has several task containers.
    #[error(
        "{declared_in} does not name the container of output {key:?}, and the pod has several task containers: set container to one of \
         {}",
        quoted(available)
    )]
    AmbiguousContainer {
        /// The annotation or the profile.
        declared_in: String,
        /// Key of the output.
        key: String,
        /// Names of the task containers.
        available: Vec<String>,
    },
    /// The number of outputs exceeds the limit of the launcher.
    #[error(
        "the pod and its BootProfile declare {count} outputs, the limit is {MAX_OUTPUTS}: use a pattern such as /out/*.json \
         instead of many outputs"
    )]
    TooMany {
        /// Number of outputs.
        count: usize,
    },
    /// The run of the task is unknown.
    #[error(
        "the pod declares outputs, but its run is unknown, so no later task could find them: set annotation {} (and {} if the \
         name of the run is not unique)",
        names::ANNOTATION_RUN,
        names::ANNOTATION_WORKFLOW
    )]
    NoRun,
    /// Outputs require the store, which is not installed.
    #[error(
        "the pod declares outputs, but the Bootlace store is not installed: install the chart with store.enabled=true, or \
         remove pipes.outputs from BootProfile {profile:?} and annotation {} from the pod",
        names::ANNOTATION_PIPE_OUT
    )]
    NoStore {
        /// The profile.
        profile: String,
    },
    /// Outputs require native sidecars, which the cluster does not support.
    #[error(
        "the pod declares outputs, which require Kubernetes {} or later for native sidecars, but the API server has version \
         {version}: upgrade the cluster, or store outputs elsewhere",
        Version::NATIVE_SIDECARS
    )]
    TooOld {
        /// Version of the API server.
        version: Version,
    },
    /// The file of a task without the launcher is not in a volume, so the sidecar cannot read it.
    #[error(
        "file {file:?} of output {key:?} (container {container:?}) is not in a volume of the pod, and the launcher cannot \
         store it because {reason}: mount an emptyDir volume around the file, or set the image's entrypoint as `command`"
    )]
    NotShared {
        /// Key of the output.
        key: String,
        /// The container.
        container: String,
        /// The file.
        file: String,
        /// Why the launcher does not start the task.
        reason: String,
    },
    /// The file is in a volume that is mounted with `subPathExpr`, which only the kubelet can resolve.
    #[error(
        "file {file:?} of output {key:?} (container {container:?}) is in volume {volume:?}, which is mounted with a \
         subPathExpr that the sidecar cannot resolve: use subPath, or mount the whole volume"
    )]
    SubPathExpression {
        /// Key of the output.
        key: String,
        /// The container.
        container: String,
        /// The file.
        file: String,
        /// The volume.
        volume: String,
    },
    /// Waiting requires the store, which is not installed.
    #[error(
        "the pod waits for pipe {key:?}, but the Bootlace store is not installed: install the chart with store.enabled=true, \
         or remove wait from annotation {}",
        names::ANNOTATION_PIPE_IN
    )]
    WaitNoStore {
        /// Key of the pipe.
        key: String,
    },
    /// Waiting requires a version of Kubernetes in which tasks can store outputs.
    #[error(
        "the pod waits for pipe {key:?}, which requires Kubernetes {} or later, but the API server has version {version}: \
         upgrade the cluster",
        Version::NATIVE_SIDECARS
    )]
    WaitTooOld {
        /// Key of the pipe.
        key: String,
        /// Version of the API server.
        version: Version,
    },
    /// The configuration of a container exceeds the limit of an env variable.
    #[error(
        "the configuration of container {container:?} has {size} bytes, the limit is {limit}: declare fewer pipes, or use \
         shorter paths"
    )]
    TooLarge {
        /// The container.
        container: &'static str,
        /// Size in bytes.
        size: usize,
        /// Limit in bytes.
        limit: usize,
    },
}
