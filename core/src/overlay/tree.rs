//! The values of an overlay, with compiled templates.

use serde_json::{Map, Value};

use super::error::{InvalidOverlay, InvalidOverlayField, OverlayProblem};
use super::label;
use super::merge_keys::Merge;
use crate::names;
use crate::pod::{FieldPath, PathStep};
use crate::template::{self, Context, TemplateId, Templates, UsedMaps};

/// Maximum nesting depth of a value. The deepest fields of a pod, in the affinity, have 10 levels.
const MAX_DEPTH: usize = 24;
/// Maximum number of values in all overlays of a profile. A partial pod with five containers has 200.
const MAX_VALUES: usize = 4_000;
/// Maximum number of templates in all overlays of a profile. Each takes up to 50,000 steps for every pod.
const MAX_TEMPLATES: usize = 128;

/// A value whose strings can be templates.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tree {
    value: Value,
    templates: Vec<Hole>,
}

/// A string that a template replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hole {
    path: FieldPath,
    template: TemplateId,
    is_label: bool,
}

impl Tree {
    /// The value for a pod, copied only if it contains templates. `field` is its place in the overlay, for
    /// messages.
    pub(super) fn render<'t>(
        &'t self,
        templates: &Templates,
        context: &Context,
        field: impl Fn() -> String,
    ) -> Result<Rendered<'t>, OverlayProblem> {
        if self.templates.is_empty() {
            return Ok(Rendered::Borrowed(&self.value));
        }
        let mut value = self.value.clone();
        for hole in &self.templates {
            let text = templates
                .render(hole.template, context)
                .map_err(|error| OverlayProblem::Evaluate { field: field_at(&field(), &hole.path), error })?;
            if hole.is_label && !label::is_value(&text) {
                return Err(OverlayProblem::Label { field: field_at(&field(), &hole.path), value: text });
            }
            if let Some(place) = value_at(&mut value, &hole.path) {
                *place = Value::String(text);
            }
        }
        Ok(Rendered::Owned(value))
    }
}

pub(super) type Rendered<'t> = std::borrow::Cow<'t, Value>;

/// The path of a value in a field of the overlay, for messages.
fn field_at(field: &str, path: &FieldPath) -> String {
    match &*path.to_string() {
        "" => field.to_owned(),
        path if path.starts_with('[') => format!("{field}{path}"),
        path => format!("{field}.{path}"),
    }
}

fn value_at<'v>(value: &'v mut Value, path: &FieldPath) -> Option<&'v mut Value> {
    path.0.iter().try_fold(value, |value, step| match step {
        PathStep::Field(name) => value.get_mut(name),
        PathStep::Element(index) => value.get_mut(*index),
    })
}

/// Checks and compiles the values of one overlay.
pub(super) struct TreeBuilder<'b> {
    overlay: &'b str,
    templates: &'b mut Templates,
    values: &'b mut usize,
    used: UsedMaps,
    /// The field of the overlay, for messages.
    field: String,
    /// The path in the value.
    path: Vec<PathStep>,
    holes: Vec<Hole>,
}

type Checked = Result<(), InvalidOverlay>;

impl<'b> TreeBuilder<'b> {
    pub(super) fn new(overlay: &'b str, templates: &'b mut Templates, values: &'b mut usize) -> Self {
        Self {
            overlay,
            templates,
            values,
            used: UsedMaps::default(),
            field: String::new(),
            path: Vec::new(),
            holes: Vec::new(),
        }
    }

    /// The maps that the templates read.
    pub(super) fn used(&self) -> UsedMaps {
        self.used
    }

    /// Compiles `value`, which is merged like `merge`. `field` is its place in the overlay.
    pub(super) fn tree(
        &mut self,
        value: &Value,
        merge: Merge,
        is_label: bool,
        field: String,
    ) -> Result<Tree, InvalidOverlay> {
        self.field = field;
        self.value(value, merge, is_label)?;
        Ok(Tree { value: value.clone(), templates: std::mem::take(&mut self.holes) })
    }

    /// The error for the current field.
    pub(super) fn invalid(&self, problem: InvalidOverlayField) -> InvalidOverlay {
        let field = field_at(&self.field, &FieldPath(self.path.clone()));
        InvalidOverlay { overlay: self.overlay.to_owned(), field, problem }
    }

    fn value(&mut self, value: &Value, merge: Merge, is_label: bool) -> Checked {
        *self.values += 1;
        let too_large = |count, unit, limit| InvalidOverlayField::TooLarge { count, unit, limit };
        if *self.values > MAX_VALUES {
            return Err(self.invalid(too_large(*self.values, "values of all overlays", MAX_VALUES)));
        }
        if self.path.len() > MAX_DEPTH {
            return Err(self.invalid(too_large(self.path.len(), "levels", MAX_DEPTH)));
        }
        match value {
            Value::Null => Err(self.invalid(InvalidOverlayField::Removal("the null"))),
            Value::Object(fields) => self.fields(fields, merge),
            Value::Array(elements) => self.elements(elements, merge),
            Value::String(text) if template::is_one(text) => self.template(text, is_label),
            Value::String(text) if is_label && !label::is_value(text) => {
                Err(self.invalid(InvalidOverlayField::Format { kind: "label value", value: text.clone() }))
            }
            _ => Ok(()),
        }
    }

    fn fields(&mut self, fields: &Map<String, Value>, merge: Merge) -> Checked {
        for (name, value) in fields {
            self.path.push(PathStep::Field(name.clone()));
            if template::is_one(name) {
                return Err(self.invalid(InvalidOverlayField::Fixed("the pod must not choose the name")));
            }
            if name.starts_with('$') {
                let directive = "the directive of strategic merge patches";
                return Err(self.invalid(InvalidOverlayField::Removal(directive)));
            }
            let is_label = matches!(
                &*self.path,
                [PathStep::Field(metadata), PathStep::Field(labels), _]
                    if metadata == "metadata" && labels == "labels"
            );
            self.value(value, merge.at(name), is_label)?;
            self.path.pop();
        }
        Ok(())
    }

    fn elements(&mut self, elements: &[Value], merge: Merge) -> Checked {
        for (index, value) in elements.iter().enumerate() {
            self.path.push(PathStep::Element(index));
            if let Merge::Keyed(list) = merge {
                for key in &list.keys {
                    match value.get(&*key.name) {
                        Some(Value::String(text)) if template::is_one(text) => {
                            self.path.push(PathStep::Field(key.name.to_string()));
                            let reason = "it identifies the element in the list";
                            return Err(self.invalid(InvalidOverlayField::Fixed(reason)));
                        }
                        None if !key.has_default() => {
                            let key = key.name.to_string();
                            return Err(self.invalid(InvalidOverlayField::NoKey { key }));
                        }
                        _ => {}
                    }
                }
                if elements.iter().take(index).any(|earlier| list.describe(earlier) == list.describe(value)) {
                    let key = list.describe(value);
                    return Err(self.invalid(InvalidOverlayField::Twice { key }));
                }
            }
            self.value(value, merge.at("0"), false)?;
            self.path.pop();
        }
        Ok(())
    }

    fn template(&mut self, text: &str, is_label: bool) -> Checked {
        let limit = MAX_TEMPLATES;
        if self.templates.count() >= limit {
            let problem =
                InvalidOverlayField::TooLarge { count: limit + 1, unit: "templates of all overlays", limit };
            return Err(self.invalid(problem));
        }
        let (template, used) = self.templates.add(text).map_err(|error| self.invalid(error.into()))?;
        self.used = self.used.or(used);
        self.holes.push(Hole { path: FieldPath(self.path.clone()), template, is_label });
        Ok(())
    }

    /// Checks the structure of a partial pod. With `is_partial`, it has been made from an operation, and its
    /// elements need no names.
    pub(super) fn check_pod(&mut self, pod: &Value, is_partial: bool, field: &str) -> Checked {
        field.clone_into(&mut self.field);
        for (name, value) in pod.as_object().into_iter().flatten() {
            self.at(name, |check| match name.as_str() {
                "metadata" => check.check_metadata(value),
                "spec" => check.check_spec(value, is_partial),
                _ => Err(check.invalid(InvalidOverlayField::NotAllowed("use labels, annotations and spec"))),
            })?;
        }
        Ok(())
    }

    fn at(&mut self, name: &str, check: impl FnOnce(&mut Self) -> Checked) -> Checked {
        self.path.push(PathStep::Field(name.to_owned()));
        check(self)?;
        self.path.pop();
        Ok(())
    }

    fn each(&mut self, list: &Value, mut check: impl FnMut(&mut Self, &Value) -> Checked) -> Checked {
        for (index, element) in list.as_array().into_iter().flatten().enumerate() {
            self.path.push(PathStep::Element(index));
            check(self, element)?;
            self.path.pop();
        }
        Ok(())
    }

    fn check_metadata(&mut self, metadata: &Value) -> Checked {
        for (name, values) in metadata.as_object().into_iter().flatten() {
            self.at(name, |check| {
                if !["labels", "annotations"].contains(&name.as_str()) {
                    let remedy = "use labels and annotations";
                    return Err(check.invalid(InvalidOverlayField::NotAllowed(remedy)));
                }
                for key in values.as_object().into_iter().flatten().map(|(key, _)| key) {
                    check.at(key, |check| check.check_key(key))?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    fn check_key(&self, key: &str) -> Checked {
        let domain = key.split_once('/').map_or("", |(domain, _)| domain);
        let is_subdomain = domain.strip_suffix(names::DOMAIN).is_some_and(|rest| rest.ends_with('.'));
        if domain == names::DOMAIN || is_subdomain {
            return Err(self.invalid(InvalidOverlayField::Reserved { name: key.to_owned() }));
        }
        // What is a template is refused with its own message.
        if !template::is_one(key) && !label::is_key(key) {
            return Err(self.invalid(InvalidOverlayField::Format { kind: "key", value: key.to_owned() }));
        }
        Ok(())
    }

    fn check_spec(&mut self, spec: &Value, is_partial: bool) -> Checked {
        for (name, value) in spec.as_object().into_iter().flatten() {
            self.at(name, |check| match name.as_str() {
                "containers" | "initContainers" => {
                    let allows_all = name == "containers" && !is_partial;
                    check.each(value, |check, container| check.check_container(container, allows_all))
                }
                "volumes" => check.each(value, |check, volume| check.check_name(volume, "volume name")),
                "ephemeralContainers" => {
                    Err(check
                        .invalid(InvalidOverlayField::NotAllowed("the API adds them to running pods only")))
                }
                _ => Ok(()),
            })?;
        }
        Ok(())
    }

    /// Checks the name of a container or volume.
    fn check_name(&mut self, object: &Value, kind: &'static str) -> Checked {
        let Some(name) = object.get("name").and_then(Value::as_str).filter(|name| !template::is_one(name))
        else {
            return Ok(());
        };
        self.at("name", |check| {
            if names::is_reserved(name) {
                return Err(check.invalid(InvalidOverlayField::Reserved { name: name.to_owned() }));
            }
            if !label::is_dns_label(name) {
                return Err(check.invalid(InvalidOverlayField::Format { kind, value: name.to_owned() }));
            }
            Ok(())
        })
    }

    fn check_container(&mut self, container: &Value, allows_all: bool) -> Checked {
        let is_all = container.get("name").and_then(Value::as_str) == Some(super::ALL_TASKS);
        if !(is_all && allows_all) {
            self.check_name(container, "container name")?;
        }
        for field in ["volumeMounts", "volumeDevices", "env"] {
            let Some(list) = container.get(field) else { continue };
            self.at(field, |check| {
                check.each(list, |check, element| {
                    let Some(name) = element.get("name").and_then(Value::as_str) else { return Ok(()) };
                    let is_reserved = match field {
                        "env" => name.starts_with(names::ENV_PREFIX),
                        _ => names::is_reserved(name),
                    };
                    if !is_reserved {
                        return Ok(());
                    }
                    let reserved = InvalidOverlayField::Reserved { name: name.to_owned() };
                    check.at("name", |check| Err(check.invalid(reserved)))
                })
            })?;
        }
        Ok(())
    }
}
