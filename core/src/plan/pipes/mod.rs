//! The changes to a pod that stores outputs or waits for outputs of earlier tasks. The launcher of each task
//! passes its outputs to a native sidecar, which sends them to the store, and waits for the result. The same
//! sidecar runs the hooks for the end of a task.
//!
//! | module | content |
//! |---|---|
//! | `outputs` | the outputs that the profile and the annotation declare, with their containers |
//! | `shared_volumes` | the path of a file in the sidecar if the launcher does not start the task |
//! | `sidecar` | the sidecar, its volume and its configuration |
//! | `wait` | the init containers that wait for outputs that are not stored yet |
//! | `store_container` | the common parts of these containers |
//! | `error` | the errors |

mod error;
mod outputs;
mod shared_volumes;
mod sidecar;
mod store_container;
pub(super) mod wait;

use std::fmt::Display;

use serde_json::{Value, json};

pub use error::PipesError;
pub(super) use outputs::Outputs;
pub(super) use shared_volumes::SharedVolumes;
pub(super) use sidecar::{Sidecar, TaskOutputs, run_owners};
pub(super) use store_container::StoreContainer;

use super::hooks;
use super::task_mounts::HANDOVER;
use crate::names;
use crate::pod::Container;
use crate::profile::BootProfileSpec;
use crate::profile::pipes::OnFailure;

/// The flags of the launcher of `container` for its outputs, and for the hooks that run when it ends; empty
/// if there are neither.
pub(super) fn flags(outputs: &Outputs, container: &Container<'_>, profile: &BootProfileSpec) -> Vec<String> {
    let outputs: Vec<_> = outputs.of_container(container.name).collect();
    let is_supervised = hooks::is_supervised(container, &profile.hooks);
    if outputs.is_empty() && !is_supervised {
        return Vec::new();
    }
    let settings = &profile.pipes;
    let mut words =
        vec![format!("--handover={}", names::MOUNT_RUN), format!("--deadline={}", settings.deadline_seconds)];
    if is_supervised {
        words.push("--ending=publish".to_owned());
    }
    if settings.on_failure == OnFailure::Store {
        words.push("--on-failure=store".to_owned());
    }
    words.extend(outputs.into_iter().map(|output| {
        let flag = if output.optional { "optional-output" } else { "output" };
        format!("--{flag}={}:{}:{}", output.key, output.kind.as_str(), output.file)
    }));
    words
}

/// The mount in which the launcher of `container` passes its outputs: a folder for each container, so that
/// tasks cannot read the outputs of each other.
pub(super) fn mount(container: &str) -> Value {
    json!({"name": HANDOVER.volume, "mountPath": HANDOVER.path, "subPath": container})
}

/// The warning for an output that the launcher does not pass.
fn unguarded_output_warning(key: &str, container: &str, reason: impl Display) -> String {
    format!(
        "bootlace: output {key:?} of container {container:?} is stored after the task exits, so the task can succeed even if \
         storing fails, because {reason}: set the image's entrypoint as `command` to have the launcher wait"
    )
}
