//! Why a pod's outputs cannot be handed over as it asks.

use bootlace_launch::handover::MAX_OUTPUTS;

use crate::names;
use crate::plan::Version;

/// Why a pod's outputs cannot be handed over as it asks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PipesError {
    /// The annotation cannot be read.
    #[error(
        "the annotation {} is no YAML list ({why}): write - {{key: Report, file: /out/report.json, kind: ConfigMap}}",
        names::ANNOTATION_PIPE_OUT
    )]
    NoList {
        /// What the parser says.
        why: String,
    },
    /// One of its entries cannot be meant so.
    #[error("the annotation {}, its entry {}: {what}", names::ANNOTATION_PIPE_OUT, position + 1)]
    Entry {
        /// Which, counted from 0.
        position: usize,
        /// What is wrong with it.
        what: String,
    },
    /// It declares a key twice.
    #[error(
        "the annotation {} declares the key {key} twice: give each output a key of its own",
        names::ANNOTATION_PIPE_OUT
    )]
    Twice {
        /// The key.
        key: String,
    },
    /// An output is given to a container that is no task.
    #[error(
        "{by} gives output {key} to container {container:?}, but the task containers are {}: name one of these, or name \
         {container:?} in the annotation {}",
        known.join(", "),
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
        "{by} gives output {key} to the init container {container:?}: only containers that run beside {} hand outputs over. \
         Give it to one of the pod's containers, or remove it",
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
        "{by} does not say which container writes output {key}: add container: to it, one of {}",
        known.join(", ")
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
        "the pod and its BootProfile declare {count} outputs, and {MAX_OUTPUTS} is the limit: use patterns"
    )]
    TooMany {
        /// How many.
        count: usize,
    },
    /// Nobody could find them.
    #[error(
        "the pod declares outputs, but nothing tells which run it belongs to, so no later task could find them: add the \
         annotation {} (and {}, where the run's name alone is not enough)",
        names::ANNOTATION_RUN,
        names::ANNOTATION_WORKFLOW
    )]
    NoRun,
    /// There is no store.
    #[error(
        "the pod declares outputs, and this Bootlace is installed without the store that would keep them: install the \
         chart with store.enabled=true, or remove pipes.outputs of BootProfile {profile:?} and the pod's annotation {}",
        names::ANNOTATION_PIPE_OUT
    )]
    NoStore {
        /// The profile.
        profile: String,
    },
    /// The cluster does not know native sidecars.
    #[error(
        "the pod declares outputs, which takes a native sidecar and so Kubernetes {} or later, and the API server is \
         {version}: upgrade it, or keep outputs elsewhere",
        Version::NATIVE_SIDECARS
    )]
    TooOld {
        /// The API server's version.
        version: Version,
    },
    /// The file of a task without a launcher lies where the sidecar cannot see it.
    #[error(
        "output {key} of container {container:?} is {file}, which lies on no volume of the pod, and no launcher can hand \
         it over because {because}: mount an emptyDir around it, or add the image's entrypoint as `command`"
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
        "output {key} of container {container:?} is {file}, on volume {volume:?} with a subPathExpr, which the sidecar \
         cannot follow: mount the volume with subPath or whole"
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
        "the pod waits for pipe {key}, and this Bootlace is installed without the store that knows what is handed over: \
         install the chart with store.enabled=true, or remove wait: from the annotation {}",
        names::ANNOTATION_PIPE_IN
    )]
    WaitNoStore {
        /// The pipe's key.
        key: String,
    },
    /// Nobody can hand over what it waits for.
    #[error(
        "the pod waits for pipe {key}, which no task can hand over before Kubernetes {}, and the API server is {version}: \
         upgrade it",
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
        "what {container} must be told takes {size} bytes, and {limit} is the limit: name fewer pipes, with shorter \
         paths"
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
