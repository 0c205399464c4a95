//! Properties of admission over generated pods and over arbitrary input, and its results for pods that
//! schedulers created.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking; clippy's own exemption does not reach a test's helpers"
)]

mod context;
mod hook;
mod identity;
mod init_image;
mod init_tasks;
mod installation;
mod layout;
mod links;
mod modes;
mod monitor;
mod mounts;
mod overlay_examples;
mod overlay_properties;
mod overlays;
mod patches;
mod pipes_in;
mod pipes_out;
mod pipes_wait;
mod pods;
mod progress;
mod refused;
mod resources;
mod scheduler_pods;
mod secret;
mod selected;
mod signed;
mod snapshots;
mod task_hooks;
mod templates;
mod vault;
mod volume;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bootlace_core::admission::{self, Decision, Injection, ReviewOutcome};
use bootlace_core::names;
use bootlace_core::plan::{InstallationSettings, PreparedProfiles};
use bootlace_core::profile::init_image::{AllowedImage, InitImage};
use bootlace_core::profile::spec::Position;
use bootlace_core::profile::{Inline, Mounted, Profile, Source, SourceTarget};
use bootlace_core::selection::SkipReason;
use proptest::prelude::*;
use serde_json::{Value, json};

fn profile(position: Position) -> Profile {
    let mut profile = Profile { name: "default".to_owned(), generation: 3, ..Profile::default() };
    let source = |name: &str| Source { name: name.to_owned(), ..Source::default() };
    let object = Mounted {
        name: "object".to_owned(),
        into: SourceTarget::Files,
        items: Vec::new(),
        exclude: Vec::new(),
        prefix: String::new(),
        optional: false,
    };
    let env = [("PRICE".to_owned(), "$(PRICE) $$5".to_owned())].into();
    profile.spec.sources = vec![
        Source { inline: Some(Inline { env, ..Inline::default() }), ..source("inline") },
        Source { config_map: Some(object.clone()), ..source("config-map") },
        // A whole object as env can contain any name.
        Source { secret: Some(Mounted { into: SourceTarget::Env, ..object }), ..source("secret") },
    ];
    profile.spec.boot.position = position;
    let allowed = AllowedImage {
        registry: "r.example.com".to_owned(),
        repository: "data/*".to_owned(),
        digest_only: false,
    };
    profile.spec.boot.init_image = Some(InitImage { allow: vec![allowed], ..InitImage::default() });
    profile
}

/// The boot image that some generated pods select.
const INIT_IMAGE: &str = "r.example.com/data/boot";

/// A generated pod, with or without a boot image.
fn pod() -> impl Strategy<Value = Value> {
    (pods::pod(), any::<bool>()).prop_map(|(mut pod, names_one)| {
        if names_one {
            pod["metadata"]["annotations"][names::ANNOTATION_INIT_IMAGE] = json!(INIT_IMAGE);
        }
        pod
    })
}

fn names_an_image(pod: &Value) -> bool {
    let annotations = &pod["metadata"]["annotations"];
    annotations.get(names::ANNOTATION_INIT_IMAGE).is_some()
}

/// Names of the init containers that Bootlace adds to a pod.
fn ours(pod: &Value) -> &'static [&'static str] {
    let with_image = &[names::CONTAINER_INSTALL, names::CONTAINER_INIT, names::CONTAINER_BOOT];
    if names_an_image(pod) { with_image } else { &[names::CONTAINER_BOOT] }
}

fn init_containers(pod: &Value) -> &[Value] {
    pod.pointer("/spec/initContainers").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn init_container<'a>(pod: &'a Value, name: &str) -> &'a Value {
    init_containers(pod).iter().find(|container| container["name"] == name).unwrap()
}

fn recipes(position: Position) -> PreparedProfiles {
    PreparedProfiles::new([profile(position)].into_iter().collect(), &InstallationSettings::default())
        .unwrap()
}

fn inject(pod: &Value, position: Position) -> Injection {
    match admission::admit(pod.clone(), "etl", &recipes(position)) {
        Decision::Inject(injection) => *injection,
        Decision::Skip(skip) => panic!("skipped: {skip}"),
        Decision::Reorder(_) => panic!("reordered"),
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

fn answer(body: &[u8]) -> (Value, ReviewOutcome) {
    let admission::Answered { response, outcome, .. } = admission::review(body, &recipes(Position::Last));
    (serde_json::from_slice(&response.to_json().unwrap()).unwrap(), outcome)
}

fn position() -> impl Strategy<Value = Position> {
    prop_oneof![Just(Position::First), Just(Position::Last)]
}

proptest! {
    #[test]
    fn nothing_is_removed_changed_or_reordered(pod in pod(), position in position()) {
        let injected = inject(&pod, position).pod;
        prop_assert_eq!(pods::kept(&pod, &injected, ""), Ok(()));
    }

    #[test]
    fn injecting_twice_is_a_no_op(pod in pod(), position in position()) {
        let once = inject(&pod, position).pod;
        let twice = admission::admit(once, "etl", &recipes(position));
        prop_assert!(matches!(twice, Decision::Skip(SkipReason::AlreadyInjected)));
    }

    #[test]
    fn the_patch_that_is_sent_turns_the_pod_into_what_was_planned(pod in pod()) {
        let body = serde_json::to_vec(&review(&pod)).unwrap();
        let (answer, outcome) = answer(&body);
        prop_assert_eq!(outcome, ReviewOutcome::Injected);
        let patch = answer.pointer("/response/patch").and_then(Value::as_str).unwrap();
        let patch: json_patch::Patch = serde_json::from_slice(&STANDARD.decode(patch).unwrap()).unwrap();
        let mut patched = pod.clone();
        json_patch::patch(&mut patched, &patch).unwrap();
        prop_assert_eq!(patched, inject(&pod, Position::Last).pod);
    }

    #[test]
    fn boot_is_the_first_or_the_last_init_container(pod in pod(), position in position()) {
        let injected = inject(&pod, position).pod;
        let (all, ours) = (init_containers(&injected), ours(&pod));
        let (own, added) = match position {
            Position::First => { let (added, own) = all.split_at(ours.len()); (own, added) }
            Position::Last => all.split_at(all.len() - ours.len()),
        };
        prop_assert!(added.iter().map(|container| &container["name"]).eq(ours));
        match position {
            // These get the fetched files.
            Position::First => {
                prop_assert_eq!(own.len(), init_containers(&pod).len());
                prop_assert_eq!(pods::kept(&json!(init_containers(&pod)), &json!(own), ""), Ok(()));
            }
            Position::Last => prop_assert_eq!(own, init_containers(&pod)),
        }
    }

    #[test]
    fn what_is_injected_is_as_restricted_as_can_be(pod in pod()) {
        let injected = inject(&pod, Position::Last).pod;
        for name in ours(&pod) {
            let container = init_container(&injected, name);
            let is = |pointer: &str| container.pointer(pointer).unwrap();
            prop_assert_eq!(is("/securityContext/allowPrivilegeEscalation"), false);
            prop_assert_eq!(is("/securityContext/runAsNonRoot"), true);
            prop_assert_eq!(is("/securityContext/readOnlyRootFilesystem"), true);
            prop_assert_eq!(is("/securityContext/capabilities/drop"), &json!(["ALL"]));
            prop_assert_eq!(is("/securityContext/seccompProfile/type"), "RuntimeDefault");
        }
    }

    /// Every mounted volume exists, and volume names are unique.
    #[test]
    fn the_mounts_of_what_is_injected_have_their_volumes(pod in pod()) {
        let injected = inject(&pod, Position::Last).pod;
        let volumes = injected.pointer("/spec/volumes").and_then(Value::as_array).unwrap();
        let called = |name: &Value| volumes.iter().filter(|volume| &volume["name"] == name).count();
        for name in ours(&pod) {
            for mount in init_container(&injected, name)["volumeMounts"].as_array().unwrap() {
                prop_assert_eq!(called(&mount["name"]), 1, "{} of {}", mount, name);
            }
        }
    }

    /// The kubelet expands `$(NAME)` and folds `$$` in a container's env.
    #[test]
    fn the_spec_of_boot_contains_no_dollar_sign(pod in pod()) {
        let injected = inject(&pod, Position::First).pod;
        let boot = init_container(&injected, names::CONTAINER_BOOT);
        let text = boot.pointer("/env/0/value").and_then(Value::as_str).unwrap();
        prop_assert!(!text.contains('$'), "{}", text);
        let spec: bootlace_core::plan::BootSpec = serde_json::from_str(text).unwrap();
        prop_assert_eq!(spec.sources.len(), if names_an_image(&pod) { 4 } else { 3 });
    }

    /// If any field of a pod has any value, the response is well-formed and contains the UID.
    #[test]
    fn a_wrong_type_anywhere_gets_an_answer(
        mut pod in pod(), wrong in pods::any_json(), choice in any::<prop::sample::Index>(),
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
        prop_assert_eq!(outcome, ReviewOutcome::Malformed);
        prop_assert_eq!(answer.pointer("/response/allowed").unwrap(), false);
    }

    #[test]
    fn a_cut_off_review_gets_an_answer_with_its_uid(pod in pod(), cut in any::<prop::sample::Index>()) {
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

/// The properties would also be true for a generator of trivial pods, which this is not.
#[test]
fn the_generated_pods_have_the_features_that_the_properties_test() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let made: Vec<_> = (0..200).map(|_| pod().new_tree(&mut runner).unwrap().current()).collect();
    for (feature, pointer) in [
        ("init containers", "/spec/initContainers/0"),
        ("volumes", "/spec/volumes/0"),
        ("annotations", "/metadata/annotations"),
        ("a known command", "/spec/containers/0/command/0"),
        ("mounts", "/spec/containers/0/volumeMounts/0"),
        ("a postStart handler", "/spec/containers/0/lifecycle/postStart"),
        ("several containers", "/spec/containers/2"),
        ("a custom boot image", "/metadata/annotations/bootlace.dev~1init-image"),
    ] {
        let with = made.iter().filter(|pod| pod.pointer(pointer).is_some()).count();
        assert!((10..190).contains(&with), "{with} of 200 pods have {feature}");
    }
    assert!(made.iter().filter(|pod| pod.to_string().contains("\"x-")).count() > 100);
}

/// One variable can have 128 KiB, and the variable names of a large pod need more.
#[test]
fn a_pod_with_very_many_variables_is_injected() {
    let env: Value = (0..20_000).map(|n| json!({"name": format!("VARIABLE_{n}"), "value": "x"})).collect();
    let pod = json!({
        "metadata": {"name": "large", "labels": {names::LABEL_TASK: "true"}},
        "spec": {"containers": [{"name": "main", "command": ["run"], "env": env}]},
    });
    let injected = inject(&pod, Position::Last).pod;
    let variables = injected.pointer("/spec/initContainers/0/env").and_then(Value::as_array).unwrap();
    let value = |name: &str| {
        let variable = variables.iter().find(|variable| variable["name"] == name)?;
        let value = variable["value"].as_str()?;
        assert!(name.len() + value.len() + 2 <= 128 * 1024);
        Some(value.to_owned())
    };
    let spec = bootlace_core::plan::BootSpec::from_env(value).unwrap();
    assert_eq!(spec.keep["main"].len(), 20_000);
}
