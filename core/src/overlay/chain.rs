//! Applies the overlays of a profile to a pod, each to the result of the one before.

use std::sync::Arc;

use json_patch::jsonptr::Pointer;
use serde_json::{Map, Value};

use super::chosen;
use super::compiled::{ANNOTATIONS, Body, LABELS, Overlay, Overlays};
use super::containers::Place;
use super::edit::{Change, Edit};
use super::error::{OverlayError, OverlayProblem};
use super::json_patch::Operations;
use super::merge::{Merged, Merger};
use super::merge_keys::{Merge, Type};
use super::rename;
use crate::identity::Scheduler;
use crate::names;
use crate::pod::{Fields, Json, Pod, Strings};
use crate::template::{Context, UsedMaps};

/// The overlays of one pod.
#[derive(Debug)]
pub struct Chain<'o> {
    profile: &'o str,
    overlays: &'o Overlays,
    chosen: Vec<&'o Overlay>,
    context: Context,
    tasks: Vec<Place>,
}

/// The overlays that were applied.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Applied {
    /// Each overlay that was applied, in order.
    pub steps: Vec<Step>,
    /// Warnings for the author of the pod.
    pub warnings: Vec<String>,
}

/// An overlay that was applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Name of the overlay.
    pub name: String,
    /// Its changes to the pod.
    pub edits: Vec<Edit>,
    /// The paths of values that it would have set, but that the pod or an earlier overlay has set.
    pub kept: Vec<String>,
}

impl<'o> Chain<'o> {
    /// The overlays of `pod`, which `scheduler` creates in `namespace`; `None` if it gets none. `tasks` are
    /// its task containers, which overlays do not change.
    ///
    /// # Errors
    /// If the annotation of the pod names other overlays than the optional ones.
    pub fn new(
        pod: &Pod<'_>,
        namespace: &str,
        scheduler: Option<&Arc<Scheduler>>,
        tasks: &[Place],
        (profile, overlays): (&'o str, &'o Overlays),
    ) -> Result<Option<Self>, OverlayError> {
        if overlays.is_empty() && pod.annotations.get(names::ANNOTATION_OVERLAYS).is_none() {
            return Ok(None);
        }
        let chosen = chosen::overlays(overlays, pod, profile)?;
        if chosen.is_empty() {
            return Ok(None);
        }
        let first = tasks.first().and_then(|(list, index)| pod.container(*list, *index));
        let context = Context::reading(overlays.used, pod, namespace, first, scheduler);
        Ok(Some(Self { profile, overlays, chosen, context, tasks: tasks.to_vec() }))
    }

    /// Applies the overlays to `pod`.
    ///
    /// # Errors
    /// If an overlay cannot be evaluated or applied. The error contains the remedy.
    pub fn apply(mut self, pod: &mut Json<'_>) -> Result<Applied, OverlayError> {
        let mut applied = Applied::default();
        let (mut changed, mut added) = (UsedMaps::default(), 0);
        for overlay in std::mem::take(&mut self.chosen) {
            self.refresh(pod, overlay.used, &mut changed);
            let step = self.step(overlay, pod, &mut added);
            let Some(step) = step.map_err(|problem| self.error(overlay, problem, &applied.steps))? else {
                applied.warnings.extend(overlay.is_optional.then(|| not_met(overlay)));
                continue;
            };
            changed = changed.or(UsedMaps {
                labels: changes(&step.edits, LABELS),
                annotations: changes(&step.edits, ANNOTATIONS),
                env: false,
            });
            applied.steps.push(step);
        }
        Ok(applied)
    }

    /// Applies one overlay; `None` if its condition is false. `added` is the number of values that all
    /// overlays have added.
    fn step(
        &self,
        overlay: &Overlay,
        pod: &mut Json<'_>,
        added: &mut usize,
    ) -> Result<Option<Step>, OverlayProblem> {
        if !self.is_met(overlay)? {
            return Ok(None);
        }
        let mut merger = Merger::new(overlay.overrides, *added);
        self.merge(overlay, pod, &mut merger)?;
        let Merger { edits, kept, added: total, .. } = merger;
        *added = total;
        Ok(Some(Step { name: overlay.name.clone(), edits, kept }))
    }

    /// Reads the labels and annotations again, if earlier overlays have changed them and this one reads them.
    fn refresh(&mut self, pod: &Json<'_>, used: UsedMaps, changed: &mut UsedMaps) {
        let (labels, annotations) = (changed.labels && used.labels, changed.annotations && used.annotations);
        if labels || annotations {
            let read = |name| Strings::of(fields_at(pod, &["metadata", name]));
            self.context = self
                .context
                .with_metadata(labels.then(|| read("labels")), annotations.then(|| read("annotations")));
            changed.labels &= !labels;
            changed.annotations &= !annotations;
        }
    }

    fn is_met(&self, overlay: &Overlay) -> Result<bool, OverlayProblem> {
        let Some(condition) = &overlay.when else { return Ok(true) };
        condition
            .is_met(&self.context)
            .map_err(|error| OverlayProblem::Evaluate { field: "when".to_owned(), error })
    }

    fn merge(&self, overlay: &Overlay, pod: &mut Json<'_>, merger: &mut Merger) -> Merged {
        let templates = &self.overlays.templates;
        match &overlay.body {
            Body::Patch(steps) => Operations { templates, context: &self.context }.apply(steps, pod, merger),
            Body::Pod(tree) => {
                let mut value = tree.render(templates, &self.context, || "pod".to_owned())?;
                if overlay.renames
                    && let Some(spec) = fields_at(pod, &["spec"])
                {
                    value = rename::rename(value, spec);
                }
                self.merge_pod(&value, pod, merger)
            }
        }
    }

    /// Merges a partial pod: the containers first, because their names are checked, then the other fields.
    fn merge_pod(&self, value: &Value, pod: &mut Json<'_>, merger: &mut Merger) -> Merged {
        let (Json::Object(pod), Value::Object(value)) = (pod, value) else { return Ok(()) };
        for (name, value) in value {
            let merge = Type::pod().field(name);
            match (name.as_str(), value, merge) {
                ("spec", Value::Object(values), Merge::Fields(of)) => {
                    self.merge_spec(values, of, pod, merger)?;
                }
                _ => merger.field(pod, name, value, merge)?,
            }
        }
        Ok(())
    }

    fn merge_spec(
        &self,
        values: &Map<String, Value>,
        of: Type,
        pod: &mut Fields<'_>,
        merger: &mut Merger,
    ) -> Merged {
        // A pod without a spec has no containers, and was refused.
        let Some(Json::Object(spec)) = pod.get_mut("spec") else { return Ok(()) };
        let outer = merger.enter("spec");
        merger.containers(spec, values, &self.tasks)?;
        for (name, value) in values.iter().filter(|(name, _)| !is_list_of_containers(name)) {
            merger.field(spec, name, value, of.field(name))?;
        }
        merger.leave(outer);
        Ok(())
    }

    fn error(&self, overlay: &Overlay, mut problem: OverlayProblem, earlier: &[Step]) -> OverlayError {
        if let OverlayProblem::NameTaken { list, name, holder, .. } = &mut problem {
            let step = earlier.iter().rev().find(|step| step.edits.iter().any(|edit| adds(edit, list, name)));
            *holder = step.map_or("the pod".to_owned(), |step| format!("overlay {:?}", step.name));
        }
        OverlayError::Overlay {
            profile: self.profile.to_owned(),
            overlay: overlay.name.clone(),
            problem: Box::new(problem),
        }
    }
}

fn not_met(overlay: &Overlay) -> String {
    format!(
        "bootlace: overlay {:?}, which annotation {} names, is not applied, because its condition is false for this pod",
        overlay.name,
        names::ANNOTATION_OVERLAYS
    )
}

fn is_list_of_containers(name: &str) -> bool {
    super::containers::LISTS.iter().any(|(list, _)| *list == name)
}

const METADATA: &Pointer = Pointer::from_static("/metadata");

/// Whether an edit changes the labels or annotations at `place`.
fn changes(edits: &[Edit], place: &Pointer) -> bool {
    edits.iter().any(|edit| edit.path == METADATA || edit.path.starts_with(place))
}

/// The fields of the object at a path.
fn fields_at<'j, 'a>(json: &'j Json<'a>, path: &[&str]) -> Option<&'j Fields<'a>> {
    let json = path.iter().try_fold(json, |json, name| json.as_object()?.get(name));
    json?.as_object()
}

/// Whether an edit adds an element with this key to a list.
fn adds(edit: &Edit, list: &str, key: &str) -> bool {
    let has_key = |value: &Value| {
        let fields = value.as_object().into_iter().flatten();
        fields.filter_map(|(_, value)| value.as_str()).any(|text| text == key)
    };
    let (Change::Add(value) | Change::Replace(value)) = &edit.change;
    match edit.path.as_str().strip_prefix(list) {
        Some("") => value.as_array().into_iter().flatten().any(has_key),
        Some(_) => has_key(value),
        None => false,
    }
}
