//! Stores the output of a task: a `Pipe`, and the `ConfigMap` or `Secret` that it owns.
//!
//! ```text
//! configuration of the pod → declared output → Pipe → object, owned by the Pipe → status of the Pipe: stored
//! ```
//!
//! | step | module | content |
//! |---|---|---|
//! | authorize | [`authorize`] | which outputs the configuration of the pod declares (pure) |
//! | build | [`objects`] | the Pipe and its object (pure) |
//! | own | [`owner`] | the object of the run that owns the Pipe (pure) |
//! | persist | [`persist`] | the order of writes, so that a killed process leaves nothing behind permanently |
//! | count | `pipe_quota` | the quotas of the profile |
//! | wait | [`awaited`] | whether an output that a pod waits for is stored, or never will be (pure) |

pub mod authorize;
pub mod awaited;
pub mod objects;
pub mod owner;
pub mod persist;
pub(crate) mod pipe_quota;

pub use persist::PipeWriter;

use kube::Client;

use super::api_error::ApiError;
use super::crd_error;
use crate::server::memory;
use crate::server::pipe_pages::{PageLimits, PipePages};

/// The resource of Pipes.
pub(super) const PLURAL: &str = "pipes";

/// The lists of Pipes in the store, whose memory is limited ([`memory`]).
pub(super) fn pages(client: Client) -> PipePages {
    PipePages::new(client, PageLimits { items: 100, concurrent: memory::PAGES })
}

/// A failed request about Pipes. `problem` describes it, such as `failed to list Pipes`.
pub(crate) fn api_error(problem: &str, error: &kube::Error) -> ApiError {
    crd_error::api_error(PLURAL, problem, error)
}
