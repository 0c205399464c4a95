//! The plan as JSON patch operations (RFC 6902).
//!
//! The operations are not a diff of two documents: a diff of typed objects drops fields that are unknown to
//! the types, and its time grows with the square of the size of the pod. All operations add values, with four
//! exceptions: an overlay can replace values, hooks replace the lifecycle handlers of the pod and run them,
//! the injected init containers are moved after one that another webhook has added, and the signature of a
//! copied pod is replaced.

use std::sync::Arc;

use json_patch::jsonptr::{Pointer, PointerBuf};
use serde_json::{Map, Value, json};

use crate::input::{ContainerEdit, ObjectName, PodEdits};
use crate::names;
use crate::overlay::{Change, Edit};
use crate::plan::{EnvDelivery, ExistingFields, Plan, TaskCommand, TaskContainer};
use crate::pod::{Container, FieldPath, List, Op, Operation, PathStep, Pod};
use crate::profile::spec::Position;

const LABELS: &Pointer = Pointer::from_static("/metadata/labels");
const ANNOTATIONS: &Pointer = Pointer::from_static("/metadata/annotations");
const VOLUMES: &Pointer = Pointer::from_static("/spec/volumes");
const PULL_SECRETS: &Pointer = Pointer::from_static("/spec/imagePullSecrets");
const INIT_CONTAINERS: &Pointer = Pointer::from_static("/spec/initContainers");
const CONTAINERS: &Pointer = Pointer::from_static("/spec/containers");

/// A part of the plan cannot be serialized. This is a bug of Bootlace, which is reported instead of hidden.
#[derive(Debug, thiserror::Error)]
#[error("internal error: failed to serialize the plan ({0}); please report this bug")]
pub struct PatchError(#[from] serde_json::Error);

/// The operations that apply `plan` to `pod`.
///
/// # Errors
/// See [`PatchError`].
pub fn operations(plan: Plan<'_>, pod: &Pod<'_>) -> Result<Vec<Operation>, PatchError> {
    let mut patch = Patch::default();
    annotate(&mut patch, &plan, pod)?;
    patch.append_or_create_shared(VOLUMES, pod.volumes.is_some(), &plan.volumes);
    patch.append(VOLUMES, plan.pod_volumes);
    if !plan.pull_secrets.is_empty() {
        patch.append_or_create_shared(PULL_SECRETS, pod.pull_secrets.is_some(), &plan.pull_secrets);
    }
    // First the init containers of the pod, because containers that are added before them change their
    // indexes.
    for init in plan.init_mounts {
        let list = INIT_CONTAINERS.with_trailing_token(init.index).with_trailing_token("volumeMounts");
        if init.has_mounts {
            patch.append(&list, init.mounts);
        } else {
            patch.add(list, init.mounts);
        }
    }
    let (init, app): (Vec<_>, Vec<_>) = plan.tasks.into_iter().partition(|task| task.list == List::Init);
    for task in init {
        change_task(&mut patch, INIT_CONTAINERS, task, &plan.mounts, plan.env_from.as_ref());
    }
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
        patch.append(INIT_CONTAINERS, last);
    } else {
        first.append(&mut last);
        patch.add(INIT_CONTAINERS.to_buf(), Value::Array(first));
    }
    for task in app {
        change_task(&mut patch, CONTAINERS, task, &plan.mounts, plan.env_from.as_ref());
    }
    Ok(patch.0)
}

/// The operations that apply the overlays of a pod. They are applied before all others.
#[must_use]
pub fn overlays(steps: Vec<Edit>) -> Vec<Operation> {
    let mut patch = Patch::default();
    for Edit { path, change } in steps {
        match change {
            Change::Add(value) => patch.add(path, value),
            Change::Replace(value) => patch.replace(path, value),
        }
    }
    patch.0
}

/// The operations that deliver the inputs of `pod`. They are applied before those of its plan.
#[must_use]
pub fn inputs(edits: PodEdits, pod: &Pod<'_>) -> Vec<Operation> {
    let mut patch = Patch::default();
    for ObjectName { field, object, optional } in edits.names {
        let pointer = pointer(&field);
        let sibling = pointer.parent().zip(optional);
        let optional = sibling.map(|(parent, optional)| (parent.with_trailing_token("optional"), optional));
        patch.replace(pointer, Value::String(object));
        if let Some((path, optional)) = optional {
            patch.add(path, optional);
        }
    }
    if !edits.volumes.is_empty() {
        patch.append_or_create(VOLUMES, pod.volumes.is_some(), edits.volumes);
    }
    for ContainerEdit { list, index, mounts, env } in edits.containers {
        let (list, containers) = match list {
            List::Init => (INIT_CONTAINERS, &pod.init_containers),
            List::App => (CONTAINERS, &pod.containers),
        };
        let (pointer, container) = (list.with_trailing_token(index), containers.get(index));
        if !mounts.is_empty() {
            let present = container.is_some_and(|container| container.mounts.is_some());
            patch.append_or_create(&pointer.with_trailing_token("volumeMounts"), present, mounts);
        }
        if !env.is_empty() {
            let present = container.is_some_and(Container::has_env);
            patch.append_or_create(&pointer.with_trailing_token("env"), present, env);
        }
    }
    patch.0
}

fn pointer(field: &FieldPath) -> PointerBuf {
    let mut pointer = PointerBuf::new();
    for step in &field.0 {
        match step {
            PathStep::Field(name) => pointer.push_back(name.as_str()),
            PathStep::Element(index) => pointer.push_back(*index),
        }
    }
    pointer
}

/// The operations that move the init containers at `indexes`, in ascending order, after all others.
#[must_use]
pub fn move_to_end(indexes: &[usize], pod: &Pod<'_>) -> Vec<Operation> {
    let last = INIT_CONTAINERS.with_trailing_token(pod.init_containers.len().saturating_sub(1));
    // Each container that was moved before it was at a lower index.
    let from =
        |(moved, index): (usize, &usize)| INIT_CONTAINERS.with_trailing_token(index.saturating_sub(moved));
    indexes.iter().enumerate().map(|index| Operation::move_from(from(index), last.clone())).collect()
}

/// The operation that sets the signature in the boot container of an injected pod; `None` if it has no boot
/// container.
#[must_use]
pub fn signature(signature: String, pod: &Pod<'_>) -> Option<Operation> {
    let boot = pod.init_containers.iter().find(|container| container.name == names::CONTAINER_BOOT)?;
    let env = INIT_CONTAINERS.with_trailing_token(boot.index).with_trailing_token("env");
    let position = boot.variables().position(|variable| variable.name == names::ENV_SIGNATURE);
    let variable = json!({"name": names::ENV_SIGNATURE, "value": signature});
    Some(match position {
        None if boot.variables().next().is_none() => Operation::add(env, json!([variable])),
        Some(position) => Operation::replace(
            env.with_trailing_token(position).with_trailing_token("value"),
            Value::String(signature),
        ),
        None => Operation { path: env.with_trailing_token("-"), op: Op::Add(Arc::new(variable)) },
    })
}

fn annotate(patch: &mut Patch, plan: &Plan<'_>, pod: &Pod<'_>) -> Result<(), PatchError> {
    let value = serde_json::to_string(&plan.injected)?;
    let links = plan.links.iter();
    let links = links.map(|(name, link)| (names::link_annotation(name), link.clone()));
    let added = std::iter::once((names::ANNOTATION_INJECTED.to_owned(), value)).chain(links);
    if pod.annotations.is_present() {
        for (name, value) in added {
            patch.add(ANNOTATIONS.with_trailing_token(name.as_str()), value);
        }
    } else {
        let added = added.map(|(name, value)| (name, Value::String(value)));
        patch.add(ANNOTATIONS.to_buf(), Value::Object(added.collect()));
    }
    if let Some(label) = plan.injected.monitor_label() {
        if pod.labels.is_present() {
            patch.add(LABELS.with_trailing_token(names::LABEL_MONITOR), label);
        } else {
            patch.add(LABELS.to_buf(), json!({ names::LABEL_MONITOR: label }));
        }
    }
    Ok(())
}

fn change_task(
    patch: &mut Patch,
    list: &Pointer,
    task: TaskContainer,
    mounts: &[Arc<Value>],
    env_from: Option<&Value>,
) {
    let container = list.with_trailing_token(task.index);
    let list = container.with_trailing_token("volumeMounts");
    patch.append_or_create_shared(&list, task.existing.mounts, mounts);
    patch.append(&list, task.mounts);
    let command = container.with_trailing_token("command");
    match task.command {
        // Each word is added separately, so that the patch does not repeat the command of the pod.
        TaskCommand::Prefixed(words) => patch.prepend_all(&command, words),
        TaskCommand::Explicit { words, .. } => patch.add(command, words),
        TaskCommand::Unchanged => {}
    }
    // Before the entries of the pod, because a later entry overrides an earlier one, and `env` overrides all
    // of them.
    if let (EnvDelivery::Secret, Some(entry)) = (task.delivery, env_from) {
        let list = container.with_trailing_token("envFrom");
        if task.existing.env_from {
            patch.add(list.with_trailing_token(0_usize), entry.clone());
        } else {
            patch.add(list, json!([entry]));
        }
    }
    let env = container.with_trailing_token("env");
    match (task.env.is_empty(), task.existing.env) {
        (true, _) => {}
        (false, true) => patch.prepend_all(&env, task.env),
        (false, false) => patch.add(env, task.env),
    }
    set_handlers(patch, &container.with_trailing_token("lifecycle"), task.existing, task.hook, task.prestop);
}

/// Sets the lifecycle handlers of a container.
fn set_handlers(
    patch: &mut Patch,
    lifecycle: &Pointer,
    existing: ExistingFields,
    hook: Option<Vec<String>>,
    prestop: Option<Vec<String>>,
) {
    let mut added = Map::new();
    for (field, command, has_handler) in
        [("postStart", hook, existing.handler), ("preStop", prestop, existing.stop_handler)]
    {
        let Some(command) = command else { continue };
        let handler = json!({"exec": {"command": command}});
        if has_handler {
            patch.replace(lifecycle.with_trailing_token(field), handler);
        } else if existing.lifecycle {
            patch.add(lifecycle.with_trailing_token(field), handler);
        } else {
            added.insert(field.to_owned(), handler);
        }
    }
    if !added.is_empty() {
        patch.add(lifecycle.to_buf(), added);
    }
}

#[derive(Default)]
struct Patch(Vec<Operation>);

impl Patch {
    fn add(&mut self, path: PointerBuf, value: impl Into<Value>) {
        self.0.push(Operation::add(path, value));
    }

    fn replace(&mut self, path: PointerBuf, value: Value) {
        self.0.push(Operation::replace(path, value));
    }

    /// Adds at the start of an existing array.
    fn prepend_all<T: Into<Value>>(&mut self, path: &Pointer, values: Vec<T>) {
        let first = path.with_trailing_token(0_usize);
        for value in values.into_iter().rev() {
            self.add(first.clone(), value);
        }
    }

    /// Adds at the end of an existing array.
    fn append(&mut self, path: &Pointer, values: impl IntoIterator<Item = impl Into<Arc<Value>>>) {
        for value in values {
            self.0.push(Operation { path: path.with_trailing_token("-"), op: Op::Add(value.into()) });
        }
    }

    /// Adds at the end of an array, or creates it if it is absent, because adding to an absent array fails.
    fn append_or_create(&mut self, path: &Pointer, present: bool, values: Vec<Value>) {
        if present {
            self.append(path, values);
        } else {
            self.add(path.to_buf(), values);
        }
    }

    /// Same as `append_or_create`, for values that all pods of a profile share. They are only copied into a
    /// new array.
    fn append_or_create_shared(&mut self, path: &Pointer, present: bool, values: &[Arc<Value>]) {
        if present {
            self.append(path, values.iter().cloned());
        } else {
            self.add(path.to_buf(), values.iter().map(|value| Value::clone(value)).collect::<Vec<_>>());
        }
    }
}
