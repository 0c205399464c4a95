//! The resources of the containers of a pod together, and the resulting QoS class.

use super::field::WrongType;
use super::resources::{Class, Resource, Resources};
use super::{Container, Pod};
use crate::quantity::Quantity;

/// The resources of the containers of a pod, and its pod-level resources.
#[derive(Clone, Debug)]
pub struct PodResources<'a> {
    /// Of `spec.containers`.
    pub containers: Vec<Resources<'a>>,
    /// Of `spec.initContainers`, and whether the container is a native sidecar.
    pub init_containers: Vec<(Resources<'a>, bool)>,
    /// `spec.resources`, if they contain resources that Kubernetes supports at pod level.
    pub pod: Option<Resources<'a>>,
}

impl<'a> PodResources<'a> {
    /// Reads the resources of `pod`.
    ///
    /// # Errors
    /// If a field has the wrong type.
    pub fn read(pod: &Pod<'a>) -> Result<Self, WrongType> {
        let own = Resources::read(&pod.spec)?;
        let counts = Resource::OF_CLASS.into_iter().any(|resource| own.of(resource).is_declared());
        let init_containers = pod.init_containers.iter();
        Ok(Self {
            containers: pod.containers.iter().map(Container::resources).collect::<Result<_, _>>()?,
            init_containers: init_containers
                .map(|container| Ok((container.resources()?, container.is_sidecar)))
                .collect::<Result<_, _>>()?,
            pod: (counts || own.huge_pages).then_some(own),
        })
    }

    /// Of all containers, init containers first.
    pub fn all(&self) -> impl Iterator<Item = &Resources<'a>> {
        self.init_containers.iter().map(|(resources, _)| resources).chain(&self.containers)
    }

    /// The QoS class of the pod, computed as in the API server (`ComputePodQOS`).
    #[must_use]
    pub fn class(&self) -> Class {
        if let Some(own) = &self.pod {
            return own.class();
        }
        let mut classes = self.all().map(Resources::class);
        let Some(first) = classes.next() else { return Class::BestEffort };
        if classes.all(|class| class == first) { first } else { Class::Burstable }
    }

    /// The memory limit that the kubelet sets for the whole pod; `None` if a container has no limit. The
    /// parameters are limits of additional containers: of init containers that end, and of sidecars.
    #[must_use]
    pub fn memory_limit(&self, ends: &[Option<Quantity>], sidecars: &[Option<Quantity>]) -> Option<Quantity> {
        if let Some(own) = &self.pod
            && let Some(limit) = own.of(Resource::Memory).limited()
        {
            return Some(limit);
        }
        let limit = |resources: &Resources<'_>| resources.of(Resource::Memory).limited();
        let mut beside = Quantity::ZERO;
        let mut most = Quantity::ZERO;
        for (resources, sidecar) in &self.init_containers {
            let limit = limit(resources)?;
            most = most.max(beside.plus(limit));
            if *sidecar {
                beside = beside.plus(limit);
            }
        }
        for limit in ends {
            most = most.max(beside.plus((*limit)?));
        }
        for limit in sidecars {
            beside = beside.plus((*limit)?);
        }
        for resources in &self.containers {
            beside = beside.plus(limit(resources)?);
        }
        Some(most.max(beside))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::pod::Json;

    fn with<T>(spec: &Value, see: impl FnOnce(&PodResources<'_>) -> T) -> T {
        let pod = json!({"metadata": {"name": "etl"}, "spec": spec});
        let json = Json::from(&pod);
        see(&PodResources::read(&Pod::read(&json).unwrap()).unwrap())
    }

    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the method is one of a single lifetime, and `with` takes one of any"
    )]
    fn class(containers: &Value, init: &Value, pod: &Value) -> Class {
        let of = |resources: &Value| {
            let all = resources.as_array().unwrap().iter();
            all.map(|resources| json!({"name": "c", "resources": resources})).collect::<Value>()
        };
        let spec = json!({"containers": of(containers), "initContainers": of(init), "resources": pod});
        with(&spec, |pod| pod.class())
    }

    fn requests_and_limits(requests: &[&str; 2], limits: &[&str; 2]) -> Value {
        let map = |of: &[&str; 2]| json!({"cpu": of[0], "memory": of[1]});
        json!({"requests": map(requests), "limits": map(limits)})
    }

    #[test]
    fn a_guaranteed_pod_is_one_however_its_quantities_are_written() {
        for (requests, limits) in [
            (["1", "1Gi"], ["1", "1Gi"]),
            (["1000m", "1024Mi"], ["1", "1Gi"]),
            (["1", "1073741824"], ["1", "1Gi"]),
            (["1e0", "1048576Ki"], ["1000m", "1Gi"]),
            (["0.25", "128M"], ["250m", "128e6"]),
            (["0.1", "+1.5Gi"], ["100000u", "1536Mi"]),
        ] {
            let resources = requests_and_limits(&requests, &limits);
            assert_eq!(
                class(&json!([resources]), &json!([]), &Value::Null),
                Class::Guaranteed,
                "{resources}"
            );
        }
        // Quantities can be numbers.
        let numbers =
            json!({"requests": {"cpu": 1, "memory": 1_048_576}, "limits": {"cpu": 1.0, "memory": "1Mi"}});
        assert_eq!(class(&json!([numbers]), &json!([]), &Value::Null), Class::Guaranteed);
    }

    #[test]
    fn the_class_is_the_one_that_the_api_server_computes() {
        let same = requests_and_limits(&["1", "1Gi"], &["1", "1Gi"]);
        let less = requests_and_limits(&["999m", "1Gi"], &["1", "1Gi"]);
        let limits = json!({"limits": {"cpu": "1", "memory": "1Gi"}});
        let zero = json!({"requests": {"cpu": "0", "memory": "0"}});
        let none = json!({});
        let cases = [
            (json!([same]), json!([]), Value::Null, Class::Guaranteed),
            (json!([limits, same]), json!([limits]), Value::Null, Class::Guaranteed),
            (json!([less]), json!([]), Value::Null, Class::Burstable),
            (json!([same]), json!([none]), Value::Null, Class::Burstable),
            (json!([none]), json!([same]), Value::Null, Class::Burstable),
            (json!([none, none]), json!([none]), Value::Null, Class::BestEffort),
            (json!([zero]), json!([none]), Value::Null, Class::BestEffort),
            (json!([{"limits": {"cpu": "1"}}]), json!([]), Value::Null, Class::Burstable),
            (json!([{"limits": {"ephemeral-storage": "1Gi"}}]), json!([]), Value::Null, Class::BestEffort),
            // Only the pod-level resources determine the class.
            (json!([none]), json!([]), same.clone(), Class::Guaranteed),
            (json!([same]), json!([]), less.clone(), Class::Burstable),
            (json!([same]), json!([]), json!({}), Class::Guaranteed),
        ];
        for (containers, init, pod, expected) in cases {
            assert_eq!(class(&containers, &init, &pod), expected, "{containers} {init} {pod}");
        }
    }

    #[test]
    fn the_pods_memory_limit_is_the_kubelets() {
        let container = |memory: &str| json!({"name": "c", "resources": {"limits": {"memory": memory}}});
        let sidecar = |memory: &str| {
            let mut container = container(memory);
            container["restartPolicy"] = json!("Always");
            container
        };
        let limit = |spec: Value, ends: &[&str]| {
            let ends: Vec<_> = ends.iter().map(|text| Quantity::parse(text).ok()).collect();
            with(&spec, |pod| pod.memory_limit(&ends, &[])).map(|limit| limit.to_string())
        };
        let spec = json!({"containers": [container("64Mi"), container("32Mi")]});
        assert_eq!(limit(spec.clone(), &[]).as_deref(), Some("96Mi"));
        assert_eq!(limit(spec.clone(), &["64Mi", "128Mi"]).as_deref(), Some("128Mi"));
        assert_eq!(limit(spec, &["no limit"]), None);
        let spec =
            json!({"containers": [container("64Mi")], "initContainers": [sidecar("16Mi"), container("1Gi")]});
        assert_eq!(limit(spec, &[]).as_deref(), Some("1040Mi"));
        let spec = json!({"containers": [container("0")]});
        assert_eq!(limit(spec, &[]), None);
        let spec = json!({"containers": [container("1Gi")], "resources": {"limits": {"memory": "2Gi"}}});
        assert_eq!(limit(spec, &["4Gi"]).as_deref(), Some("2Gi"));
    }

    #[test]
    fn what_is_no_quantity_is_named() {
        let pod = json!({"spec": {"containers": [{"resources": {"limits": {"memory": "lots"}}}]}});
        let json = Json::from(&pod);
        let error = PodResources::read(&Pod::read(&json).unwrap()).unwrap_err().to_string();
        assert!(
            error.starts_with("spec.containers[0].resources.limits.memory must be a quantity"),
            "{error}"
        );
    }
}
