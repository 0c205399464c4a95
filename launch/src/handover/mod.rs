//! How a task's outputs pass from the launcher, in the task's container, to the pipe sidecar: the protocol, once
//! for both.
//!
//! A **handover folder** lies on a volume that the two containers share, one folder a task container. The
//! launcher makes it usable for any user, because the two containers need not run as the same one.
//!
//! ```text
//! attempt          the number of the newest attempt, in decimal
//! 3/               that attempt: one start of the task's container
//! 3/file-0 …       the outputs' bytes, in the manifest's order
//! 3/manifest       what the launcher says: how the task ended and what is handed over
//! 3/word           what the sidecar says: stored, or why not
//! ```
//!
//! 1. Before it starts the task, the launcher makes the attempt's folder and then names it in `attempt`. The
//!    files of an earlier one are removed: the container was started again in place, and its outputs no longer count.
//! 2. When the task has ended, the launcher copies the outputs and then writes the [`Manifest`].
//! 3. The sidecar stores what the manifest names and answers with a [`StoreResult`]. An attempt that is no longer the
//!    newest needs no answer.
//! 4. A task that ended with 0 ends with 0 only after the word [`StoreResult::Stored`].
//!
//! `attempt`, `manifest` and `word` are written under another name and renamed, so they are never seen in part.
//! Whoever is killed and started again goes on from what lies in the folder; storing the same bytes again
//! changes nothing.
//!
//! **Neither side trusts the folder.** The task itself can write to it, and so may be tempted to make the sidecar
//! read a file of its own, such as its token, or wait on a named pipe. So every name is opened below the folder
//! without following links ([`Folder`]), only regular files are read, and never more than a limit. A task can
//! spoil only its own outputs.

mod attempt;
mod folder;
mod manifest;
mod message;
mod result;

pub use attempt::{Attempt, HandoverError};
pub use folder::Folder;
pub use manifest::{File, Kind, Manifest, ManifestError, Outcome, Output, is_data_key};
pub use message::OneLine;
pub use result::{InvalidResult, StoreResult};

/// What the files of one attempt may have together, in bytes: what the API server takes in one `ConfigMap` or
/// Secret (`MaxSecretSize`).
pub const MAX_BYTES: u64 = 1024 * 1024;

/// How many files one attempt may hand over, over all of its outputs. Each becomes a key of an object that people
/// read with `kubectl describe`.
pub const MAX_FILES: usize = 100;

/// How many outputs one attempt may hand over.
pub const MAX_OUTPUTS: usize = 100;
