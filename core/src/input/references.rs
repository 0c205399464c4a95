//! Fields of a pod that name an object by the key of a pipe: `{{.Pipes.KEY}}` or `pipe:KEY` in place of the
//! name.
//!
//! They are found in the raw JSON, and only their strings are replaced. The rest of the pod does not change.

use bootlace_launch::handover::is_data_key;

use super::InputError;
use crate::output::{ObjectKind, key};
use crate::pod::{FieldPath, Fields, Json, PathStep};

/// Alternative notation, for template engines that use `{{ }}` themselves.
pub(super) const PREFIX: &str = "pipe:";

/// A field that names an object by the key of a pipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ObjectReference {
    /// The field whose value is the placeholder.
    pub(super) field: FieldPath,
    /// The kind of object that it requires.
    pub(super) kind: ObjectKind,
    /// The key.
    pub(super) key: String,
    /// Files of the object that it references: the key of a variable, or the items of a volume.
    pub(super) files: Vec<String>,
    /// The volume that contains it; `None` in a container.
    pub(super) volume: Option<VolumeReference>,
}

/// A volume that contains an object, possibly with others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct VolumeReference {
    /// Its index in the volumes of the pod.
    pub(super) index: usize,
    /// Paths of its items in the volume; empty if every file has its own name.
    pub(super) paths: Vec<String>,
}

impl ObjectReference {
    /// Whether it is in an init container of the pod.
    pub(super) fn is_in_init_container(&self) -> bool {
        matches!(self.field.0.get(1), Some(PathStep::Field(list)) if list == "initContainers")
    }
}

/// All references, in order.
///
/// # Errors
/// If a placeholder is not the whole name, or is in a field that names no object.
pub(super) fn find<'a>(pod: &'a Json<'a>) -> Result<Vec<ObjectReference>, InputError> {
    let Some(spec) = pod.as_object().and_then(|pod| pod.get("spec")) else { return Ok(Vec::new()) };
    let mut walk = Walk { place: vec![Step::Field("spec")], parents: Vec::new(), found: Vec::new() };
    walk.visit(spec)?;
    Ok(walk.found)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step<'a> {
    Field(&'a str),
    Element(usize),
}

struct Walk<'a> {
    place: Vec<Step<'a>>,
    /// The objects that contain the current value, outermost first.
    parents: Vec<&'a Fields<'a>>,
    found: Vec<ObjectReference>,
}

impl<'a> Walk<'a> {
    fn visit(&mut self, value: &'a Json<'a>) -> Result<(), InputError> {
        match value {
            Json::String(text) => self.text(text)?,
            Json::Array(elements) => {
                for (position, element) in elements.iter().enumerate() {
                    self.place.push(Step::Element(position));
                    self.visit(element)?;
                    self.place.pop();
                }
            }
            Json::Object(fields) => {
                self.parents.push(fields);
                for (name, field) in fields.iter() {
                    self.place.push(Step::Field(name));
                    self.visit(field)?;
                    self.place.pop();
                }
                self.parents.pop();
            }
            Json::Null | Json::Bool(_) | Json::Number(_) => {}
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), InputError> {
        let (has_prefix, has_placeholder) = (text.starts_with(PREFIX), contains_placeholder(text));
        // Most strings of most pods.
        if !has_prefix && !has_placeholder {
            return Ok(());
        }
        let Some(kind) = object_kind(&self.place) else {
            // In other fields, this prefix can have another meaning.
            return if has_placeholder {
                Err(InputError::PlaceholderNotReplaced { field: self.field().to_string() })
            } else {
                Ok(())
            };
        };
        let key = match text.strip_prefix(PREFIX) {
            Some(key) if !has_placeholder => key.to_owned(),
            _ => key::of_placeholder(text)
                .ok_or_else(|| InputError::PlaceholderNotAlone {
                    field: self.field().to_string(),
                    value: text.to_owned(),
                })?
                .to_owned(),
        };
        if !is_data_key(&key) {
            return Err(InputError::InvalidPlaceholderKey {
                field: self.field().to_string(),
                value: text.to_owned(),
            });
        }
        let (field, items) = (self.field(), self.items());
        let volume = match self.place.as_slice() {
            [_, Step::Field("volumes"), Step::Element(index), ..] => Some(VolumeReference {
                index: *index,
                paths: items.iter().map(|(_, path)| path.clone()).collect(),
            }),
            _ => None,
        };
        let file = self.parents.last().and_then(|fields| fields.get("key")?.as_str()).map(str::to_owned);
        let files = items.into_iter().map(|(file, _)| file).chain(file).collect();
        self.found.push(ObjectReference { field, kind, key, files, volume });
        Ok(())
    }

    /// Keys and paths of the `items` next to the name.
    fn items(&self) -> Vec<(String, String)> {
        let Some(Json::Array(items)) = self.parents.last().and_then(|fields| fields.get("items")) else {
            return Vec::new();
        };
        let item = |item: &Json<'_>| {
            let field = |name| item.as_object()?.get(name)?.as_str().map(str::to_owned);
            field("key").zip(field("path"))
        };
        items.iter().filter_map(item).collect()
    }

    fn field(&self) -> FieldPath {
        let step = |step: &Step<'_>| match *step {
            Step::Field(name) => PathStep::Field(name.to_owned()),
            Step::Element(index) => PathStep::Element(index),
        };
        FieldPath(self.place.iter().map(step).collect())
    }
}

fn contains_placeholder(text: &str) -> bool {
    // First a search for one byte, which is much faster and not found in most texts.
    text.contains('{') && text.contains("{{") && text.contains(".Pipes.")
}

/// The kind of object that a field names; `None` if it names none, or one of a kind that pipes do not have.
fn object_kind(place: &[Step<'_>]) -> Option<ObjectKind> {
    use Step::{Element, Field};
    let [Field("spec"), Field(list), Element(_), field @ ..] = place else { return None };
    let words = field.iter().map(|step| match step {
        Field(name) => name,
        Element(_) => "[]",
    });
    let words: Vec<_> = words.collect();
    match (*list, words.as_slice()) {
        ("volumes", ["secret", "secretName"] | ["projected", "sources", "[]", "secret", "name"]) => {
            Some(ObjectKind::Secret)
        }
        ("volumes", ["configMap", "name"] | ["projected", "sources", "[]", "configMap", "name"]) => {
            Some(ObjectKind::ConfigMap)
        }
        (
            "containers" | "initContainers",
            ["env", "[]", "valueFrom", "secretKeyRef", "name"] | ["envFrom", "[]", "secretRef", "name"],
        ) => Some(ObjectKind::Secret),
        (
            "containers" | "initContainers",
            ["env", "[]", "valueFrom", "configMapKeyRef", "name"] | ["envFrom", "[]", "configMapRef", "name"],
        ) => Some(ObjectKind::ConfigMap),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::code::{Code, Coded as _};

    fn pod(text: &str) -> Value {
        json!({"metadata": {"annotations": {"note": "{{.Pipes.Note}}"}}, "spec": {
            "volumes": [
                {"name": "a", "secret": {"secretName": text}},
                {"name": "b", "configMap": {"name": text}},
                {"name": "c", "projected": {"sources": [
                    {"downwardAPI": {}}, {"secret": {"name": text}}, {"configMap": {"name": text}},
                ]}},
            ],
            "initContainers": [{"name": "i", "envFrom": [{"secretRef": {"name": text}}]}],
            "containers": [{"name": "m",
                "env": [
                    {"name": "A", "valueFrom": {"secretKeyRef": {"name": text, "key": "k"}}},
                    {"name": "B", "valueFrom": {"configMapKeyRef": {"name": text, "key": "k"}}},
                ],
                "envFrom": [{"configMapRef": {"name": text}}],
            }],
        }})
    }

    #[test]
    fn every_field_that_names_an_object_is_found() {
        for text in ["{{.Pipes.Cert}}", "{{ .Pipes.Cert }}", "pipe:Cert"] {
            let pod = pod(text);
            let mut found = find(&Json::from(&pod)).unwrap();
            for reference in &found {
                let value = reference.field.0.iter().fold(&pod, |at, step| match step {
                    PathStep::Field(name) => &at[name],
                    PathStep::Element(index) => &at[index],
                });
                assert_eq!(value, text);
                assert_eq!(reference.key, "Cert");
            }
            found.sort_by_key(|reference| reference.field.to_string());
            let found: Vec<_> = found
                .iter()
                .map(|reference| format!("{} {}", reference.field, reference.kind.as_str()))
                .collect();
            assert_eq!(
                found,
                [
                    "spec.containers[0].envFrom[0].configMapRef.name ConfigMap",
                    "spec.containers[0].env[0].valueFrom.secretKeyRef.name Secret",
                    "spec.containers[0].env[1].valueFrom.configMapKeyRef.name ConfigMap",
                    "spec.initContainers[0].envFrom[0].secretRef.name Secret",
                    "spec.volumes[0].secret.secretName Secret",
                    "spec.volumes[1].configMap.name ConfigMap",
                    "spec.volumes[2].projected.sources[1].secret.name Secret",
                    "spec.volumes[2].projected.sources[2].configMap.name ConfigMap",
                ]
            );
        }
        for text in ["settings", "{{ params.x }}", "Pipes.A", "my-pipe:x"] {
            assert_eq!(find(&Json::from(&pod(text))).unwrap(), [], "{text}");
        }
    }

    #[test]
    fn what_is_no_whole_name_is_refused() {
        for (text, code) in [
            ("x-{{.Pipes.Cert}}", Code::PlaceholderNotAlone),
            ("{{.Pipes.A}}{{.Pipes.B}}", Code::PlaceholderNotAlone),
            ("pipe:{{.Pipes.A}}", Code::PlaceholderNotAlone),
            ("{{.Pipes.}}", Code::PlaceholderKeyInvalid),
            ("pipe:", Code::PlaceholderKeyInvalid),
            ("pipe:a/b", Code::PlaceholderKeyInvalid),
        ] {
            let error = find(&Json::from(&pod(text))).unwrap_err();
            assert_eq!(error.code(), code, "{text}: {error}");
            assert!(error.to_string().contains(text), "{text}: {error}");
        }
    }

    #[test]
    fn a_placeholder_where_nothing_replaces_it_is_refused_and_the_short_form_is_left() {
        let arguments = |text: &str| json!({"spec": {"containers": [{"name": "m", "args": ["a", text]}]}});
        let error = find(&Json::from(&arguments("--cert={{.Pipes.Cert}}"))).unwrap_err();
        assert_eq!(
            error,
            InputError::PlaceholderNotReplaced { field: "spec.containers[0].args[1]".to_owned() }
        );
        assert_eq!(find(&Json::from(&arguments("pipe:Cert"))).unwrap(), []);
    }
}
