//! The annotations that the author of a pod writes, on an ordinary pod. The input contains their values,
//! separated by NUL bytes.
#![no_main]

mod common;

use bootlace_core::admission;
use bootlace_core::names;
use libfuzzer_sys::fuzz_target;
use serde_json::json;

/// The annotations, in the order of the values in the input.
const ANNOTATIONS: [&str; 8] = [
    names::ANNOTATION_PIPE_OUT,
    names::ANNOTATION_PIPE_IN,
    names::ANNOTATION_CONTAINERS,
    names::ANNOTATION_ENTRYPOINT,
    names::ANNOTATION_ENV_MODE,
    names::ANNOTATION_INIT_IMAGE,
    names::ANNOTATION_INJECTED,
    names::ANNOTATION_OVERLAYS,
];

fuzz_target!(|text: &str| {
    let mut annotations = serde_json::Map::new();
    for (name, value) in ANNOTATIONS.iter().zip(text.split('\0')).filter(|(_, value)| !value.is_empty()) {
        annotations.insert((*name).to_owned(), json!(value));
    }
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "task", "labels": {"bootlace.dev/task": "true"}, "annotations": annotations},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox", "command": ["a"]}]},
    });
    let _ = admission::admit(pod, "etl", common::recipes());
});
