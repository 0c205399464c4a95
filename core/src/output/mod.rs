//! A task's outputs, as every role means them: what the webhook plans, the sidecar hands on, the store records and a
//! later task's pod names. Pure.
//!
//! | module | what it holds |
//! |---|---|
//! | [`sidecar_config`] | what the webhook tells the sidecar, which is also what the pod may ask the store for |
//! | [`key`] | how a key is written where an object's name could stand |
//! | [`data`] | what is in it, and how much that may be |
//! | [`mod@name`] | how the object is called that holds an output |
//! | [`awaited`] | how a second one is called, which a pod can name before it is there |
//! | [`pipe`] | the `Pipe`, which tells what is stored, and owns the object |

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
pub use sidecar_config::{DeclaredOutput, ObjectKind, Quota, SidecarConfig, SidecarLifetime};
