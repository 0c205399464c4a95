//! What a pod whose tasks hand outputs over becomes: the launcher in front of each of them hands over and waits, and a
//! native sidecar has the store keep what it is given.
//!
//! | module | what it answers |
//! |---|---|
//! | `declared` | which outputs, of which container: the profile's and the annotation's |
//! | `shared` | where the sidecar finds the file of a task that no launcher starts |
//! | `sidecar` | the sidecar, its volumes, and what it is told |
//! | `wait` | the init containers of a pod that waits for what earlier tasks have not handed over yet |
//! | `from` | what all of these containers are made from |
//! | `error` | why that cannot be |

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
pub(super) use sidecar::{Sidecar, TaskOutputs, run_owners};
pub(super) use store_container::StoreContainer;

use super::paths::HANDOVER;
use crate::names;
use crate::profile::BootProfileSpec;
use crate::profile::pipes::OnFailure;

/// What the launcher of `container` is told beside what `exec` is told; nothing where it has no outputs.
pub(super) fn flags(outputs: &Outputs, container: &str, profile: &BootProfileSpec) -> Vec<String> {
    let of_container: Vec<_> = outputs.of(container).collect();
    if of_container.is_empty() {
        return Vec::new();
    }
    let says = &profile.pipes;
    let mut words =
        vec![format!("--handover={}", names::MOUNT_RUN), format!("--deadline={}", says.deadline_seconds)];
    if says.on_failure == OnFailure::Store {
        words.push("--on-failure=store".to_owned());
    }
    words.extend(of_container.into_iter().map(|output| {
        let flag = if output.optional { "optional-output" } else { "output" };
        format!("--{flag}={}:{}:{}", output.key, output.kind.as_str(), output.file)
    }));
    words
}

/// The mount by which the launcher of `container` hands over: its own folder alone, so that no task sees another's.
pub(super) fn mount(container: &str) -> Value {
    json!({"name": HANDOVER.volume, "mountPath": HANDOVER.path, "subPath": container})
}

/// What the pod's author should know of outputs that no launcher hands over.
fn unguarded_output_warning(key: &str, container: &str, because: impl Display) -> String {
    format!(
        "bootlace: output {key:?} of container {container:?} is stored after the task exits, so the task can succeed even if \
         storing fails, because {because}: set the image's entrypoint as `command` to have the launcher wait"
    )
}
