//! One change to a pod.

use std::sync::Arc;

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, PatchOperation, ReplaceOperation};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// An operation of RFC 6902, of the two that a patch of ours holds.
///
/// Not `json_patch`'s own, which owns its value: most values are the same for all pods of a profile, and a copy of each
/// was a tenth of what a review took.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Operation {
    /// What it does.
    pub op: Op,
    /// Where.
    pub path: PointerBuf,
    /// What is put there.
    #[serde(serialize_with = "written_whole")]
    pub value: Arc<Value>,
}

/// As it is: that others hold the same is lost on paper. (serde's own way is behind a feature for a whole build.)
fn written_whole<S: Serializer>(value: &Arc<Value>, serializer: S) -> Result<S::Ok, S::Error> {
    value.as_ref().serialize(serializer)
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// Sets a field, or puts an element into an array.
    Add,
    /// Puts another value in place of one that is there.
    Replace,
}

impl Operation {
    /// Adds `value` at `path`.
    #[must_use]
    pub fn add(path: PointerBuf, value: impl Into<Value>) -> Self {
        Self { op: Op::Add, path, value: Arc::new(value.into()) }
    }

    /// Puts `value` in place of what is at `path`.
    #[must_use]
    pub fn replace(path: PointerBuf, value: impl Into<Value>) -> Self {
        Self { op: Op::Replace, path, value: Arc::new(value.into()) }
    }
}

/// For whoever applies it with that library.
impl From<&Operation> for PatchOperation {
    fn from(operation: &Operation) -> Self {
        let (path, value) = (operation.path.clone(), Value::clone(&operation.value));
        match operation.op {
            Op::Add => Self::Add(AddOperation { path, value }),
            Op::Replace => Self::Replace(ReplaceOperation { path, value }),
        }
    }
}
