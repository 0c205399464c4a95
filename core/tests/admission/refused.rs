//! Pods that cannot be booted: each refusal names the object, the field and the remedy.

use bootlace_core::admission::{self, Decision};
use bootlace_core::names;
use bootlace_core::plan::{InstallationSettings, PreparedProfiles};
use bootlace_core::profile::env::EnvMode;
use bootlace_core::profile::{Inline, Profile, Source};
use serde_json::{Value, json};

fn task(change: impl FnOnce(&mut Value)) -> Value {
    let mut pod = json!({
        "metadata": {"name": "etl", "labels": {names::LABEL_TASK: "true"}},
        "spec": {"containers": [{"name": "main", "image": "etl", "command": ["run"]}]},
    });
    change(&mut pod);
    pod
}

fn refusal(pod: Value, profile: Profile) -> String {
    let recipes =
        PreparedProfiles::new([profile].into_iter().collect(), &InstallationSettings::default()).unwrap();
    match admission::admit(pod, "etl", &recipes) {
        Decision::Refuse(refusal) => refusal.to_string(),
        Decision::Skip(skip) => panic!("skipped: {skip}"),
        Decision::Reorder(_) => panic!("reordered"),
        Decision::Inject(_) => panic!("injected"),
    }
}

fn default_profile() -> Profile {
    Profile { name: "default".to_owned(), ..Profile::default() }
}

#[test]
fn a_pod_that_cannot_boot_is_refused_with_a_remedy() {
    let container = |pod: &mut Value, field: &str, value: Value| pod["spec"]["containers"][0][field] = value;
    let cases: [(Value, &[&str]); 14] = [
        (
            task(|pod| pod["metadata"]["labels"][names::LABEL_TASK] = json!("etl")),
            &["pod etl", "BootProfile \"etl\"", "\"default\"", "[BL1101]"],
        ),
        (
            task(|pod| pod["metadata"]["annotations"] = json!({names::ANNOTATION_CONTAINERS: "main, side"})),
            &[names::ANNOTATION_CONTAINERS, "\"side\"", "\"main\"", "[BL1203]"],
        ),
        (
            task(|pod| pod["metadata"]["annotations"] = json!({names::ANNOTATION_CONTAINERS: " , "})),
            &[names::ANNOTATION_CONTAINERS, "[BL1205]"],
        ),
        (task(|pod| pod["spec"]["containers"] = json!([])), &["spec.containers", "[BL1201]"]),
        (
            task(|pod| pod["spec"]["initContainers"] = json!([{"name": "bootlace-boot"}])),
            &["container \"bootlace-boot\"", "[BL1206]"],
        ),
        (
            task(|pod| pod["spec"]["volumes"] = json!([{"name": "bootlace"}])),
            &["volume \"bootlace\"", "[BL1206]"],
        ),
        (
            task(|pod| {
                container(pod, "volumeMounts", json!([{"name": "data", "mountPath": "/var/assets/"}]));
            }),
            &[
                "container \"main\"",
                "\"data\" at /var/assets/",
                "assets.mountPath",
                "BootProfile \"default\"",
            ],
        ),
        (
            task(|pod| container(pod, "lifecycle", json!({"postStart": {"tcpSocket": {"port": 1}}}))),
            &["container \"main\"", "tcpSocket"],
        ),
        (
            task(|pod| pod["metadata"]["labels"][names::LABEL_TASK] = json!(true)),
            &["metadata.labels[\"bootlace.dev/task\"] must be a string, but is a boolean: put it in quotes"],
        ),
        (
            task(|pod| pod["metadata"]["annotations"] = json!({"a/b": "c", "bootlace.dev/run": 20_261_128})),
            &[
                "metadata.annotations[\"bootlace.dev/run\"] must be a string, but is a number: put it in quotes",
            ],
        ),
        (
            task(|pod| pod["metadata"]["annotations"] = json!({"team": ["a"]})),
            &["metadata.annotations.team must be a string, but is an array", "[BL1002]"],
        ),
        (
            task(|pod| {
                container(
                    pod,
                    "env",
                    json!([{"name": "A", "value": "1"}, {"name": "DEBUG", "value": false}]),
                );
            }),
            &["spec.containers[0].env[1].value must be a string, but is a boolean: put it in quotes"],
        ),
        (
            task(|pod| container(pod, "env", json!("A=b"))),
            &["spec.containers[0].env must be an array", "a string", "[BL1002]"],
        ),
        (
            task(|pod| container(pod, "lifecycle", json!({"postStart": {"exec": {"command": [1]}}}))),
            &["spec.containers[0].lifecycle.postStart.exec.command[0] must be a string", "a number"],
        ),
    ];
    for (pod, details) in cases {
        let message = refusal(pod, default_profile());
        assert!(message.starts_with("bootlace: "), "{message}");
        for detail in details {
            assert!(message.contains(detail), "{detail:?} is not in {message:?}");
        }
    }
}

#[test]
fn a_profile_that_wants_the_launcher_refuses_an_unknown_command() {
    let mut profile = default_profile();
    profile.spec.env.mode = EnvMode::Launch;
    let pod = task(|pod| pod["spec"]["containers"][0]["command"] = Value::Null);
    let message = refusal(pod, profile);
    assert!(message.contains("container \"main\"") && message.ends_with("[BL1301]"), "{message}");
}

#[test]
fn inline_sources_have_a_limit() {
    let mut profile = default_profile();
    let files = [("big.sql".to_owned(), "x".repeat(600 * 1024))].into();
    let inline = Some(Inline { files, ..Inline::default() });
    profile.spec.sources = vec![Source { name: "big".to_owned(), inline, ..Source::default() }];
    let message = refusal(task(|_| {}), profile);
    assert!(message.contains("524288") && message.ends_with("[BL1312]"), "{message}");
}

#[test]
fn a_refusal_repeats_little_of_what_a_pod_says() {
    let long = "long".repeat(64_000);
    let list =
        format!("[{}]", (0..20_000).map(|number| format!("{{k{number}: v}}")).collect::<Vec<_>>().join(","));
    let annotations = [
        names::ANNOTATION_CONTAINERS,
        names::ANNOTATION_ENTRYPOINT,
        names::ANNOTATION_ENV_MODE,
        names::ANNOTATION_INIT_IMAGE,
        names::ANNOTATION_PIPE_IN,
        names::ANNOTATION_PIPE_OUT,
        names::ANNOTATION_RUN,
        names::LABEL_TASK,
    ];
    let mut refused = 0;
    for name in annotations {
        for value in
            [long.clone(), format!("- {{key: {long}}}"), format!("{{\"{long}\": [\"a\"]}}"), list.clone()]
        {
            let pod = task(|pod| {
                let field = if name == names::LABEL_TASK { "labels" } else { "annotations" };
                pod["metadata"][field][name] = json!(value);
            });
            let review = json!({
                "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
                "request": {
                    "uid": "u", "kind": {"group": "", "version": "v1", "kind": "Pod"},
                    "resource": {"group": "", "version": "v1", "resource": "pods"}, "namespace": "etl",
                    "operation": "CREATE", "object": pod,
                },
            });
            let recipes = PreparedProfiles::new(
                [default_profile()].into_iter().collect(),
                &InstallationSettings::default(),
            )
            .unwrap();
            let answered = admission::review(review.to_string().as_bytes(), &recipes);
            let response = &answered.response;
            let sentences = response.refusal.iter().map(|refusal| &refusal.message);
            for sentence in sentences.chain(&response.warnings).chain(response.audit.values()) {
                assert!(sentence.chars().count() < 4200, "{name}: {} characters", sentence.chars().count());
                assert!(!sentence.contains(&long[..300]), "{name}: {sentence}");
            }
            refused += usize::from(response.refusal.is_some());
        }
    }
    assert!(refused >= 20, "{refused}");
}
