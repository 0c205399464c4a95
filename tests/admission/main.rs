//! Properties of the pure way, over generated pods and over anything at all.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; clippy's own exemption does not reach a test's helpers"
)]

mod becomes;
mod modes;
mod pods;
mod refused;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bootlace::admission::{self, Decision, Injection, Outcome};
use bootlace::names;
use bootlace::plan::{Recipes, Settings};
use bootlace::profile::Profile;
use bootlace::profile::spec::{Inline, Into, Mounted, Position, Source};
use bootlace::selection::Skip;
use proptest::prelude::*;
use serde_json::{Value, json};

fn profile(position: Position) -> Profile {
    let mut profile = Profile { name: "default".to_owned(), generation: 3, ..Profile::default() };
    let source = |name: &str| Source { name: name.to_owned(), ..Source::default() };
    let object = Mounted {
        name: "object".to_owned(),
        into: Into::Files,
        items: Vec::new(),
        prefix: String::new(),
        optional: false,
    };
    let env = [("PRICE".to_owned(), "$(PRICE) $$5".to_owned())].into();
    profile.spec.sources = vec![
        Source { inline: Some(Inline { env, ..Inline::default() }), ..source("inline") },
        Source { config_map: Some(object.clone()), ..source("config-map") },
        // A whole object as env: it may hold any name.
        Source { secret: Some(Mounted { into: Into::Env, ..object }), ..source("secret") },
    ];
    profile.spec.boot.position = position;
    profile
}

fn recipes(position: Position) -> Recipes {
    Recipes::new([profile(position)].into_iter().collect(), &Settings::default()).unwrap()
}

fn inject(pod: &Value, position: Position) -> Injection {
    match admission::admit(pod.clone(), "etl", &recipes(position)) {
        Decision::Inject(injection) => *injection,
        Decision::Skip(skip) => panic!("skipped: {skip}"),
        Decision::Refuse(refusal) => panic!("refused: {refusal}"),
    }
}

fn review(pod: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u-1", "operation": "CREATE", "namespace": "etl",
            "kind": {"group": "", "version": "v1", "kind": "Pod"}, "object": pod,
        },
    })
}

fn answer(body: &[u8]) -> (Value, Outcome) {
    let admission::Answered { response, outcome, .. } = admission::answer(body, &recipes(Position::Last));
    (serde_json::from_slice(&response.to_json().unwrap()).unwrap(), outcome)
}

fn position() -> impl Strategy<Value = Position> {
    prop_oneof![Just(Position::First), Just(Position::Last)]
}

proptest! {
    #[test]
    fn nothing_is_removed_changed_or_reordered(pod in pods::pod(), position in position()) {
        let injected = inject(&pod, position).pod;
        prop_assert_eq!(pods::kept(&pod, &injected, ""), Ok(()));
    }

    #[test]
    fn injecting_twice_is_a_no_op(pod in pods::pod(), position in position()) {
        let once = inject(&pod, position).pod;
        let twice = admission::admit(once, "etl", &recipes(position));
        prop_assert!(matches!(twice, Decision::Skip(Skip::AlreadyInjected)));
    }

    #[test]
    fn the_patch_that_is_sent_turns_the_pod_into_what_was_planned(pod in pods::pod()) {
        let body = serde_json::to_vec(&review(&pod)).unwrap();
        let (answer, outcome) = answer(&body);
        prop_assert_eq!(outcome, Outcome::Injected);
        let patch = answer.pointer("/response/patch").and_then(Value::as_str).unwrap();
        let patch: json_patch::Patch = serde_json::from_slice(&STANDARD.decode(patch).unwrap()).unwrap();
        let mut patched = pod.clone();
        json_patch::patch(&mut patched, &patch).unwrap();
        prop_assert_eq!(patched, inject(&pod, Position::Last).pod);
    }

    #[test]
    fn boot_stands_at_an_end_of_the_init_containers(pod in pods::pod(), position in position()) {
        let injected = inject(&pod, position).pod;
        let containers = injected.pointer("/spec/initContainers").and_then(Value::as_array).unwrap();
        let boot = match position {
            Position::First => containers.first().unwrap(),
            Position::Last => containers.last().unwrap(),
        };
        prop_assert_eq!(&boot["name"], names::CONTAINER_BOOT);
        let others = pod.pointer("/spec/initContainers").and_then(Value::as_array).map_or(0, Vec::len);
        prop_assert_eq!(containers.len(), others + 1);
    }

    /// The kubelet expands `$(NAME)` and folds `$$` in a container's env.
    #[test]
    fn what_boot_is_told_holds_no_dollar_sign(pod in pods::pod()) {
        let injected = inject(&pod, Position::First).pod;
        let told = injected.pointer("/spec/initContainers/0/env/0/value").and_then(Value::as_str).unwrap();
        prop_assert!(!told.contains('$'), "{}", told);
        let told: bootlace::plan::BootSpec = serde_json::from_str(told).unwrap();
        prop_assert_eq!(told.sources.len(), 3);
    }

    /// Whatever one field of a pod is, the answer is well-formed and carries the uid.
    #[test]
    fn a_wrong_type_anywhere_gets_an_answer(
        mut pod in pods::pod(), wrong in pods::any_json(), choice in any::<prop::sample::Index>(),
    ) {
        let mut places = Vec::new();
        pointers(&pod, "", &mut places);
        let place = &places[choice.index(places.len())];
        *pod.pointer_mut(place).unwrap() = wrong;
        let (answer, _) = answer(&serde_json::to_vec(&review(&pod)).unwrap());
        prop_assert_eq!(answer.pointer("/response/uid").unwrap(), "u-1");
        let allowed = answer.pointer("/response/allowed").and_then(Value::as_bool).unwrap();
        prop_assert!(allowed || answer.pointer("/response/status/message").is_some());
    }

    #[test]
    fn any_bytes_get_an_answer(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let (answer, outcome) = answer(&body);
        prop_assert_eq!(outcome, Outcome::Malformed);
        prop_assert_eq!(answer.pointer("/response/allowed").unwrap(), false);
    }

    #[test]
    fn a_cut_off_review_gets_an_answer_with_its_uid(pod in pods::pod(), cut in any::<prop::sample::Index>()) {
        let body = serde_json::to_vec(&review(&pod)).unwrap();
        let from = body.windows(5).position(|window| window == b"\"u-1\"").unwrap() + 5;
        let (answer, _) = answer(&body[..from + cut.index(body.len() - from)]);
        prop_assert_eq!(answer.pointer("/response/uid").unwrap(), "u-1");
        prop_assert_eq!(answer.pointer("/response/status/code").unwrap(), 400);
    }
}

fn pointers(value: &Value, path: &str, places: &mut Vec<String>) {
    places.push(path.to_owned());
    let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| pointers(value, &format!("{path}/{}", escaped(key)), places));
        }
        Value::Array(array) => {
            array
                .iter()
                .enumerate()
                .for_each(|(index, value)| pointers(value, &format!("{path}/{index}"), places));
        }
        _ => {}
    }
}

/// The properties would hold for a generator that makes nothing of interest: it does not.
#[test]
fn the_generator_makes_what_the_properties_are_about() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let made: Vec<_> = (0..200).map(|_| pods::pod().new_tree(&mut runner).unwrap().current()).collect();
    for (what, pointer) in [
        ("init containers", "/spec/initContainers/0"),
        ("volumes", "/spec/volumes/0"),
        ("annotations", "/metadata/annotations"),
        ("a known command", "/spec/containers/0/command/0"),
        ("mounts", "/spec/containers/0/volumeMounts/0"),
        ("a postStart handler", "/spec/containers/0/lifecycle/postStart"),
        ("several containers", "/spec/containers/2"),
    ] {
        let with = made.iter().filter(|pod| pod.pointer(pointer).is_some()).count();
        assert!((10..190).contains(&with), "{with} of 200 pods have {what}");
    }
    assert!(made.iter().filter(|pod| pod.to_string().contains("\"x-")).count() > 100);
}

/// One env variable holds 128 KiB, and the names of a large pod's env need more.
#[test]
fn a_pod_with_very_many_variables_is_injected() {
    let env: Value = (0..20_000).map(|n| json!({"name": format!("VARIABLE_{n}"), "value": "x"})).collect();
    let pod = json!({
        "metadata": {"name": "large", "labels": {names::LABEL_TASK: "true"}},
        "spec": {"containers": [{"name": "main", "command": ["run"], "env": env}]},
    });
    let injected = inject(&pod, Position::Last).pod;
    let told = injected.pointer("/spec/initContainers/0/env").and_then(Value::as_array).unwrap();
    let value = |name: &str| {
        let variable = told.iter().find(|variable| variable["name"] == name)?;
        let value = variable["value"].as_str()?;
        assert!(name.len() + value.len() + 2 <= 128 * 1024);
        Some(value.to_owned())
    };
    let spec = bootlace::plan::BootSpec::from_env(value).unwrap();
    assert_eq!(spec.keep["main"].len(), 20_000);
}
