//! The plan as JSON patch operations (RFC 6902), written by hand, op by op.
//!
//! Never a diff of two documents: a diff of a typed round trip drops fields that the types do not know, and
//! takes time that grows with the square of the pod. All operations add, but for one: a postStart handler of
//! the pod's own is replaced by the hook that takes it over.

use json_patch::jsonptr::{Pointer, PointerBuf};
use json_patch::{AddOperation, PatchOperation, ReplaceOperation};
use serde_json::{Value, json};

use crate::names;
use crate::plan::{Command, EnvWay, Plan, Task};
use crate::pod::{Json, Pod};
use crate::profile::spec::Position;

const ANNOTATIONS: &Pointer = Pointer::from_static("/metadata/annotations");
const VOLUMES: &Pointer = Pointer::from_static("/spec/volumes");
const INIT_CONTAINERS: &Pointer = Pointer::from_static("/spec/initContainers");
const CONTAINERS: &Pointer = Pointer::from_static("/spec/containers");

/// Why a plan cannot be written as a patch, or the patch does not apply: a defect of Bootlace's, never of the
/// pod's, told instead of hidden.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// A part of the plan cannot be written as JSON.
    #[error("a part of the plan cannot be written as JSON ({0}): report this as a defect of Bootlace")]
    Unwritable(#[from] serde_json::Error),
    /// The patch does not apply to the pod that it was made for.
    #[error(
        "the patch does not apply to its own pod (there is no place {0}): report this as a defect of Bootlace"
    )]
    DoesNotApply(PointerBuf),
}

/// The operations that turn `pod` into what `plan` says.
///
/// # Errors
/// See [`PatchError`].
pub fn operations(plan: Plan, pod: &Pod<'_>) -> Result<Vec<PatchOperation>, PatchError> {
    let mut patch = Patch::default();
    annotate(&mut patch, &plan, pod)?;
    patch.append_all(VOLUMES, pod.volumes.is_some(), &plan.volumes);
    patch.append_all(VOLUMES, true, &plan.own_volumes);
    let (mut first, mut last) = (plan.wait, plan.boot);
    if plan.position == Position::First {
        first.append(&mut last);
    } else if !plan.wait_first {
        last.splice(..0, first.drain(..));
    }
    if pod.has_init_containers {
        for (index, container) in first.into_iter().enumerate() {
            patch.add(INIT_CONTAINERS.with_trailing_token(index), container);
        }
        patch.append_all(INIT_CONTAINERS, true, &last);
    } else {
        first.append(&mut last);
        patch.append_all(INIT_CONTAINERS, false, &first);
    }
    for task in plan.tasks {
        change(&mut patch, task, &plan.mounts, plan.env_from.as_ref());
    }
    Ok(patch.0)
}

/// Applies a patch to the pod that it was made for. The API server turns a pod away whose patch does not
/// apply, whatever the failure policy says, so each is tried here first.
///
/// By hand, because `json_patch::patch` takes a document that owns all it holds, which takes more than twice as long to
/// read as one that borrows, and copies every value into it. Tests apply the same with both.
///
/// # Errors
/// Where it does not apply, or does something else than to add and to replace.
pub fn apply<'a>(mut pod: Json<'a>, patch: &'a [PatchOperation]) -> Result<Json<'a>, PatchError> {
    for operation in patch {
        let done = match operation {
            PatchOperation::Add(operation) => add(&mut pod, &operation.path, &operation.value),
            PatchOperation::Replace(operation) => {
                place(&mut pod, &operation.path).map(|at| *at = Json::from(&operation.value))
            }
            _ => None,
        };
        done.ok_or_else(|| PatchError::DoesNotApply(operation.path().to_buf()))?;
    }
    Ok(pod)
}

/// Adds a value at `path`; `None` where the pod has no such place.
fn add<'a>(pod: &mut Json<'a>, path: &Pointer, value: &'a Value) -> Option<()> {
    let (parent, last) = path.split_back()?;
    match place(pod, parent)? {
        Json::Object(fields) => fields.set(last.decoded().into_owned().into(), value.into()),
        Json::Array(elements) => {
            let index = last.to_index().ok()?.for_len_incl(elements.len()).ok()?;
            elements.insert(index, value.into());
        }
        _ => return None,
    }
    Some(())
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

fn annotate(patch: &mut Patch, plan: &Plan, pod: &Pod<'_>) -> Result<(), PatchError> {
    let value = serde_json::to_string(&plan.injected)?;
    if pod.annotations.is_present() {
        patch.add(ANNOTATIONS.with_trailing_token(names::ANNOTATION_INJECTED), value.into());
    } else {
        patch.add(ANNOTATIONS.to_buf(), json!({ names::ANNOTATION_INJECTED: value }));
    }
    Ok(())
}

fn change(patch: &mut Patch, task: Task, mounts: &[Value], env_from: Option<&Value>) {
    let container = CONTAINERS.with_trailing_token(task.index);
    let list = container.with_trailing_token("volumeMounts");
    patch.append_all(&list, task.has.mounts, mounts);
    patch.append_all(&list, true, &task.mounts);
    let command = container.with_trailing_token("command");
    match task.command {
        // Added in front one by one: the command's own words are never written again.
        Command::Launched(words) => patch.prepend_all(&command, words),
        Command::Written { words, .. } => patch.add(command, words.into()),
        Command::Unchanged => {}
    }
    // In front of the pod's own, because a later entry wins over an earlier one, and `env` over all of them.
    if let (EnvWay::Secret, Some(entry)) = (task.way, env_from) {
        let list = container.with_trailing_token("envFrom");
        if task.has.env_from {
            patch.add(list.with_trailing_token(0_usize), entry.clone());
        } else {
            patch.add(list, json!([entry]));
        }
    }
    let env = container.with_trailing_token("env");
    match (task.env.is_empty(), task.has.env) {
        (true, _) => {}
        (false, true) => patch.prepend_all(&env, task.env),
        (false, false) => patch.add(env, task.env.into()),
    }
    let hook = json!({"exec": {"command": task.hook}});
    let lifecycle = container.with_trailing_token("lifecycle");
    match (task.has.lifecycle, task.has.handler) {
        (_, true) => patch.replace(lifecycle.with_trailing_token("postStart"), hook),
        (true, false) => patch.add(lifecycle.with_trailing_token("postStart"), hook),
        (false, false) => patch.add(lifecycle, json!({"postStart": hook})),
    }
}

#[derive(Default)]
struct Patch(Vec<PatchOperation>);

impl Patch {
    fn add(&mut self, path: PointerBuf, value: Value) {
        self.0.push(PatchOperation::Add(AddOperation { path, value }));
    }

    fn replace(&mut self, path: PointerBuf, value: Value) {
        self.0.push(PatchOperation::Replace(ReplaceOperation { path, value }));
    }

    /// Adds at the start of an array that is there.
    fn prepend_all<T: Into<Value>>(&mut self, path: &Pointer, values: Vec<T>) {
        let first = path.with_trailing_token(0_usize);
        for value in values.into_iter().rev() {
            self.add(first.clone(), value.into());
        }
    }

    /// Adds at the end of an array, or makes the array where it is absent: adding to an absent one fails.
    fn append_all(&mut self, path: &Pointer, present: bool, values: &[Value]) {
        if !present {
            return self.add(path.to_buf(), values.into());
        }
        for value in values {
            self.add(path.with_trailing_token("-"), value.clone());
        }
    }
}
