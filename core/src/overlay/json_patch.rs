//! Applies the operations of a JSON patch (RFC 6902) to a pod.

use json_patch::jsonptr::{Pointer, PointerBuf};
use serde_json::Value;

use super::compiled::{PatchAction, PatchStep};
use super::containers::{self, LISTS};
use super::edit::Change;
use super::error::OverlayProblem;
use super::merge::{Merged, Merger, OVERRIDE};
use super::merge_keys::{Merge, Type};
use super::tree::Tree;
use crate::pod::{Json, value_at};
use crate::template::{Context, Templates};

/// What the operations of an overlay need.
pub(super) struct Operations<'o> {
    pub(super) templates: &'o Templates,
    pub(super) context: &'o Context,
}

impl Operations<'_> {
    /// Applies the operations to `pod`, in order.
    pub(super) fn apply(&self, steps: &[PatchStep], pod: &mut Json<'_>, merger: &mut Merger) -> Merged {
        steps.iter().enumerate().try_for_each(|(position, step)| self.step(position, step, pod, merger))
    }

    fn step(&self, position: usize, step: &PatchStep, pod: &mut Json<'_>, merger: &mut Merger) -> Merged {
        let not_found = |path: &Pointer| OverlayProblem::PathNotFound { position, path: path.to_string() };
        let render = |tree: &Tree| {
            let value = tree.render(self.templates, self.context, || format!("jsonPatch[{position}].value"));
            value.map(std::borrow::Cow::into_owned)
        };
        let path = &step.path;
        match &step.action {
            PatchAction::Add(tree) => add(pod, path, &render(tree)?, merger, &not_found),
            PatchAction::Copy(from) => {
                let value = Value::from(&*value_at(pod, from).ok_or_else(|| not_found(from))?);
                add(pod, path, &value, merger, &not_found)
            }
            PatchAction::Replace(tree) => {
                let value = render(tree)?;
                let present = value_at(pod, path).ok_or_else(|| not_found(path))?;
                merger.go_to(path);
                merger.replace(present, &value)
            }
            PatchAction::Test(tree) => {
                let value = render(tree)?;
                let present = value_at(pod, path).ok_or_else(|| not_found(path))?;
                if Value::from(&*present) == value {
                    return Ok(());
                }
                Err(OverlayProblem::TestFailed { position, path: path.to_string() })
            }
        }
    }
}

/// Adds a field, or an element to a list.
fn add(
    pod: &mut Json<'_>,
    path: &PointerBuf,
    value: &Value,
    merger: &mut Merger,
    not_found: &dyn Fn(&Pointer) -> OverlayProblem,
) -> Merged {
    let Some((parent, token)) = path.split_back() else { return Err(not_found(path)) };
    let merge = parent.tokens().fold(Merge::Fields(Type::pod()), |merge, token| merge.at(&token.decoded()));
    merger.go_to(parent);
    if let Merge::Keyed(list) = merge
        && LISTS.iter().any(|(name, _)| parent.last().is_some_and(|last| last.decoded() == *name))
        && let Some(Json::Object(spec)) = parent.parent().and_then(|spec| value_at(pod, spec))
        && !containers::check_new(merger, spec, value, list)?
    {
        return Ok(());
    }
    match value_at(pod, parent).ok_or_else(|| not_found(parent))? {
        Json::Object(fields) => {
            let name = token.decoded();
            match fields.get_mut(&name).filter(|present| **present != Json::Null) {
                Some(present) => {
                    merger.go_to(path);
                    merger.whole(present, value)
                }
                None => merger.field(fields, &name, value, Merge::Fields(Type::UNKNOWN)),
            }
        }
        Json::Array(elements) => {
            let index = token.to_index().ok().and_then(|index| index.for_len_incl(elements.len()).ok());
            let index = index.ok_or_else(|| not_found(path))?;
            if index < elements.len() {
                merger.go_to(path);
                merger.record(Change::Add(value.clone()))?;
                elements.insert(index, Json::owned(value));
                return Ok(());
            }
            match merge {
                Merge::Keyed(list) => merger.element(elements, value, list, OVERRIDE),
                _ => merger.append(elements, value),
            }
        }
        _ => Err(not_found(path)),
    }
}
