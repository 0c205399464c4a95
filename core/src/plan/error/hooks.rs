//! Why the hooks of a profile cannot run in a pod.

use crate::names;
use crate::plan::Version;

/// Why the hooks of a profile cannot run in a pod.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HooksError {
    /// The launcher does not start the task.
    #[error(
        "{hooks} of BootProfile {profile:?} need the launcher, which does not start container {container:?} because {reason}: \
         set the image's entrypoint as `command` of the container, in annotation {} or in env.images of the BootProfile, \
         and set env.mode to Auto or Launch",
        names::ANNOTATION_ENTRYPOINT
    )]
    NotLaunched {
        /// The hooks.
        hooks: &'static str,
        /// The profile.
        profile: String,
        /// The container.
        container: String,
        /// Why the launcher does not start it.
        reason: String,
    },
    /// Hooks in the sidecar require the store, which is not installed.
    #[error(
        "hooks.postKill and hooks.abort of BootProfile {profile:?} need the Bootlace store, which records aborts and reports \
         results, but it is not installed: install the chart with store.enabled=true, or remove these hooks"
    )]
    NoStore {
        /// The profile.
        profile: String,
    },
    /// Hooks in the sidecar require native sidecars, which the cluster does not support.
    #[error(
        "hooks.postKill and hooks.abort of BootProfile {profile:?} require Kubernetes {} or later for native sidecars, but the \
         API server has version {version}: upgrade the cluster, or remove these hooks",
        Version::NATIVE_SIDECARS
    )]
    TooOld {
        /// The profile.
        profile: String,
        /// Version of the API server.
        version: Version,
    },
    /// The hooks exceed the limit of an env variable.
    #[error(
        "hooks.postKill and hooks.abort of BootProfile {profile:?} have {size} bytes, the limit is {limit}: shorten their bodies"
    )]
    TooLarge {
        /// The profile.
        profile: String,
        /// Size in bytes.
        size: usize,
        /// Limit in bytes.
        limit: usize,
    },
}
