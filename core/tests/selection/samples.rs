//! The samples in `samples.yaml`.

use serde::Deserialize;
use serde_json::{Value, json};

/// A pod, and what happens to it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sample {
    pub(crate) pod: String,
    pub(crate) outcome: String,
    spec: Value,
    /// Content of its injected annotation.
    mark: Option<String>,
    /// Names of its init containers.
    #[serde(default)]
    init: Vec<String>,
}

pub(crate) fn samples() -> Vec<Sample> {
    serde_saphyr::from_str(include_str!("samples.yaml")).unwrap()
}

impl Sample {
    /// The complete pod. Its containers have this image.
    pub(crate) fn pod(&self, image: &str) -> Value {
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": self.pod, "labels": {"bootlace.dev/task": "true"}},
            "spec": self.spec,
        });
        if pod["spec"].get("containers").is_none() {
            pod["spec"]["containers"] = json!([{"name": "main", "command": ["/probe"]}]);
        }
        pod["spec"]["containers"][0]["image"] = json!(image);
        if let Some(mark) = &self.mark {
            pod["metadata"]["annotations"] = json!({"bootlace.dev/injected": mark});
        }
        if !self.init.is_empty() {
            let container = |name: &String| json!({"name": name, "image": image});
            pod["spec"]["initContainers"] = self.init.iter().map(container).collect();
        }
        pod
    }
}
