//! Operating system and architecture of the nodes on which a pod can run.

use super::WrongType;
use super::field::{Array, Object};

/// Label that every kubelet sets on its node: the current name, and the one from before Kubernetes 1.14,
/// which is still set.
/// <https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-arch>
const ARCHITECTURE: [&str; 2] = ["kubernetes.io/arch", "beta.kubernetes.io/arch"];
/// Label for the operating system, in the same way.
/// <https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-os>
const OS: [&str; 2] = ["kubernetes.io/os", "beta.kubernetes.io/os"];

const WINDOWS: &str = "windows";

/// The nodes on which a pod can run.
#[derive(Debug, Clone)]
pub(super) struct Nodes<'a> {
    selector: Object<'a>,
    /// The node selector terms of the required affinity, of which one must match.
    terms: Vec<Vec<Requirement<'a>>>,
}

/// A requirement of a term: label, operator and values.
#[derive(Debug, Clone)]
struct Requirement<'a> {
    key: &'a str,
    operator: &'a str,
    values: Vec<&'a str>,
}

impl<'a> Nodes<'a> {
    pub(super) fn read(spec: &Object<'a>) -> Result<Self, WrongType> {
        let required = spec
            .object("affinity")?
            .object("nodeAffinity")?
            .object("requiredDuringSchedulingIgnoredDuringExecution")?;
        let terms = required.array("nodeSelectorTerms")?.into_iter().flat_map(Array::objects);
        let terms = terms.map(|term| requirements(&term?)).collect::<Result<_, _>>()?;
        Ok(Self { selector: spec.object("nodeSelector")?, terms })
    }

    /// The allowed architectures; `None` if they are not restricted.
    pub(super) fn architectures(&self) -> Result<Option<Vec<&'a str>>, WrongType> {
        self.pinned(&ARCHITECTURE)
    }

    /// Whether only Windows nodes are allowed.
    pub(super) fn are_windows(&self) -> Result<bool, WrongType> {
        let pinned = self.pinned(&OS)?;
        Ok(pinned.is_some_and(|values| !values.is_empty() && values.iter().all(|value| *value == WINDOWS)))
    }

    /// The values of a label that the node selector, or every term of the affinity, requires.
    fn pinned(&self, labels: &[&str]) -> Result<Option<Vec<&'a str>>, WrongType> {
        for label in labels {
            if let Some(value) = self.selector.str(label)? {
                return Ok(Some(vec![value]));
            }
        }
        let of_term = |term: &Vec<Requirement<'a>>| {
            let asks = |asked: &&Requirement<'_>| asked.operator == "In" && labels.contains(&asked.key);
            term.iter().find(asks).map(|asked| asked.values.clone())
        };
        // The scheduler accepts a node that matches one of the terms.
        let all: Option<Vec<_>> = self.terms.iter().map(of_term).collect();
        Ok(all.filter(|all| !all.is_empty()).map(|all| all.concat()))
    }
}

fn requirements<'a>(term: &Object<'a>) -> Result<Vec<Requirement<'a>>, WrongType> {
    let requirement = |asked: Result<Object<'a>, WrongType>| {
        let asked = asked?;
        Ok(Requirement {
            key: asked.str("key")?.unwrap_or_default(),
            operator: asked.str("operator")?.unwrap_or_default(),
            values: asked.array("values")?.map(Array::strs).transpose()?.unwrap_or_default(),
        })
    };
    term.array("matchExpressions")?.into_iter().flat_map(Array::objects).map(requirement).collect()
}

/// Whether a pod runs on Windows: according to `spec.os` if it is set, else according to its nodes and to the
/// security contexts of its containers. `hostProcess` only exists on Windows.
pub(super) fn is_windows(spec: &Object<'_>, nodes: &Nodes<'_>) -> Result<bool, WrongType> {
    if let Some(os) = spec.object("os")?.str("name")? {
        return Ok(os == WINDOWS);
    }
    if nodes.are_windows()? || is_host_process(spec)? {
        return Ok(true);
    }
    for container in spec.array("containers")?.into_iter().flat_map(Array::objects) {
        if is_host_process(&container?)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// For the spec of a pod or a container.
fn is_host_process(spec: &Object<'_>) -> Result<bool, WrongType> {
    Ok(spec.object("securityContext")?.object("windowsOptions")?.is_true("hostProcess"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::pod::{Json, Pod};

    fn read(spec: &Value) -> (bool, Option<Vec<String>>) {
        let pod = json!({"spec": spec});
        let pod = Json::from(&pod);
        let pod = Pod::read(&pod).unwrap();
        let owned = |values: Vec<&str>| values.into_iter().map(str::to_owned).collect();
        (pod.windows, pod.architectures.map(owned))
    }

    fn affinity(terms: &Value) -> Value {
        json!({"affinity": {"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms},
        }}})
    }

    fn asks(key: &str, operator: &str, values: &[&str]) -> Value {
        json!({"matchExpressions": [
            {"key": "pool", "operator": "Exists"}, {"key": key, "operator": operator, "values": values},
        ]})
    }

    #[test]
    fn a_windows_pod_is_known_by_each_way_to_say_it() {
        let os = |operator, values: &[&str]| asks("kubernetes.io/os", operator, values);
        let host_process = json!({"windowsOptions": {"hostProcess": true}});
        for (spec, windows) in [
            (json!({"os": {"name": "windows"}}), true),
            (json!({"nodeSelector": {"kubernetes.io/os": "windows"}}), true),
            (json!({"nodeSelector": {"beta.kubernetes.io/os": "windows"}}), true),
            (json!({"securityContext": host_process}), true),
            (json!({"containers": [{"name": "a"}, {"name": "b", "securityContext": host_process}]}), true),
            (affinity(&json!([os("In", &["windows"])])), true),
            (affinity(&json!([os("In", &["windows"]), os("In", &["windows"])])), true),
            (json!({}), false),
            (json!({"os": {"name": "linux"}, "nodeSelector": {"kubernetes.io/os": "windows"}}), false),
            (json!({"nodeSelector": {"kubernetes.io/os": "linux"}}), false),
            (json!({"nodeSelector": {"os": "windows"}}), false),
            (json!({"securityContext": {"windowsOptions": {"runAsUserName": "x"}}}), false),
            (affinity(&json!([os("In", &["windows", "linux"])])), false),
            (affinity(&json!([os("In", &["windows"]), asks("pool", "In", &["x"])])), false),
            (affinity(&json!([os("NotIn", &["windows"])])), false),
            (affinity(&json!([])), false),
        ] {
            assert_eq!(read(&spec).0, windows, "{spec}");
        }
        let preferred = json!({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 1, "preference": os("In", &["windows"])},
        ]}}});
        assert!(!read(&preferred).0);
    }

    #[test]
    fn architectures_are_those_that_a_node_must_have() {
        let arch = |values: &[&str]| asks("kubernetes.io/arch", "In", values);
        for (spec, expected) in [
            (json!({"nodeSelector": {"kubernetes.io/arch": "arm64"}}), Some(&["arm64"][..])),
            (json!({"nodeSelector": {"beta.kubernetes.io/arch": "arm64"}}), Some(&["arm64"])),
            (affinity(&json!([arch(&["arm64"])])), Some(&["arm64"])),
            (affinity(&json!([arch(&["arm64"]), arch(&["amd64"])])), Some(&["arm64", "amd64"])),
            (affinity(&json!([arch(&["arm64"]), asks("pool", "In", &["x"])])), None),
            (json!({}), None),
        ] {
            let expected = expected.map(|values| values.iter().map(|value| (*value).to_owned()).collect());
            assert_eq!(read(&spec).1, expected, "{spec}");
        }
    }
}
