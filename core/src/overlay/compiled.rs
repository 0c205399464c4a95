//! The overlays of a profile, checked and compiled once.

use json_patch::jsonptr::{Pointer, PointerBuf};
use serde_json::Value;

use super::error::{InvalidOverlay, InvalidOverlayField};
use super::merge_keys::{Merge, Type};
use super::tree::{Tree, TreeBuilder};
use crate::pod::{Json, Pod};
use crate::profile::overlay::{JsonPatchOp, JsonPatchOperation, Overlay as Spec};
use crate::template::{Condition, Templates, UsedMaps};

/// Maximum bytes of all overlays of a profile, as JSON. The API server accepts objects of about 1.5 MiB, and
/// the status of a profile contains it again.
const MAX_BYTES: usize = 128 * 1024;

/// The overlays of a profile.
#[derive(Debug, Clone, Default)]
pub struct Overlays {
    pub(super) all: Vec<Overlay>,
    pub(super) templates: Templates,
    /// What their conditions and values read.
    pub(super) used: UsedMaps,
}

/// An overlay.
#[derive(Debug, Clone)]
pub(super) struct Overlay {
    pub(super) name: String,
    pub(super) when: Option<Condition>,
    pub(super) is_optional: bool,
    pub(super) overrides: bool,
    pub(super) renames: bool,
    pub(super) body: Body,
    /// What its condition and values read.
    pub(super) used: UsedMaps,
}

/// The change to a pod.
#[derive(Debug, Clone)]
pub(super) enum Body {
    /// A partial pod.
    Pod(Tree),
    /// A JSON patch.
    Patch(Vec<PatchStep>),
}

/// An operation of a JSON patch.
#[derive(Debug, Clone)]
pub(super) struct PatchStep {
    pub(super) path: PointerBuf,
    pub(super) action: PatchAction,
}

/// What an operation does.
#[derive(Debug, Clone)]
pub(super) enum PatchAction {
    Add(Tree),
    Replace(Tree),
    Test(Tree),
    Copy(PointerBuf),
}

impl Overlays {
    /// Checks and compiles the overlays of a profile.
    ///
    /// # Errors
    /// The first overlay that cannot work for any pod. The error contains the field and the remedy.
    pub fn new(specs: &[Spec]) -> Result<Self, InvalidOverlay> {
        let mut overlays = Self::default();
        let mut values = 0;
        let mut bytes = 0;
        for spec in specs {
            bytes += serde_json::to_vec(spec).map_or(usize::MAX, |json| json.len());
            if bytes > MAX_BYTES {
                let problem = InvalidOverlayField::TooLarge {
                    count: bytes,
                    unit: "bytes of all overlays",
                    limit: MAX_BYTES,
                };
                return Err(invalid(spec, "pod", problem));
            }
            let overlay = overlay(spec, &mut overlays.templates, &mut values)?;
            overlays.used = overlays.used.or(overlay.used);
            overlays.all.push(overlay);
        }
        Ok(overlays)
    }

    /// Whether the profile has no overlays.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

fn invalid(spec: &Spec, field: &str, problem: InvalidOverlayField) -> InvalidOverlay {
    InvalidOverlay { overlay: spec.name.clone(), field: field.to_owned(), problem }
}

fn overlay(spec: &Spec, templates: &mut Templates, values: &mut usize) -> Result<Overlay, InvalidOverlay> {
    let when = spec.when.as_deref().map(Condition::new).transpose();
    let when = when.map_err(|error| invalid(spec, "when", error.into()))?;
    let mut used = when.as_ref().map(Condition::used).unwrap_or_default();
    let mut builder = TreeBuilder::new(&spec.name, templates, values);
    let body = if let Some(pod) = &spec.pod {
        let value = Value::Object(pod.clone());
        check_types(spec, "pod", &value)?;
        builder.check_pod(&value, false, "pod")?;
        Body::Pod(builder.tree(&value, Merge::Fields(Type::pod()), false, "pod".to_owned())?)
    } else {
        let steps = spec.json_patch.iter().enumerate();
        let steps = steps.map(|(position, operation)| step(spec, position, operation, &mut builder));
        Body::Patch(steps.collect::<Result<_, _>>()?)
    };
    used = used.or(builder.used());
    Ok(Overlay {
        name: spec.name.clone(),
        when,
        is_optional: spec.optional,
        overrides: spec.overrides,
        renames: spec.rename,
        body,
        used,
    })
}

/// Checks the fields that Bootlace reads. A value keeps its type when a template is rendered.
fn check_types(spec: &Spec, field: &str, pod: &Value) -> Result<(), InvalidOverlay> {
    match Pod::read(&Json::from(pod)) {
        Ok(_) => Ok(()),
        Err(error) => Err(invalid(spec, field, InvalidOverlayField::WrongType(error.to_string()))),
    }
}

fn step(
    spec: &Spec,
    position: usize,
    operation: &JsonPatchOperation,
    builder: &mut TreeBuilder<'_>,
) -> Result<PatchStep, InvalidOverlay> {
    let field = format!("jsonPatch[{position}]");
    let wrong = |problem| invalid(spec, &field, InvalidOverlayField::Operation(problem));
    let path = pointer(spec, &format!("{field}.path"), &operation.path)?;
    let changes = operation.op != JsonPatchOp::Test;
    if changes {
        check_place(spec, &format!("{field}.path"), &path, operation.op)?;
    }
    let merge = path.tokens().fold(Merge::Fields(Type::pod()), |merge, token| merge.at(&token.decoded()));
    let is_label = path.count() == 3 && path.starts_with(LABELS);
    let value = operation.value.as_ref();
    let action = match (operation.op, value, &operation.from) {
        (JsonPatchOp::Copy, None, Some(from)) => {
            let from = pointer(spec, &format!("{field}.from"), from)?;
            PatchAction::Copy(from)
        }
        (JsonPatchOp::Copy, ..) => return Err(wrong("copy has the field from and no value: correct it")),
        (op, Some(value), None) => {
            if changes {
                let pod = at_path(&path, value.clone());
                check_types(spec, &field, &pod)?;
                builder.check_pod(&pod, true, &field)?;
            }
            let tree = builder.tree(value, merge, is_label, format!("{field}.value"))?;
            match op {
                JsonPatchOp::Replace => PatchAction::Replace(tree),
                JsonPatchOp::Test => PatchAction::Test(tree),
                _ => PatchAction::Add(tree),
            }
        }
        _ => return Err(wrong("add, replace and test have a value and no field from: correct it")),
    };
    Ok(PatchStep { path, action })
}

pub(super) const LABELS: &Pointer = Pointer::from_static("/metadata/labels");
pub(super) const ANNOTATIONS: &Pointer = Pointer::from_static("/metadata/annotations");
const SPEC: &Pointer = Pointer::from_static("/spec");
const CONTAINERS: [&Pointer; 2] =
    [Pointer::from_static("/spec/containers"), Pointer::from_static("/spec/initContainers")];

fn pointer(spec: &Spec, field: &str, text: &str) -> Result<PointerBuf, InvalidOverlay> {
    if crate::template::is_one(text) {
        let problem = InvalidOverlayField::Fixed("the pod must not choose the field");
        return Err(invalid(spec, field, problem));
    }
    PointerBuf::parse(text).map_err(|_| {
        let problem = InvalidOverlayField::Format { kind: "JSON pointer", value: text.to_owned() };
        invalid(spec, field, problem)
    })
}

/// Checks the path of an operation that changes the pod. The lists of containers themselves stay, and the
/// containers in them keep their position, so that the task containers are the same.
fn check_place(spec: &Spec, field: &str, path: &Pointer, op: JsonPatchOp) -> Result<(), InvalidOverlay> {
    let not_allowed = |reason| Err(invalid(spec, field, InvalidOverlayField::NotAllowed(reason)));
    let is_below = |place: &&Pointer| path.starts_with(place) && path.count() > place.count();
    if ![SPEC, LABELS, ANNOTATIONS].iter().any(is_below) {
        return not_allowed("use a path below /spec, /metadata/labels or /metadata/annotations");
    }
    if CONTAINERS.contains(&path) {
        return not_allowed("add a container to the list with a path that ends in /-");
    }
    let adds = op != JsonPatchOp::Replace;
    let is_element = path.parent().is_some_and(|parent| CONTAINERS.contains(&parent));
    if adds && is_element && path.last().is_none_or(|last| last.decoded() != "-") {
        return not_allowed("containers are only added at the end: use a path that ends in /-");
    }
    Ok(())
}

/// A partial pod that has `value` at `path`, so that both kinds of overlays pass the same checks.
fn at_path(path: &Pointer, mut value: Value) -> Value {
    let is_spec = path.starts_with(SPEC);
    let mut tokens: Vec<_> = path.tokens().map(|token| token.decoded().into_owned()).collect();
    while let Some(token) = tokens.pop() {
        let is_index = is_spec && (token == "-" || token.parse::<usize>().is_ok());
        value = if is_index {
            Value::Array(vec![value])
        } else {
            Value::Object([(token, value)].into_iter().collect())
        };
    }
    value
}
