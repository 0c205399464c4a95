//! The interface of the sidecar to the store.

use std::fmt;
use std::future::Future;

use bootlace_launch::handover::{Kind, OneLine};

use super::OutputError;

/// An output of a task, which becomes one object.
pub struct OutputObject {
    /// The container of the task.
    pub container: String,
    /// The key by which later tasks refer to the output.
    pub key: String,
    /// The kind of object.
    pub kind: Kind,
    /// Its data, of at least one file.
    pub files: Vec<OutputFile>,
}

/// An entry in the data of an object.
pub struct OutputFile {
    /// The key in the object.
    pub name: String,
    /// The content, which can be a secret.
    pub bytes: Vec<u8>,
}

/// Shows only the size, because the content can be a secret.
impl fmt::Debug for OutputFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "File({:?}, {} bytes)", self.name, self.bytes.len())
    }
}

impl fmt::Debug for OutputObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { container, key, kind, files } = self;
        write!(f, "Object({container:?}, {key:?}, {}, {files:?})", kind.as_str())
    }
}

/// Stores outputs.
pub trait OutputStore {
    /// Stores an output. Storing the same output again changes nothing, so a restarted sidecar can repeat the
    /// request. The implementation retries by itself, with a deadline.
    fn put(&self, object: OutputObject) -> impl Future<Output = Result<(), OutputError>>;

    /// Records an Event on the pod that outputs of a container are not stored. It has a timeout, and a
    /// failure is only logged, because the termination message of the task has the same text.
    fn report_failure(&self, container: &str, message: &OneLine) -> impl Future<Output = ()>;
}
