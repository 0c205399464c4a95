//! The hooks that run outside of the container of the task, and the record of what they need. Without I/O.
//!
//! The sidecar runs these hooks, and knows how the task ended. If the node of the pod is lost, it cannot. So
//! the store records what an abort needs as soon as the task has written it, in an [`Abort`], from which
//! another process can send the same requests ([`requests`]).
//!
//! | module | content |
//! |---|---|
//! | [`mod@request`] | renders the requests of hooks |
//! | [`config`] | the hooks in the configuration of the sidecar |
//! | [`record`] | the custom resource `Abort` |

pub mod config;
pub mod record;
pub mod request;

pub use config::HooksConfig;
pub use record::{Abort, AbortPhase, AbortSpec, AbortStatus};
pub use request::{HookEvent, RenderError, RenderedHook, TaskEnd, requests};
