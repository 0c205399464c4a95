//! Which pods are injected, reordered or not changed. On a cluster, the match conditions of the chart are
//! compared with the same samples.

use bootlace_core::admission::{self, Decision};
use bootlace_core::profile::spec::Position;
use bootlace_core::selection::SkipReason;
use serde_json::{Value, json};

use super::recipes;

#[path = "../selection/samples.rs"]
mod samples;

/// An injected pod with these init containers.
fn injected(init: &[&str]) -> Value {
    let sample = json!({
        "pod": "overtaken", "outcome": "reordered", "spec": {}, "mark": r#"{"position":"Last"}"#, "init": init,
    });
    serde_json::from_value::<samples::Sample>(sample).unwrap().pod("busybox")
}

#[test]
fn the_decision_for_each_sample_is_as_expected() {
    for sample in samples::samples() {
        let outcome = match admission::admit(sample.pod("busybox"), "etl", &recipes(Position::Last)) {
            Decision::Inject(_) => "injected",
            Decision::Reorder(_) => "reordered",
            Decision::Skip(SkipReason::Windows) => "windows",
            Decision::Skip(SkipReason::AlreadyInjected) => "done",
            Decision::Skip(skip) => panic!("{}: {skip}", sample.pod),
            Decision::Refuse(refusal) => panic!("{}: {refusal}", sample.pod),
        };
        assert_eq!(outcome, sample.outcome, "{}", sample.pod);
    }
}

/// Another webhook appends an init container, and the API server then calls the webhook again.
#[test]
fn boot_and_all_that_belongs_to_it_come_behind_what_was_added_since_and_nothing_else_moves() {
    for (init, reordered) in [
        (&["bootlace-boot", "mesh"][..], &["mesh", "bootlace-boot"][..]),
        (
            &["own", "bootlace-boot", "bootlace-pipe", "mesh", "proxy"],
            &["own", "mesh", "proxy", "bootlace-boot", "bootlace-pipe"],
        ),
        (
            &["bootlace-wait", "own", "bootlace-install", "bootlace-init", "bootlace-boot", "mesh"],
            &["bootlace-wait", "own", "mesh", "bootlace-install", "bootlace-init", "bootlace-boot"],
        ),
        (&["bootlace-boot", "mesh", "bootlace-pipe"], &["mesh", "bootlace-boot", "bootlace-pipe"]),
    ] {
        let pod = injected(init);
        let Decision::Reorder(reordering) = admission::admit(pod.clone(), "etl", &recipes(Position::Last))
        else {
            panic!("{init:?} is left as it is");
        };
        let names = |pod: &Value| {
            let containers = pod["spec"]["initContainers"].as_array().unwrap();
            containers
                .iter()
                .map(|container| container["name"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&reordering.pod), reordered);
        let strangers: Vec<_> = init.iter().filter(|name| ["mesh", "proxy"].contains(name)).collect();
        assert!(reordering.behind.iter().eq(strangers), "{:?}", reordering.behind);
        let mut sorted = reordering.pod.clone();
        sorted["spec"]["initContainers"] = pod["spec"]["initContainers"].clone();
        assert_eq!(sorted, pod, "nothing but the order differs");
        let again = admission::admit(reordering.pod, "etl", &recipes(Position::Last));
        assert!(matches!(again, Decision::Skip(SkipReason::AlreadyInjected)), "{init:?}");
    }
}

#[test]
fn a_review_of_such_a_pod_is_answered_with_moves_alone() {
    use base64::Engine as _;
    let pod = injected(&["bootlace-boot", "mesh"]);
    let (answer, outcome) = super::answer(&serde_json::to_vec(&super::review(&pod)).unwrap());
    assert_eq!(outcome, admission::ReviewOutcome::Reordered);
    let patch = answer.pointer("/response/patch").and_then(Value::as_str).unwrap();
    let patch = base64::engine::general_purpose::STANDARD.decode(patch).unwrap();
    let expected = r#"[{"op":"move","path":"/spec/initContainers/1","from":"/spec/initContainers/0"}]"#;
    assert_eq!(String::from_utf8(patch).unwrap(), expected);
    let audit = answer.pointer("/response/auditAnnotations/reordered").unwrap();
    assert_eq!(audit, "boot moved after mesh, which were added later");
}
