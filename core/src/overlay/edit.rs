//! The changes of an overlay to a pod, as data: [`crate::patch`] alone writes operations.

use json_patch::jsonptr::PointerBuf;
use serde_json::Value;

/// A change to a pod.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// The field or element. An element that is added at the end of a list has the last token `-`.
    pub path: PointerBuf,
    /// What happens there.
    pub change: Change,
}

/// What happens to a field or element.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// It is absent, and is added.
    Add(Value),
    /// It is present, and is replaced.
    Replace(Value),
}
