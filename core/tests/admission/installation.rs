//! Defaults of the installation for injected containers: their user, and the pull secrets of their image.

use bootlace_core::admission::{self, Decision, LookupResults};
use bootlace_core::identity::Identity;
use bootlace_core::injected_config::StoreEndpoint;
use bootlace_core::input::PipeAnswers;
use bootlace_core::names;
use bootlace_core::plan::{InstallationSettings, PreparedProfiles, Version};
use bootlace_core::profile::Profile;
use bootlace_core::profile::run_as_user::RunAsUser;
use serde_json::{Value, json};

use crate::pods;

/// All containers that can be injected into one pod.
const ALL: [&str; 6] = [
    names::CONTAINER_WAIT,
    names::CONTAINER_VOLUME_WAIT,
    names::CONTAINER_INSTALL,
    names::CONTAINER_INIT,
    names::CONTAINER_BOOT,
    names::CONTAINER_PIPE,
];

/// A pod that gets all of them: it waits for an input, selects a boot image and declares an output.
fn pod(spec: &Value) -> Value {
    let mut pod = json!({
        "metadata": {
            "name": "load", "labels": {names::LABEL_TASK: "true"},
            "annotations": {
                names::ANNOTATION_RUN: "r1", names::ANNOTATION_WORKFLOW: "shop",
                names::ANNOTATION_INIT_IMAGE: "r.example.com/data/boot",
                names::ANNOTATION_PIPE_IN:
                    "- {key: Cert, mountPath: /etc/tls, wait: 300, kind: Secret, task: gencert}",
                names::ANNOTATION_PIPE_OUT: "- {key: Report, file: /out/r.json, kind: ConfigMap}",
            },
        },
        "spec": {"containers": [{"name": "main", "image": "i", "command": ["run"]}]},
    });
    for (field, value) in spec.as_object().unwrap() {
        pod["spec"][field] = value.clone();
    }
    pod
}

fn settings(run_as_user: RunAsUser, pull_secrets: &[&str]) -> InstallationSettings {
    InstallationSettings {
        boot_run_as_user: run_as_user,
        boot_image_pull_secrets: pull_secrets.iter().map(|&name| name.to_owned()).collect(),
        store: Some(StoreEndpoint { url: "https://store".to_owned(), ca: "the CA".to_owned() }),
        kubernetes: Version::read("1", "36"),
        ..InstallationSettings::default()
    }
}

fn injected(pod: &Value, boot: &Value, settings: &InstallationSettings) -> Value {
    let mut spec = json!({"boot": boot});
    spec["boot"]["initImage"] = json!({"allow": [{"registry": "r.example.com", "repository": "data/*"}]});
    let profile = Profile::new("default", 2, serde_json::from_value(spec).unwrap()).unwrap();
    let recipes = PreparedProfiles::new([profile].into_iter().collect(), settings).unwrap();
    let own = |text: &str| Some(text.to_owned());
    let run = Identity {
        scheduler: own("annotation"),
        workflow: own("shop"),
        run: own("r1"),
        ..Identity::default()
    };
    let mut pipes = PipeAnswers::default();
    pipes.add(run, Ok(Vec::new()));
    let found = LookupResults { pipes: Some(pipes), ..LookupResults::default() };
    let injected = match admission::admit_with(pod.clone(), "etl", &recipes, &found).unwrap() {
        Decision::Inject(injection) => injection.pod,
        Decision::Skip(skip) => panic!("skipped: {skip}"),
        Decision::Reorder(_) => panic!("reordered"),
        Decision::Refuse(refusal) => panic!("refused: {refusal}"),
    };
    let mut before = pod.clone();
    // For the API, `null` is the same as absent.
    before["spec"].as_object_mut().unwrap().retain(|_, value| !value.is_null());
    assert_eq!(pods::kept(&before, &injected, ""), Ok(()));
    injected
}

/// `runAsUser` and `runAsGroup` of each injected container.
fn users(pod: &Value) -> Vec<(Option<i64>, Option<i64>)> {
    let containers: Vec<_> = pod["spec"]["initContainers"].as_array().unwrap().iter().collect();
    let found: Vec<_> = containers.iter().map(|container| container["name"].as_str().unwrap()).collect();
    assert_eq!(found, ALL);
    let contexts = containers.into_iter().map(|container| &container["securityContext"]);
    contexts
        .map(|context| {
            assert_eq!(context["runAsNonRoot"], true);
            (context["runAsUser"].as_i64(), context["runAsGroup"].as_i64())
        })
        .collect()
}

#[test]
fn the_installation_names_the_user_of_every_injected_container_and_the_profile_another() {
    let (platform, id) = (RunAsUser::Platform, RunAsUser::Id);
    for (installed, boot, expected) in [
        (RunAsUser::default(), json!({}), Some(65532)),
        (id(2000), json!({}), Some(2000)),
        // OpenShift: the constraint `restricted-v2` refuses a pod that sets any user.
        (platform, json!({}), None),
        (platform, json!({"runAsUser": 3000}), Some(3000)),
        (id(2000), json!({"runAsUser": null}), None),
        (id(2000), json!({"runAsUser": 3000}), Some(3000)),
    ] {
        let pod = injected(&pod(&json!({})), &boot, &settings(installed, &[]));
        assert_eq!(users(&pod), [(expected, expected); ALL.len()], "{installed} {boot}");
        let text = pod.to_string();
        assert_eq!(text.contains("runAsUser"), expected.is_some(), "{text}");
    }
}

#[test]
fn a_pod_that_runs_as_root_has_no_injected_container_that_does() {
    let context = |user: i64| json!({"securityContext": {"runAsUser": user, "fsGroup": 5}});
    let platform = settings(RunAsUser::Platform, &[]);
    let root = injected(&pod(&context(0)), &json!({}), &platform);
    assert_eq!(users(&root), [(Some(65532), Some(65532)); ALL.len()]);
    // The pod can select any other user.
    let other = injected(&pod(&context(1000)), &json!({}), &platform);
    assert_eq!(users(&other), [(None, None); ALL.len()]);
    let chosen = injected(&pod(&context(0)), &json!({}), &settings(RunAsUser::Id(2000), &[]));
    assert_eq!(users(&chosen), [(Some(2000), Some(2000)); ALL.len()]);
}

#[test]
fn pull_secrets_come_behind_the_pods_own_each_once() {
    let entries = |names: &[&str]| names.iter().map(|name| json!({"name": name})).collect::<Vec<_>>();
    let spec = |names: &[&str]| json!({"imagePullSecrets": entries(names)});
    let none: &[&str] = &[];
    for (own, profile, installed, expected) in [
        (json!({}), none, none, None),
        (spec(&[]), none, none, Some(none)),
        (json!({}), &["p"], none, Some(&["p"][..])),
        (json!({"imagePullSecrets": null}), none, &["i", "j"], Some(&["i", "j"])),
        (spec(&[]), &["p"], &["i"], Some(&["p", "i"])),
        (spec(&["z", "a"]), &["p"], &["i"], Some(&["z", "a", "p", "i"])),
        (spec(&["z", "p"]), &["p", "q"], &["i", "q", "z"], Some(&["z", "p", "q", "i"])),
        (spec(&["p", "i"]), &["p"], &["i"], Some(&["p", "i"])),
    ] {
        let settings = settings(RunAsUser::default(), installed);
        let pod = injected(&pod(&own), &json!({"imagePullSecrets": profile}), &settings);
        let expected = expected.map(entries).map(Value::from);
        assert_eq!(pod["spec"].get("imagePullSecrets"), expected.as_ref(), "{own} {profile:?} {installed:?}");
    }
}
