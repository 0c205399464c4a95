//! Operations applied to a pod.

use json_patch::jsonptr::{Pointer, PointerBuf};

use super::{Json, Op, Operation};

/// There is no such place as an operation names: a defect of Bootlace's, never of the pod's, told instead of hidden.
#[derive(Debug, thiserror::Error)]
#[error("internal error: the generated patch does not apply (path {0} not found); please report this bug")]
pub struct DoesNotApply(PointerBuf);

/// Applies a patch to the pod that it was made for. The API server turns a pod away whose patch does not
/// apply, whatever the failure policy says, so each is tried here first.
///
/// By hand, because `json_patch::patch` takes a document that owns all it holds, which takes more than twice as long to
/// read as one that borrows, and copies every value into it. Tests apply the same with both.
///
/// # Errors
/// Where it does not apply.
pub fn apply<'a>(mut pod: Json<'a>, patch: &'a [Operation]) -> Result<Json<'a>, DoesNotApply> {
    for Operation { path, op } in patch {
        let done = match op {
            Op::Add(value) => add(&mut pod, path, Json::from(&**value)),
            Op::Replace(value) => place(&mut pod, path).map(|at| *at = Json::from(&**value)),
            Op::Move(from) => take(&mut pod, from).and_then(|value| add(&mut pod, path, value)),
        };
        done.ok_or_else(|| DoesNotApply(path.clone()))?;
    }
    Ok(pod)
}

/// Adds a value at `path`; `None` where the pod has no such place.
fn add<'a>(pod: &mut Json<'a>, path: &Pointer, value: Json<'a>) -> Option<()> {
    let (parent, last) = path.split_back()?;
    match place(pod, parent)? {
        Json::Object(fields) => fields.set(last.decoded().into_owned().into(), value),
        Json::Array(elements) => {
            let index = last.to_index().ok()?.for_len_incl(elements.len()).ok()?;
            elements.insert(index, value);
        }
        _ => return None,
    }
    Some(())
}

/// Takes an element out of an array; `None` where the pod has no such place. Fields of objects are never moved.
fn take<'a>(pod: &mut Json<'a>, path: &Pointer) -> Option<Json<'a>> {
    let (parent, last) = path.split_back()?;
    let Json::Array(elements) = place(pod, parent)? else { return None };
    let index = last.to_index().ok()?.for_len(elements.len()).ok()?;
    Some(elements.remove(index))
}

/// The value at `path`.
fn place<'p, 'a>(pod: &'p mut Json<'a>, path: &Pointer) -> Option<&'p mut Json<'a>> {
    path.tokens().try_fold(pod, |at, token| match at {
        Json::Object(fields) => fields.get_mut(&token.decoded()),
        Json::Array(elements) => {
            let index = token.to_index().ok()?.for_len(elements.len()).ok()?;
            elements.get_mut(index)
        }
        _ => None,
    })
}
