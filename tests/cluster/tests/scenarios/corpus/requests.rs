//! The resource requests of a pod.

use std::collections::BTreeMap;

use serde_json::Value;

/// The suffixes of quantities.
const SUFFIXES: [(&str, f64); 13] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
];

/// An approximate value, which is exact enough for the quantities of the corpus, from a thousandth to 1e12
/// units.
fn quantity(text: &str) -> f64 {
    let found = SUFFIXES.iter().find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, *unit)));
    let (number, unit) = found.unwrap_or((text, 1.0));
    number.parse::<f64>().unwrap_or_else(|error| panic!("{text:?} is not a quantity: {error}")) * unit
}

/// The requests that the scheduler counts, by resource: those of the pod, or else the larger of the sum of
/// all containers, and of each init container with the sidecars that started before it.
/// <https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers>
pub(super) fn effective(pod: &Value) -> BTreeMap<&'static str, f64> {
    ["cpu", "memory"]
        .into_iter()
        .map(|resource| (resource, effective_request(&pod["spec"], resource)))
        .collect()
}

fn effective_request(spec: &Value, resource: &str) -> f64 {
    let request = |object: &Value| object["resources"]["requests"][resource].as_str().map(quantity);
    if let Some(pod_level) = request(spec) {
        return pod_level;
    }
    let (mut sidecars, mut largest) = (0.0, 0.0_f64);
    for container in spec["initContainers"].as_array().into_iter().flatten() {
        let own = request(container).unwrap_or_default();
        if container["restartPolicy"] == "Always" {
            sidecars += own;
        } else {
            largest = largest.max(sidecars + own);
        }
    }
    let containers = spec["containers"].as_array().into_iter().flatten();
    let sum: f64 = containers.map(|container| request(container).unwrap_or_default()).sum();
    largest.max(sidecars + sum)
}
