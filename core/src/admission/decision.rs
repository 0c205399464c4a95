//! What is decided about a pod, and the lookups that this needs.

use serde_json::Value;

use crate::identity::Identity;
use crate::injected_config::ProfileRef;
use crate::input::{PipeAnswers, ResolvedInput};
use crate::plan::{ImageConfigs, ImageQuery};
use crate::pod::Operation;
use crate::review::Refusal;
use crate::selection::{MatchReason, ProfileSelectedBy, SkipReason};

/// Result of admission for a pod. `P` is what the caller gets of an injected pod, and `R` of a reordered one:
/// the pod with the patch applied, a view of its plan, or `()`, because the response to a review only needs
/// the patch.
pub enum Decision<P = Value, R = P> {
    /// The pod is a task and is injected.
    Inject(Box<Injection<P>>),
    /// The pod is an already injected task. Injected init containers that must be the last ones are moved to
    /// the end again, or the pod is signed.
    Reorder(Box<Reordering<R>>),
    /// The pod does not change.
    Skip(SkipReason),
    /// The pod is a task that cannot be booted.
    Refuse(Refusal),
}

/// An overlay that was applied to a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedOverlay {
    /// Its name.
    pub name: String,
    /// How many operations of the patch belong to it. The patch begins with those of the overlays, in order.
    pub operations: usize,
    /// The paths of values that it would have set, but that the pod or an earlier overlay has set.
    pub kept: Vec<String>,
}

/// Changes to a pod, and their reasons.
pub struct Injection<P = Value> {
    /// Why the pod is a task.
    pub reason: MatchReason,
    /// What selected the profile.
    pub named_by: ProfileSelectedBy,
    /// The profile.
    pub profile: ProfileRef,
    /// The overlays that were applied, in order.
    pub overlays: Vec<AppliedOverlay>,
    /// Warnings for the author of the pod.
    pub warnings: Vec<String>,
    /// Resolved inputs from earlier tasks.
    pub resolved: Vec<ResolvedInput>,
    /// Descriptions of inputs that are not resolved because lookups are not available: the pod still contains
    /// their keys.
    pub unresolved: Vec<String>,
    /// The operations that inject the pod.
    pub patch: Vec<Operation>,
    /// The pod with the patch applied, or what the caller gets instead.
    pub pod: P,
}

/// Changes to an injected pod that has got further init containers since, or that has no valid signature.
pub struct Reordering<R = Value> {
    /// The init containers after which the injected ones are moved.
    pub behind: Vec<String>,
    /// Whether the pod gets a signature.
    pub signed: bool,
    /// The operations.
    pub patch: Vec<Operation>,
    /// The pod with the patch applied, or what the caller gets instead.
    pub pod: R,
}

/// Results of the lookups for a pod so far. `None` means that this kind of lookup is not available.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LookupResults {
    /// Configurations of images from registries.
    pub images: Option<ImageConfigs>,
    /// Pipes of the runs that the pod reads from.
    pub pipes: Option<PipeAnswers>,
}

/// A lookup that is required before admission of a pod can continue. A caller that can do it adds the result
/// to [`LookupResults`] and calls again.
#[derive(Debug, Clone, PartialEq)]
pub enum PendingLookup {
    /// Configurations of images from registries.
    Images(ImageQuery),
    /// The Pipes of these runs in the namespace of the pod. Only scheduler, workflow and run of each identity
    /// are set.
    Pipes {
        /// The namespace.
        namespace: String,
        /// The runs.
        runs: Vec<Identity>,
    },
}
