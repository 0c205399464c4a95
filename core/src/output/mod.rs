//! Outputs of tasks, for all programs: the webhook plans them, the sidecar sends them, the store records
//! them, and the pods of later tasks reference them. Without I/O.
//!
//! | module | content |
//! |---|---|
//! | [`sidecar_config`] | the configuration of the sidecar, which is also what the pod may request from the store |
//! | [`key`] | keys in place of the name of an object |
//! | [`data`] | the content of an output, and its limits |
//! | [`mod@name`] | the name of the object that contains an output |
//! | [`awaited`] | the name of a second object, which a pod can reference before it exists |
//! | [`pipe`] | the `Pipe`, which records what is stored and owns the object |

pub mod awaited;
pub mod data;
pub mod key;
pub mod name;
pub mod pipe;
pub mod sidecar_config;

pub use awaited::Awaited;
pub use data::{DataError, ObjectData};
pub use name::{ContentHash, OutputIdentity};
pub use pipe::{AwaitedStatus, Pipe, PipeSpec, run_label};
pub use sidecar_config::{DeclaredOutput, ObjectKind, ProgressFile, Quota, SidecarConfig, SidecarLifetime};
