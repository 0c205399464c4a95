//! The corpus: pods of many kinds, based on the documentation of the Kubernetes API, in one file for each
//! theme.
//!
//! An entry is a pod without the common parts: kind, task label, a name (made from the title), and an image
//! for containers that name none.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The image of containers that name none. The node of the cluster tests has it.
const IMAGE: &str = "localhost/busybox:test";

/// A pod, and the expected result.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Entry {
    /// A unique description.
    pub(crate) title: String,
    #[serde(skip)]
    pub(crate) theme: String,
    #[serde(default)]
    metadata: Map<String, Value>,
    spec: Value,
    /// A part of the message with which the API server refuses the pod, with and without Bootlace.
    #[allow(dead_code, reason = "used by the scenario: there is no API server offline")]
    pub(crate) api_server_refuses: Option<String>,
    /// A part of the message with which Bootlace refuses the pod.
    pub(crate) bootlace_refuses: Option<String>,
    /// A part of the message with which a pod security standard refuses the pod, unless it is injected.
    #[allow(dead_code, reason = "used by the scenario: no standard is enforced offline")]
    pub(crate) injection_lifts: Option<String>,
    /// Whether Bootlace does not change the pod.
    #[serde(default)]
    pub(crate) unchanged: bool,
    /// Whether the pod is also started, and must succeed.
    #[serde(default)]
    pub(crate) runs: bool,
    /// The complete pod.
    #[serde(skip)]
    pub(crate) pod: Value,
}

/// All entries of the corpus in `folder`, ordered by file and by position in the file.
pub(crate) fn read(folder: &Path) -> Vec<Entry> {
    let files =
        std::fs::read_dir(folder).unwrap_or_else(|error| panic!("list {}: {error}", folder.display()));
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files.iter().flat_map(|file| read_file(file)).collect()
}

fn read_file(file: &Path) -> Vec<Entry> {
    let text = std::fs::read_to_string(file).unwrap();
    let entries: Vec<Entry> =
        serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let theme = file.file_stem().unwrap().to_string_lossy();
    let complete = |mut entry: Entry| {
        entry.theme = theme.clone().into_owned();
        entry.pod = pod(&entry);
        entry
    };
    entries.into_iter().map(complete).collect()
}

fn pod(entry: &Entry) -> Value {
    let mut metadata = entry.metadata.clone();
    if !metadata.contains_key("name") && !metadata.contains_key("generateName") {
        metadata.insert("name".to_owned(), name(&entry.title).into());
    }
    let labels = metadata.entry("labels").or_insert_with(|| json!({})).as_object_mut().unwrap();
    labels.entry("bootlace.dev/task").or_insert_with(|| json!("true"));
    let mut spec = entry.spec.clone();
    for container in containers_mut(&mut spec) {
        let container = container.as_object_mut().unwrap();
        container.entry("image").or_insert_with(|| json!(IMAGE));
    }
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
}

/// Converts a title to a name: `a claim on a device, by a template` becomes
/// `a-claim-on-a-device-by-a-template`.
fn name(title: &str) -> String {
    let words = title.split(|character: char| !character.is_ascii_alphanumeric());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).map(str::to_ascii_lowercase).collect();
    words.join("-")
}

fn containers_mut(spec: &mut Value) -> impl Iterator<Item = &mut Value> {
    let lists = spec.as_object_mut().unwrap().iter_mut().filter(|(field, _)| {
        ["containers", "initContainers", "ephemeralContainers"].contains(&field.as_str())
    });
    lists.flat_map(|(_, list)| list.as_array_mut().unwrap())
}

/// The pod with the fields that the pod security standard `restricted` requires, unless the pod sets them.
/// Few pods of the corpus set all of them, so this tests more pods with the standard.
pub(crate) fn hardened(pod: &Value) -> Value {
    let mut pod = pod.clone();
    let spec = &mut pod["spec"];
    fill(
        &mut spec["securityContext"],
        &json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}}),
    );
    for container in containers_mut(spec) {
        let required = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
        fill(&mut container["securityContext"], &required);
    }
    pod
}

/// Adds the fields of `defaults` that `object` does not have.
fn fill(object: &mut Value, defaults: &Value) {
    if object.is_null() {
        *object = json!({});
    }
    for (field, value) in defaults.as_object().unwrap() {
        object.as_object_mut().unwrap().entry(field.as_str()).or_insert_with(|| value.clone());
    }
}
