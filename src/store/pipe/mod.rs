//! What the store makes of a task's output: a `Pipe`, and the `ConfigMap` or Secret that it owns.
//!
//! ```text
//! the pod's own spec → is it declared → the Pipe → the object, owned by the Pipe → the Pipe says: stored
//! ```
//!
//! | step | module | what it answers |
//! |---|---|---|
//! | may it | [`grant`] | does the pod's spec declare this output (pure) |
//! | make | [`objects`] | the Pipe and its object (pure) |
//! | own | [`owner`] | which object of the run's own the Pipe goes with (pure) |
//! | keep | [`persist`] | in which order they are made, so that whatever is killed leaves nothing for good |
//! | count | `quota`, [`pages`] | are there too many already, and which are there of a run, in bounded memory |
//! | wait | [`awaited`] | is an output there that a pod waits for, or will it never be (pure) |

pub mod awaited;
pub mod grant;
pub mod objects;
pub mod owner;
pub mod pages;
pub mod persist;
mod quota;

pub use pages::PipePages;
pub use persist::PipeWriter;

use crate::server::watch_errors;

/// A call about Pipes that failed, in words. Helm installs CRDs once, so an upgrade may come without this one.
pub(super) fn failed(doing: &str, error: &kube::Error) -> String {
    match error {
        // Where it knows them, it says which object it did not find.
        kube::Error::Api(status) if status.code == 404 && !status.message.contains('"') => {
            format!(
                "{doing}: the API server knows no pipes.bootlace.dev: install the CRD (crds/pipes.yaml in the chart)"
            )
        }
        error => watch_errors::describe_api_error(doing, error),
    }
}
