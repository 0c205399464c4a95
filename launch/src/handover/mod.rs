//! The protocol by which the launcher, in the container of the task, passes the outputs of the task to the
//! sidecar. Both sides use this module.
//!
//! The **handover directory** of a task container is on a volume that the two containers share. The launcher
//! makes it accessible to any user, because the two containers can run as different users.
//!
//! ```text
//! attempt          the number of the newest attempt, in decimal
//! 3/               the directory of that attempt: one start of the container of the task
//! 3/file-0 …       the contents of the outputs, in the order of the manifest
//! 3/manifest       from the launcher: the exit code of the task, and its outputs
//! 3/result         from the sidecar: whether the outputs are stored, or the error
//! 3/ending         from the launcher, if the profile has hooks for it: how the task ends
//! 3/abort          from the task: what the abort of this attempt needs, such as the ID of a remote job
//! ```
//!
//! 1. Before it starts the task, the launcher creates the directory of the attempt, then writes its number to
//!    `attempt`. It removes the files of the previous attempt: the container was restarted, and its previous
//!    outputs are obsolete.
//! 2. When the task has exited, the launcher copies the outputs, then writes the [`Manifest`].
//! 3. The sidecar stores the files in the manifest, and writes a [`StoreResult`]. It can ignore attempts that
//!    are not the newest.
//! 4. If the task exited with 0, the launcher exits with 0 only after [`StoreResult::Stored`].
//!
//! If the profile has hooks for the end of the task, the launcher also writes the [`Ending`]: when a signal
//! to stop arrives, before it forwards the signal; and when the task has exited. A launcher that has ended
//! without an [`Ending`] was killed, and its task with it.
//!
//! `attempt`, `manifest`, `result` and `ending` are written under another name and renamed, so that readers
//! never see a part of them. After a restart, each side continues with the contents of the directory. Storing
//! the same bytes again changes nothing.
//!
//! **Neither side trusts the directory.** The task can write to it, and could try to make the sidecar read
//! one of the sidecar's files, such as its token, or block on a named pipe. Therefore every name is opened
//! relative to the directory without following links ([`Folder`]), and only regular files are read, up to a
//! maximum size. A task can only damage its own outputs.

mod attempt;
mod ending;
mod folder;
mod manifest;
mod message;
mod result;

pub use attempt::{AbortTextError, Attempt, HandoverError};
pub use ending::{Cause, Ended, Ending, InvalidEnding};
pub use folder::Folder;
pub use manifest::{FileEntry, Kind, Manifest, ManifestError, Outcome, Output, is_data_key};
pub use message::OneLine;
pub use result::{InvalidResult, StoreResult};

/// The maximum size of all files of an attempt together, in bytes: that of a `ConfigMap` or Secret
/// (`MaxSecretSize`).
pub const MAX_BYTES: u64 = 1024 * 1024;

/// The maximum number of files in all outputs of an attempt. Each is a key of an object, which has to stay
/// readable in `kubectl describe`.
pub const MAX_FILES: usize = 100;

/// The maximum size of what a task leaves for its abort, in bytes: an ID and what belongs to it. It is
/// recorded in an object of the API server, for each task.
pub const MAX_ABORT_BYTES: u64 = 1024;

/// The maximum number of outputs of an attempt.
pub const MAX_OUTPUTS: usize = 100;
