//! Properties of overlays over generated pods and overlays.

use bootlace_core::admission::{self, Decision};
use bootlace_core::names;
use bootlace_core::selection::SkipReason;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::overlays::{decide, recipes};
use super::pods;

/// Labels of pods and overlays. They have few names, so that they often meet.
fn labels() -> impl Strategy<Value = Value> {
    let value = prop_oneof!["[a-z]{0,4}", Just("{{ namespace }}".to_owned())];
    btree_map("[a-c]", value, 0..4).prop_map(|labels| json!(labels))
}

/// The fields of a container: known ones, and some that no version of Kubernetes has.
fn container_fields() -> impl Strategy<Value = Map<String, Value>> {
    let env = vec(("[A-C]", "[a-z]{0,3}"), 0..3).prop_map(|env| {
        let mut env = env;
        env.sort();
        env.dedup_by(|left, right| left.0 == right.0);
        env.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect::<Value>()
    });
    let args = vec("[a-z]{1,3}", 0..3).prop_map(|args| json!(args));
    (env, args, "x-[a-c]", value()).prop_map(|(env, args, name, value)| {
        [("env".to_owned(), env), ("args".to_owned(), args), (name, value)].into_iter().collect()
    })
}

/// A value that an overlay can have: it removes nothing, and is no template by accident.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z]{0,4}".prop_map(Value::from)
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            btree_map("[a-c]{1,2}", inner, 0..3).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn overlay() -> impl Strategy<Value = Value> {
    let all = prop::option::of(container_fields());
    let added = prop::option::of(("(main-0|proxy|init-0)", container_fields()));
    let volume = prop::option::of(("(volume-0|extra)", prop_oneof![Just("emptyDir"), Just("configMap")]));
    (labels(), all, added, volume, value(), any::<bool>()).prop_map(
        |(labels, all, added, volume, value, rename)| {
            let mut containers = Vec::new();
            if let Some(mut fields) = all {
                fields.insert("name".to_owned(), json!("*"));
                containers.push(Value::Object(fields));
            }
            if let Some((name, mut fields)) = added {
                fields.insert("name".to_owned(), json!(name));
                fields.insert("image".to_owned(), json!("proxy:1"));
                containers.push(Value::Object(fields));
            }
            let volumes: Vec<_> =
                volume.into_iter().map(|(name, kind)| json!({"name": name, kind: {}})).collect();
            json!({"rename": rename, "pod": {
                "metadata": {"labels": labels},
                "spec": {"containers": containers, "volumes": volumes, "x-a": value},
            }})
        },
    )
}

fn overlays() -> impl Strategy<Value = Value> {
    vec(overlay(), 0..4).prop_map(|overlays| {
        let named = overlays.into_iter().enumerate().map(|(index, mut overlay)| {
            overlay["name"] = json!(format!("overlay-{index}"));
            overlay
        });
        named.collect()
    })
}

proptest! {
    #[test]
    fn overlays_remove_change_and_reorder_nothing(pod in pods::pod(), overlays in overlays()) {
        let recipes = recipes(&overlays).unwrap();
        if let Ok(injection) = decide(&pod, &recipes) {
            prop_assert_eq!(pods::kept(&pod, &injection.pod, ""), Ok(()));
            prop_assert_eq!(injection.overlays.len(), overlays.as_array().unwrap().len());
        }
    }

    #[test]
    fn a_pod_with_overlays_is_injected_once(pod in pods::pod(), overlays in overlays()) {
        let recipes = recipes(&overlays).unwrap();
        if let Ok(injection) = decide(&pod, &recipes) {
            let twice = admission::admit(injection.pod, "etl", &recipes);
            prop_assert!(matches!(twice, Decision::Skip(SkipReason::AlreadyInjected)));
        }
    }

    /// The patch is one, and `json_patch` gets the same pod from it, with all overlays before boot.
    #[test]
    fn the_operations_of_overlays_are_those_that_were_made(pod in pods::pod(), overlays in overlays()) {
        let recipes = recipes(&overlays).unwrap();
        if let Ok(injection) = decide(&pod, &recipes) {
            let of_overlays: usize = injection.overlays.iter().map(|overlay| overlay.operations).sum();
            let operations: Vec<_> = injection.patch.iter().map(json_patch::PatchOperation::from).collect();
            let mut overlaid = pod.clone();
            json_patch::patch(&mut overlaid, &operations[..of_overlays]).unwrap();
            let annotations = &overlaid["metadata"]["annotations"];
            prop_assert!(annotations.get(names::ANNOTATION_INJECTED).is_none());
            json_patch::patch(&mut overlaid, &operations[of_overlays..]).unwrap();
            prop_assert_eq!(&overlaid, &injection.pod);
        }
    }

    /// An overlay that sets what the pod has already changes nothing.
    #[test]
    fn an_overlay_is_applied_to_its_own_result_without_a_change(pod in pods::pod(), overlay in overlay()) {
        let mut overlay = overlay;
        overlay["name"] = json!("one");
        let mut again = overlay.clone();
        again["name"] = json!("again");
        let recipes = recipes(&json!([overlay, again])).unwrap();
        if let Ok(injection) = decide(&pod, &recipes) {
            let [_, again] = &*injection.overlays else { panic!("two overlays") };
            // A renamed container or volume is added again, because the pod has another one of that name.
            if overlay["rename"] == false {
                prop_assert_eq!(again.operations, 0);
            }
        }
    }

    #[test]
    fn any_partial_pod_is_refused_or_applied(pod in pods::pod(), change in pods::any_json(), override_ in any::<bool>()) {
        let spec = json!({"name": "one", "override": override_, "pod": {"spec": change}});
        if let Ok(recipes) = recipes(&json!([spec])) {
            let _ = decide(&pod, &recipes);
        }
    }
}

/// The properties would also be true if every pod was refused.
#[test]
fn most_generated_overlays_are_applied() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let applied = (0..200).filter(|_| {
        let (pod, overlays) = (pods::pod(), overlays()).new_tree(&mut runner).unwrap().current();
        decide(&pod, &recipes(&overlays).unwrap())
            .is_ok_and(|injection| injection.overlays.iter().any(|overlay| overlay.operations > 0))
    });
    let applied = applied.count();
    assert!((30..200).contains(&applied), "{applied} of 200");
}
