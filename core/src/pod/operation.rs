//! One change to a pod.

use std::sync::Arc;

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, MoveOperation, PatchOperation, ReplaceOperation};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

/// An operation of RFC 6902, of the three that a patch of ours holds.
///
/// Not `json_patch`'s own, which owns its value: most values are the same for all pods of a profile, and a copy of each
/// was a tenth of what a review took.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// Where.
    pub path: PointerBuf,
    /// What it does there.
    pub op: Op,
}

/// What an operation does.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Sets a field, or puts an element into an array.
    Add(Arc<Value>),
    /// Puts another value in place of one that is there.
    Replace(Arc<Value>),
    /// Takes what is at this other place from there.
    Move(PointerBuf),
}

impl Operation {
    /// Adds `value` at `path`.
    #[must_use]
    pub fn add(path: PointerBuf, value: impl Into<Value>) -> Self {
        Self { path, op: Op::Add(Arc::new(value.into())) }
    }

    /// Puts `value` in place of what is at `path`.
    #[must_use]
    pub fn replace(path: PointerBuf, value: impl Into<Value>) -> Self {
        Self { path, op: Op::Replace(Arc::new(value.into())) }
    }

    /// Moves what is at `from` to `path`.
    #[must_use]
    pub fn move_from(from: PointerBuf, path: PointerBuf) -> Self {
        Self { path, op: Op::Move(from) }
    }
}

/// A shared value is written as it is: that others hold the same is lost on paper. (serde's own way is behind a feature for a
/// whole build.)
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

/// For whoever applies it with that library.
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
