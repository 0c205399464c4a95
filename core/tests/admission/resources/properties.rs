//! Properties of any pod whose resources the API server accepts.

use bootlace_core::names;
use bootlace_core::quantity::Quantity;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::kubernetes::{Pair, aggregate, all, class, invalid, list, pair};
use super::{decide, pod};

const CPU: [&str; 7] = ["1m", "100m", "0.1", "1", "1000m", "1e0", "2"];
const MEMORY: [&str; 7] = ["16Mi", "64Mi", "67108864", "65536Ki", "1Gi", "1024Mi", "1073741824"];

/// Resources that the API server accepts: no request exceeds its limit.
fn container() -> impl Strategy<Value = Value> {
    let pair = |texts: &'static [&'static str]| (option::of(select(texts)), option::of(select(texts)));
    (pair(&CPU), pair(&MEMORY), option::of(select(&["100Mi", "1Gi"][..])), 0..3_u8).prop_map(
        |(cpu, memory, storage, kind)| {
            let mut resources = json!({"requests": {}, "limits": {}});
            for (name, (request, limit)) in
                [("cpu", cpu), ("memory", memory), ("ephemeral-storage", (storage, storage))]
            {
                let order = |text: Option<&str>| text.map(|text| Quantity::parse(text).unwrap());
                let swapped = limit.is_some() && order(request) > order(limit);
                // A third of them is Guaranteed by construction, because the class would be rare otherwise.
                let (request, limit) = match kind {
                    0 => (limit.or(request), limit.or(request)),
                    _ if swapped => (limit, request),
                    _ => (request, limit),
                };
                for (kind, text) in [("requests", request), ("limits", limit)] {
                    if let Some(text) = text {
                        resources[kind][name] = json!(text);
                    }
                }
            }
            resources
        },
    )
}

/// A pod with resources that the API server accepts.
fn pods() -> impl Strategy<Value = Value> {
    let containers = prop::collection::vec(container(), 1..4);
    let init = prop::collection::vec((container(), any::<bool>()), 0..3);
    (containers, init, option::of((0..2_u8, any::<bool>())), any::<bool>(), any::<bool>(), 0..4_u8).prop_map(
        |(mut containers, mut init, own, outputs, image, uniform)| {
            if uniform == 0 {
                containers = vec![json!({}); containers.len()];
                for (resources, _) in &mut init {
                    *resources = json!({});
                }
            }
            if uniform == 1 {
                let resources = json!({"limits": {"cpu": "100m", "memory": "64Mi"}});
                containers = vec![resources.clone(); containers.len()];
                for (of, _) in &mut init {
                    *of = resources.clone();
                }
            }
            let name = |index| if index == 0 { "main".to_owned() } else { format!("c{index}") };
            let containers: Vec<_> = containers
                .into_iter()
                .enumerate()
                .map(|(index, of)| json!({"name": name(index), "resources": of}))
                .collect();
            let init = init.into_iter().enumerate().map(|(index, (of, sidecar))| {
                let mut container = json!({"name": format!("i{index}"), "resources": of});
                if sidecar {
                    container["restartPolicy"] = json!("Always");
                }
                container
            });
            let init: Vec<_> = init.collect();
            let mut pod = pod(outputs, &json!({"containers": containers, "initContainers": init}));
            if image {
                pod["metadata"]["annotations"][names::ANNOTATION_INIT_IMAGE] =
                    json!("r.example.com/data/boot");
            }
            if let Some((slack, limits_only)) = own {
                let mut resources = json!({"requests": {}, "limits": {}});
                for resource in ["cpu", "memory"] {
                    let least = Quantity::parse(if resource == "cpu" { "1" } else { "64Mi" }).unwrap();
                    let sum = aggregate(&pod, resource, |(request, _)| request).unwrap_or(least);
                    let limits = all(&pod).filter_map(|container| pair(container, resource).1).max();
                    let most = sum.max(limits.unwrap_or_default()).max(least);
                    resources["limits"][resource] = json!(most.to_string());
                    if !limits_only {
                        let asks = if slack == 0 { sum } else { most };
                        resources["requests"][resource] = json!(asks.to_string());
                    }
                }
                pod["spec"]["resources"] = resources;
            }
            pod
        },
    )
}

fn profile() -> Value {
    json!({"boot": {"initImage": {"allow": [{"registry": "r.example.com", "repository": "data/*"}]}}})
}

fn is_ours(container: &Value) -> bool {
    container["name"].as_str().unwrap().starts_with("bootlace-")
}

proptest! {
    #[test]
    fn the_class_is_kept_and_a_valid_pod_stays_valid(pod in pods(), first in any::<bool>(), with_resources in any::<bool>()) {
        prop_assert_eq!(invalid(&pod), None);
        let mut profile = profile();
        if first {
            profile["boot"]["position"] = json!("First");
        }
        if with_resources && class(&pod) != "BestEffort" {
            let resources = json!({"requests": {"cpu": "50m", "memory": "80Mi"}, "limits": {"cpu": "200m", "memory": "128Mi"}});
            profile["boot"]["resources"] = resources.clone();
            profile["pipes"]["resources"] = resources;
        }
        let injected = decide(&pod, &profile).unwrap().pod;
        prop_assert_eq!(class(&injected), class(&pod), "{}", injected["spec"]);
        prop_assert_eq!(invalid(&injected), None, "{}", injected["spec"]);
    }

    /// The totals that a quota counts.
    #[test]
    fn booting_costs_a_pod_nothing(mut pod in pods()) {
        pod["metadata"]["annotations"].as_object_mut().unwrap().remove(names::ANNOTATION_PIPE_OUT);
        let injected = decide(&pod, &profile()).unwrap().pod;
        for resource in ["cpu", "memory", "ephemeral-storage"] {
            let amounts: [fn(Pair) -> Option<Quantity>; 2] = [|(request, _)| request, |(_, limit)| limit];
            for amount in amounts {
                prop_assert_eq!(aggregate(&injected, resource, amount), aggregate(&pod, resource, amount), "{}", resource);
            }
        }
    }

    /// The narrowest limit range that the containers of the pod comply with.
    #[test]
    fn a_limit_range_that_the_pod_keeps_is_kept(pod in pods()) {
        let injected = decide(&pod, &profile()).unwrap().pod;
        for resource in ["cpu", "memory", "ephemeral-storage"] {
            let own: Vec<_> = all(&pod).map(|container| pair(container, resource)).collect();
            let ratio = |(request, limit): Pair| {
                Some(Quantity::parse("1").unwrap().scaled(limit?, request.filter(|request| !request.is_zero())?, true))
            };
            let lowest = own.iter().map(|(request, _)| *request).collect::<Option<Vec<_>>>().map(|all| all.into_iter().min());
            let highest = own.iter().map(|(_, limit)| *limit).collect::<Option<Vec<_>>>().map(|all| all.into_iter().max());
            let widest = own.iter().map(|pair| ratio(*pair)).collect::<Option<Vec<_>>>().map(|all| all.into_iter().max());
            let ours = list(&injected, "initContainers").iter().filter(|container| is_ours(container));
            for container in ours {
                let (request, limit) = pair(container, resource);
                let sidecar = container["restartPolicy"] == "Always";
                // A sidecar requests less than a limit range may require, because otherwise it could double
                // the pod.
                if let (Some(lowest), false) = (lowest, sidecar) {
                    prop_assert!(request >= lowest, "{}", container);
                }
                if pod["spec"]["resources"].is_object() && sidecar {
                    continue;
                }
                // A limit range sets the resources that a sidecar does not declare.
                if sidecar && resource == "ephemeral-storage" {
                    continue;
                }
                // Pods with a sidecar have at least these resources.
                let least = Quantity::parse(if resource == "cpu" { "20m" } else { "32Mi" }).ok();
                if let Some(highest) = highest.filter(|highest| !sidecar || *highest >= least) {
                    prop_assert!(limit.is_some() && limit <= highest, "{}", container);
                }
                if let Some(widest) = widest {
                    prop_assert!(ratio((request, limit)) <= widest, "{} {:?}", container, widest);
                }
            }
        }
    }
}
