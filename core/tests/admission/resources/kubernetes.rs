//! The rules of Kubernetes for the resources of a pod: their totals, the QoS class, and what the API server
//! refuses.

use bootlace_core::quantity::Quantity;
use serde_json::Value;

pub(super) fn quantity(value: &Value) -> Option<Quantity> {
    let text = match value {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Some(Quantity::parse(&text).unwrap())
}

/// A request and a limit.
pub(super) type Pair = (Option<Quantity>, Option<Quantity>);

/// Effective request and limit of a container.
pub(super) fn pair(container: &Value, resource: &str) -> Pair {
    let limit = quantity(&container["resources"]["limits"][resource]);
    (quantity(&container["resources"]["requests"][resource]).or(limit), limit)
}

pub(super) fn list<'a>(pod: &'a Value, name: &str) -> &'a [Value] {
    pod["spec"][name].as_array().map_or(&[], Vec::as_slice)
}

pub(super) fn all(pod: &Value) -> impl Iterator<Item = &Value> {
    list(pod, "initContainers").iter().chain(list(pod, "containers"))
}

/// `AggregateContainerRequests` and `AggregateContainerLimits` of `k8s.io/component-helpers/resource`.
pub(super) fn aggregate(
    pod: &Value,
    resource: &str,
    amount: fn(Pair) -> Option<Quantity>,
) -> Option<Quantity> {
    let amount = |container| amount(pair(container, resource));
    let add = |a: Option<Quantity>, b: Option<Quantity>| match (a, b) {
        (Some(a), Some(b)) => Some(a.plus(b)),
        (a, b) => a.or(b),
    };
    let mut sum = list(pod, "containers").iter().map(amount).fold(None, add);
    let (mut sidecars, mut most) = (None, None);
    for container in list(pod, "initContainers") {
        let in_use = add(sidecars, amount(container));
        if container["restartPolicy"] == "Always" {
            sum = add(sum, amount(container));
            sidecars = in_use;
        }
        most = most.max(in_use);
    }
    sum.max(most)
}

/// `ComputePodQOS`, with the defaults of `spec.resources.requests` applied.
pub(super) fn class(pod: &Value) -> &'static str {
    let of = |pairs: [Pair; 2]| {
        let zero = |amount: Option<Quantity>| amount.unwrap_or_default();
        let classes = pairs.map(|(request, limit)| match (zero(request), zero(limit)) {
            (request, limit) if request != limit => "Burstable",
            (request, _) if request.is_zero() => "BestEffort",
            _ => "Guaranteed",
        });
        if classes[0] == classes[1] { classes[0] } else { "Burstable" }
    };
    let own = &pod["spec"]["resources"];
    if own.is_object() {
        return of(["cpu", "memory"].map(|resource| {
            let limit = quantity(&own["limits"][resource]);
            let request = quantity(&own["requests"][resource]);
            let defaults = || aggregate(pod, resource, |(request, _)| request).or(limit);
            (request.or_else(defaults), limit)
        }));
    }
    let mut classes =
        all(pod).map(|container| of(["cpu", "memory"].map(|resource| pair(container, resource))));
    let first = classes.next().unwrap();
    if classes.all(|class| class == first) { first } else { "Burstable" }
}

/// Why the API server would refuse the resources of a pod (`validatePodResourceConsistency` among others).
pub(super) fn invalid(pod: &Value) -> Option<String> {
    for container in all(pod) {
        for resource in ["cpu", "memory", "ephemeral-storage"] {
            let (request, limit) = pair(container, resource);
            if request.zip(limit).is_some_and(|(request, limit)| request > limit) {
                return Some(format!("{resource} of {container}"));
            }
        }
    }
    let own = &pod["spec"]["resources"];
    ["cpu", "memory"].into_iter().find_map(|resource| {
        let requests = aggregate(pod, resource, |(request, _)| request)?;
        let (asks, most) = (quantity(&own["requests"][resource]), quantity(&own["limits"][resource]));
        (asks.is_some_and(|asks| requests > asks) || most.is_some_and(|most| requests > most))
            .then(|| format!("{resource}: containers request {requests} together"))
    })
}
