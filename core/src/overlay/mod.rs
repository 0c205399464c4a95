//! Overlays: changes to the pod of a task that a profile describes, applied before boot is planned.
//!
//! ```text
//! overlays of the profile → checked and compiled once → chosen for a pod → each merged → edits
//! ```
//!
//! | module | content |
//! |---|---|
//! | `compiled`, `tree` | the overlays of a profile, checked and compiled |
//! | `label` | the syntax of labels and names |
//! | `chosen` | which overlays a pod gets |
//! | `chain` | applies them in order |
//! | `merge`, `containers`, `rename` | merges a partial pod, by the rules of the API |
//! | `merge_keys` | these rules, from a generated table |
//! | `json_patch` | applies a JSON patch |
//! | `edit` | the changes to a pod, as data |
//! | `error` | the errors |
//!
//! An overlay only adds to the pod, unless it sets `override`. The plan sees the result as if the author of
//! the pod had written it, so that it passes the same checks: the env of the pod wins over that of boot, its
//! mounts must not conflict with those of boot, and overlays cannot change what boot adds later. The task
//! containers and the scheduler of the pod are determined before.

mod chain;
mod chosen;
mod compiled;
mod containers;
mod edit;
mod error;
mod json_patch;
mod label;
mod merge;
mod merge_keys;
mod rename;
mod tree;

pub use chain::{Applied, Chain, Step};
pub use compiled::Overlays;
pub use edit::{Change, Edit};
pub use error::{InvalidOverlay, InvalidOverlayField, OverlayError, OverlayProblem};

/// The name of a container in an overlay that stands for every task container.
const ALL_TASKS: &str = "*";
