//! Reads manifests: files or standard input, YAML or JSON, several documents, lists, and pod templates in
//! other objects.

use std::io::Read as _;
use std::path::Path;

use serde_json::Value;

use crate::command_error::CommandError;

/// Reads a manifest. `-` is standard input.
pub(super) fn read(file: &Path) -> Result<String, CommandError> {
    if file.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(CommandError::ReadInput)?;
        return Ok(text);
    }
    std::fs::read_to_string(file).map_err(|error| CommandError::ReadFile { path: file.to_owned(), error })
}

/// A document of a manifest, and its format.
pub(super) struct Document<'a> {
    /// The original text, without the separator.
    pub(super) text: &'a str,
    /// The parsed text. `Null` for a document that contains only comments.
    pub(super) value: Value,
    json: bool,
}

/// Parses the documents of a manifest. Lines that start with `---` separate them, as in kubectl.
pub(super) fn documents(text: &str) -> Result<Vec<Document<'_>>, CommandError> {
    if text.trim_start().starts_with('{') {
        let value = serde_json::from_str(text).map_err(CommandError::ManifestJson)?;
        return Ok(vec![Document { text, value, json: true }]);
    }
    split(text)
        .enumerate()
        .map(|(position, text)| {
            // As in kubectl: octal numbers of YAML 1.1, as in `defaultMode: 0644`.
            let options = serde_saphyr::options! { legacy_octal_numbers: true };
            let value = if has_content(text) {
                serde_saphyr::from_str_with_options(text, options).map_err(|error| {
                    CommandError::ManifestYaml { document: position + 1, error: error.to_string() }
                })?
            } else {
                Value::Null
            };
            Ok(Document { text, value, json: false })
        })
        .collect()
}

impl Document<'_> {
    /// Writes a changed value in the format of the document. Comments are lost.
    pub(super) fn write(&self, value: &Value) -> anyhow::Result<String> {
        if self.json {
            return Ok(serde_json::to_string_pretty(value)? + "\n");
        }
        Ok(serde_saphyr::to_string(value)?)
    }
}

fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut starts = vec![0];
    let mut ends = Vec::new();
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        if line.trim_end() == "---" || line.starts_with("--- ") {
            ends.push(offset);
            starts.push(offset + line.len());
        }
        offset += line.len();
    }
    ends.push(text.len());
    starts
        .into_iter()
        .zip(ends)
        .filter_map(|(start, end)| text.get(start..end))
        // Omits an empty document before the first separator.
        .enumerate()
        .filter_map(|(position, text)| (position > 0 || !text.trim().is_empty()).then_some(text))
}

fn has_content(text: &str) -> bool {
    text.lines().map(str::trim).any(|line| !line.is_empty() && !line.starts_with('#'))
}

/// A pod, or a pod template in another object.
pub(super) struct PodInManifest<'a> {
    /// Its description: `Job etl: spec.template`.
    pub(super) place: String,
    /// The namespace of the pod or of an enclosing object. By default `default`, as in kubectl.
    pub(super) namespace: String,
    /// The object with the template: `Job etl`. `None` for a pod.
    pub(super) template_of: Option<String>,
    /// `metadata` and `spec` of the pod or the template.
    pub(super) pod: &'a mut Value,
}

/// Finds the pods and pod templates of a document: a Pod, the items of a List, and every `template` with
/// containers (Job, CronJob, Deployment, JobSet, and unknown kinds).
pub(super) fn pods(document: &mut Value) -> Vec<PodInManifest<'_>> {
    let mut found = Vec::new();
    collect(document, "", &Enclosing { namespace: "default".to_owned(), object: None }, &mut found);
    found
}

/// The objects that enclose a pod or a template.
#[derive(Clone)]
struct Enclosing {
    namespace: String,
    /// The innermost object that has a kind.
    object: Option<String>,
}

fn collect<'a>(value: &'a mut Value, place: &str, enclosing: &Enclosing, found: &mut Vec<PodInManifest<'a>>) {
    let mut enclosing = enclosing.clone();
    if let Some(namespace) = namespace_of(value) {
        namespace.clone_into(&mut enclosing.namespace);
    }
    let kind = value.get("kind").and_then(Value::as_str).map(str::to_owned);
    if kind.as_deref() == Some("Pod") {
        let place = format!("{place}{}", title(value));
        let Enclosing { namespace, .. } = enclosing;
        return found.push(PodInManifest { place, namespace, template_of: None, pod: value });
    }
    let place = if kind.is_some() {
        enclosing.object = Some(title(value));
        format!("{place}{}: ", title(value))
    } else {
        place.to_owned()
    };
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let inside = format!("{place}{name}");
                if name == "template" && has_containers(field) {
                    let Enclosing { namespace, object } = enclosing.clone();
                    found.push(PodInManifest { place: inside, namespace, template_of: object, pod: field });
                } else {
                    collect(field, &separated(&inside), &enclosing, found);
                }
            }
        }
        Value::Array(elements) => {
            let place = place.trim_end_matches('.');
            for (index, element) in elements.iter_mut().enumerate() {
                collect(element, &format!("{place}[{index}]."), &enclosing, found);
            }
        }
        _ => {}
    }
}

fn namespace_of(object: &Value) -> Option<&str> {
    object.pointer("/metadata/namespace")?.as_str().filter(|namespace| !namespace.is_empty())
}

fn separated(place: &str) -> String {
    format!("{place}.")
}

fn title(object: &Value) -> String {
    let field = |pointer| object.pointer(pointer).and_then(Value::as_str);
    let kind = field("/kind").unwrap_or("object");
    let name = field("/metadata/name").or_else(|| field("/metadata/generateName")).unwrap_or("(unnamed)");
    format!("{kind} {name}")
}

fn has_containers(template: &Value) -> bool {
    template.pointer("/spec/containers").is_some_and(Value::is_array)
}
