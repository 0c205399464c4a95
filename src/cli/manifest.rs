//! Manifests as people write them: files or standard input, YAML or JSON, several documents, lists, and pod
//! templates inside of other objects.

use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

/// Reads a manifest; `-` is standard input.
pub(super) fn read(file: &Path) -> anyhow::Result<String> {
    if file.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("standard input cannot be read as UTF-8 text")?;
        return Ok(text);
    }
    std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))
}

/// One document of a manifest, and the format that it came in.
pub(super) struct Document<'a> {
    /// As it was written, without the separating line.
    pub(super) text: &'a str,
    /// What it says; `Null` for a document of nothing but comments.
    pub(super) value: Value,
    json: bool,
}

/// The documents of a manifest. A line that starts with `---` separates them, as it does for kubectl.
pub(super) fn documents(text: &str) -> anyhow::Result<Vec<Document<'_>>> {
    if text.trim_start().starts_with('{') {
        let value = serde_json::from_str(text)
            .context("the manifest starts like JSON, but cannot be read as such")?;
        return Ok(vec![Document { text, value, json: true }]);
    }
    split(text)
        .enumerate()
        .map(|(position, text)| {
            // The same reading as kubectl's: YAML 1.1's octal numbers, as in `defaultMode: 0644`.
            let options = serde_saphyr::options! { legacy_octal_numbers: true };
            let value = if has_content(text) {
                serde_saphyr::from_str_with_options(text, options).with_context(|| {
                    format!("document {} of the manifest cannot be read as YAML", position + 1)
                })?
            } else {
                Value::Null
            };
            Ok(Document { text, value, json: false })
        })
        .collect()
}

impl Document<'_> {
    /// A changed value in the format that the document came in. Comments are lost.
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
        // A manifest that starts with a separator has nothing in front of it.
        .enumerate()
        .filter_map(|(position, text)| (position > 0 || !text.trim().is_empty()).then_some(text))
}

fn has_content(text: &str) -> bool {
    text.lines().map(str::trim).any(|line| !line.is_empty() && !line.starts_with('#'))
}

/// A pod, or a pod template inside of another object.
pub(super) struct PodInManifest<'a> {
    /// `Job etl: spec.template`.
    pub(super) place: String,
    /// The namespace that it or the object around it names; else `default`, where kubectl would create it.
    pub(super) namespace: String,
    /// The object whose template it is: `Job etl`. `None` for a pod itself.
    pub(super) template_of: Option<String>,
    /// The pod or the template: `metadata` and `spec`.
    pub(super) pod: &'a mut Value,
}

/// Every pod and pod template of a document: a Pod itself, the items of a List, and wherever an object has a
/// `template` with containers (Job, CronJob, Deployment, JobSet, and kinds that Bootlace has never heard of).
pub(super) fn pods(document: &mut Value) -> Vec<PodInManifest<'_>> {
    let mut found = Vec::new();
    collect(document, "", &Around { namespace: "default".to_owned(), object: None }, &mut found);
    found
}

/// What stands around a pod or a template.
#[derive(Clone)]
struct Around {
    namespace: String,
    /// The innermost object that has a kind.
    object: Option<String>,
}

fn collect<'a>(value: &'a mut Value, place: &str, around: &Around, found: &mut Vec<PodInManifest<'a>>) {
    let mut around = around.clone();
    if let Some(namespace) = namespace_of(value) {
        namespace.clone_into(&mut around.namespace);
    }
    let kind = value.get("kind").and_then(Value::as_str).map(str::to_owned);
    if kind.as_deref() == Some("Pod") {
        let place = format!("{place}{}", title(value));
        let Around { namespace, .. } = around;
        return found.push(PodInManifest { place, namespace, template_of: None, pod: value });
    }
    let place = if kind.is_some() {
        around.object = Some(title(value));
        format!("{place}{}: ", title(value))
    } else {
        place.to_owned()
    };
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let inside = format!("{place}{name}");
                if name == "template" && has_containers(field) {
                    let Around { namespace, object } = around.clone();
                    found.push(PodInManifest { place: inside, namespace, template_of: object, pod: field });
                } else {
                    collect(field, &separated(&inside), &around, found);
                }
            }
        }
        Value::Array(elements) => {
            let place = place.trim_end_matches('.');
            for (index, element) in elements.iter_mut().enumerate() {
                collect(element, &format!("{place}[{index}]."), &around, found);
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
