//! A change to a pod.

use std::sync::Arc;

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, MoveOperation, PatchOperation, ReplaceOperation};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

/// An operation of RFC 6902. Patches of Bootlace only use these three.
///
/// This is not the type of `json_patch`, which owns its value: most values are the same for all pods of a
/// profile, and copying them took a tenth of the time of a review.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// The path.
    pub path: PointerBuf,
    /// The operation at this path.
    pub op: Op,
}

/// The kind of an operation, with its value.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Sets a field, or inserts an element into an array.
    Add(Arc<Value>),
    /// Replaces an existing value.
    Replace(Arc<Value>),
    /// Moves the value from this path.
    Move(PointerBuf),
}

impl Operation {
    /// Adds `value` at `path`.
    #[must_use]
    pub fn add(path: PointerBuf, value: impl Into<Value>) -> Self {
        Self { path, op: Op::Add(Arc::new(value.into())) }
    }

    /// Replaces the value at `path` with `value`.
    #[must_use]
    pub fn replace(path: PointerBuf, value: impl Into<Value>) -> Self {
        Self { path, op: Op::Replace(Arc::new(value.into())) }
    }

    /// Moves the value from `from` to `path`.
    #[must_use]
    pub fn move_from(from: PointerBuf, path: PointerBuf) -> Self {
        Self { path, op: Op::Move(from) }
    }
}

/// A shared value is serialized like any other. (Support for `Arc` in serde is a feature that would apply to
/// the whole build.)
impl Serialize for Operation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        let (op, value) = match &self.op {
            Op::Add(value) => ("add", Ok(value)),
            Op::Replace(value) => ("replace", Ok(value)),
            Op::Move(from) => ("move", Err(from)),
        };
        map.serialize_entry("op", op)?;
        map.serialize_entry("path", &self.path)?;
        match value {
            Ok(value) => map.serialize_entry("value", value.as_ref())?,
            Err(from) => map.serialize_entry("from", from)?,
        }
        map.end()
    }
}

/// For callers that apply it with `json_patch`.
impl From<&Operation> for PatchOperation {
    fn from(Operation { path, op }: &Operation) -> Self {
        let path = path.clone();
        match op {
            Op::Add(value) => Self::Add(AddOperation { path, value: Value::clone(value) }),
            Op::Replace(value) => Self::Replace(ReplaceOperation { path, value: Value::clone(value) }),
            Op::Move(from) => Self::Move(MoveOperation { path, from: from.clone() }),
        }
    }
}
