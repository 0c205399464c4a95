//! Who keeps outputs, as the sidecar sees it.

use std::fmt;
use std::future::Future;

use bootlace_launch::handover::{Kind, OneLine};

/// One output of a task, to be stored as one object.
pub struct OutputObject {
    /// The task's container.
    pub container: String,
    /// The key that later tasks name it by.
    pub key: String,
    /// What it is stored as.
    pub kind: Kind,
    /// Its data, of at least one file.
    pub files: Vec<OutputFile>,
}

/// One entry of an object's data.
pub struct OutputFile {
    /// Its key in the object.
    pub name: String,
    /// Its content, which may be a secret.
    pub bytes: Vec<u8>,
}

/// Shows sizes only: contents may be secrets.
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

/// What keeps outputs.
pub trait OutputStore {
    /// Why it does not: one sentence that says what to change and holds no content.
    type Error: fmt::Display;

    /// Stores one output. The same one again changes nothing, so that a sidecar which was started anew may ask again.
    /// It tries again by itself as long as that is of use, in bounded time.
    fn put(&self, object: OutputObject) -> impl Future<Output = Result<(), Self::Error>>;

    /// Tells the task's owner that its outputs are not stored, where owners look: as an Event of the pod. In bounded
    /// time; that it cannot be told is no failure, as the task's own termination message says the same.
    fn tell(&self, container: &str, why: &OneLine) -> impl Future<Output = ()>;
}
