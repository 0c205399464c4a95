//! Why a pod's outputs cannot be handed over as it asks.

use bootlace_launch::handover::MAX_OUTPUTS;

use crate::names;
use crate::plan::Version;
use crate::quote::quoted;

/// Why a pod's outputs cannot be handed over as it asks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PipesError {
    /// The annotation cannot be read.
    #[error(
        "annotation {} is not a valid YAML list ({why}): set a list such as \
         - {{key: Report, file: /out/report.json, kind: ConfigMap}}",
        names::ANNOTATION_PIPE_OUT
    )]
    NoList {
        /// What the parser says.
        why: String,
    },
    /// One of its entries cannot be meant so.
    #[error("annotation {}, entry {}: {what}", names::ANNOTATION_PIPE_OUT, position + 1)]
    Entry {
        /// Which, counted from 0.
        position: usize,
        /// What is wrong with it.
        what: String,
    },
    /// It declares a key twice.
    #[error(
        "annotation {} declares output {key:?} twice: use a different key for each output",
        names::ANNOTATION_PIPE_OUT
    )]
    Twice {
        /// The key.
        key: String,
    },
    /// An output is given to a container that is no task.
    #[error(
        "{by} assigns output {key:?} to container {container:?}, which is not a task container: use one of {}, or add \
         {container:?} to annotation {}",
        quoted(known),
        names::ANNOTATION_CONTAINERS
    )]
    NoTask {
        /// Who declares it.
        by: String,
        /// The output's key.
        key: String,
        /// The container.
        container: String,
        /// What there is.
        known: Vec<String>,
    },
    /// An output is given to an init container, which ends before the sidecar that takes it may start.
    #[error(
        "{by} assigns output {key:?} to init container {container:?}, which ends before the sidecar {:?} starts: assign it to \
         a container of spec.containers, or remove it",
        names::CONTAINER_PIPE
    )]
    OfInitContainer {
        /// Who declares it.
        by: String,
        /// The output's key.
        key: String,
        /// The container.
        container: String,
    },
    /// An output is given to no container, and there are several tasks.
    #[error(
        "{by} does not name the container of output {key:?}, and the pod has several task containers: set container to one of \
         {}",
        quoted(known)
    )]
    WhichTask {
        /// Who declares it.
        by: String,
        /// The output's key.
        key: String,
        /// The task containers.
        known: Vec<String>,
    },
    /// There are more than a launcher takes.
    #[error(
        "the pod and its BootProfile declare {count} outputs, the limit is {MAX_OUTPUTS}: use a pattern such as /out/*.json \
         instead of many outputs"
    )]
    TooMany {
        /// How many.
        count: usize,
    },
    /// Nobody could find them.
    #[error(
        "the pod declares outputs, but its run is unknown, so no later task could find them: set annotation {} (and {} if the \
         name of the run is not unique)",
        names::ANNOTATION_RUN,
        names::ANNOTATION_WORKFLOW
    )]
    NoRun,
    /// There is no store.
    #[error(
        "the pod declares outputs, but the Bootlace store is not installed: install the chart with store.enabled=true, or \
         remove pipes.outputs from BootProfile {profile:?} and annotation {} from the pod",
        names::ANNOTATION_PIPE_OUT
    )]
    NoStore {
        /// The profile.
        profile: String,
    },
    /// The cluster does not know native sidecars.
    #[error(
        "the pod declares outputs, which require Kubernetes {} or later for native sidecars, but the API server has version \
         {version}: upgrade the cluster, or store outputs elsewhere",
        Version::NATIVE_SIDECARS
    )]
    TooOld {
        /// The API server's version.
        version: Version,
    },
    /// The file of a task without a launcher lies where the sidecar cannot see it.
    #[error(
        "file {file:?} of output {key:?} (container {container:?}) is not in a volume of the pod, and the launcher cannot \
         store it because {because}: mount an emptyDir volume around the file, or set the image's entrypoint as `command`"
    )]
    NotShared {
        /// The output's key.
        key: String,
        /// The container.
        container: String,
        /// The file.
        file: String,
        /// Why there is no launcher.
        because: String,
    },
    /// It lies on a volume whose folder only the kubelet knows.
    #[error(
        "file {file:?} of output {key:?} (container {container:?}) is in volume {volume:?}, which is mounted with a \
         subPathExpr that the sidecar cannot resolve: use subPath, or mount the whole volume"
    )]
    Expression {
        /// The output's key.
        key: String,
        /// The container.
        container: String,
        /// The file.
        file: String,
        /// The volume.
        volume: String,
    },
    /// There is no store, so nothing was ever handed over.
    #[error(
        "the pod waits for pipe {key:?}, but the Bootlace store is not installed: install the chart with store.enabled=true, \
         or remove wait from annotation {}",
        names::ANNOTATION_PIPE_IN
    )]
    WaitNoStore {
        /// The pipe's key.
        key: String,
    },
    /// Nobody can hand over what it waits for.
    #[error(
        "the pod waits for pipe {key:?}, which requires Kubernetes {} or later, but the API server has version {version}: \
         upgrade the cluster",
        Version::NATIVE_SIDECARS
    )]
    WaitTooOld {
        /// The pipe's key.
        key: String,
        /// The API server's version.
        version: Version,
    },
    /// What a container must be told does not fit into one env variable.
    #[error(
        "the configuration of container {container:?} has {size} bytes, the limit is {limit}: declare fewer pipes, or use \
         shorter paths"
    )]
    TooLarge {
        /// The container.
        container: &'static str,
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
}
