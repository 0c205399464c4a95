//! Applies operations to a pod.

use json_patch::jsonptr::{Pointer, PointerBuf};

use super::{Json, Op, Operation};

/// An operation has a path that does not exist in the pod. This is a bug of Bootlace, never an error in the
/// pod.
#[derive(Debug, thiserror::Error)]
#[error("internal error: the generated patch does not apply (path {0} not found); please report this bug")]
pub struct DoesNotApply(PointerBuf);

/// Applies a patch to its pod. The API server refuses a pod whose patch does not apply, whatever the failure
/// policy is, so each patch is tried here first.
///
/// This is not `json_patch::patch`, which requires a document that owns its content: parsing it is less than
/// half as fast, and every value is copied into it. Tests apply the same patches with both.
///
/// # Errors
/// If a path does not exist.
pub fn apply<'a>(mut pod: Json<'a>, patch: &'a [Operation]) -> Result<Json<'a>, DoesNotApply> {
    for Operation { path, op } in patch {
        let applied = match op {
            Op::Add(value) => add(&mut pod, path, Json::from(&**value)),
            Op::Replace(value) => value_at(&mut pod, path).map(|at| *at = Json::from(&**value)),
            Op::Move(from) => remove_at(&mut pod, from).and_then(|value| add(&mut pod, path, value)),
        };
        applied.ok_or_else(|| DoesNotApply(path.clone()))?;
    }
    Ok(pod)
}

/// Adds a value at `path`; `None` if the pod has no such path.
fn add<'a>(pod: &mut Json<'a>, path: &Pointer, value: Json<'a>) -> Option<()> {
    let (parent, last) = path.split_back()?;
    match value_at(pod, parent)? {
        Json::Object(fields) => fields.set(last.decoded().into_owned().into(), value),
        Json::Array(elements) => {
            let index = last.to_index().ok()?.for_len_incl(elements.len()).ok()?;
            elements.insert(index, value);
        }
        _ => return None,
    }
    Some(())
}

/// Removes an element from an array; `None` if the pod has no such path. Fields of objects are never moved.
fn remove_at<'a>(pod: &mut Json<'a>, path: &Pointer) -> Option<Json<'a>> {
    let (parent, last) = path.split_back()?;
    let Json::Array(elements) = value_at(pod, parent)? else { return None };
    let index = last.to_index().ok()?.for_len(elements.len()).ok()?;
    Some(elements.remove(index))
}

/// The value at `path`; `None` if the pod has no such path.
#[must_use]
pub fn value_at<'p, 'a>(pod: &'p mut Json<'a>, path: &Pointer) -> Option<&'p mut Json<'a>> {
    path.tokens().try_fold(pod, |at, token| match at {
        Json::Object(fields) => fields.get_mut(&token.decoded()),
        Json::Array(elements) => {
            let index = token.to_index().ok()?.for_len(elements.len()).ok()?;
            elements.get_mut(index)
        }
        _ => None,
    })
}
