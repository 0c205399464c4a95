//! Pods whose tasks have outputs.

use bootlace_core::admission::{self, Decision, Injection};
use bootlace_core::injected_config::StoreEndpoint;
use bootlace_core::names;
use bootlace_core::output::{SidecarConfig, SidecarLifetime};
use bootlace_core::plan::{InstallationSettings, PreparedProfiles, Version};
use bootlace_core::profile::Profile;
use bootlace_core::profile::spec::Position;
use bootlace_core::selection::SkipReason;
use insta::assert_json_snapshot;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{pods, scheduler_pods};

const CERT: &str = "- {key: Certificate, file: /out/tls.crt, kind: Secret}\n";

fn settings() -> InstallationSettings {
    InstallationSettings {
        store: Some(StoreEndpoint { url: "https://store.bootlace.svc".to_owned(), ca: "PEM\n".to_owned() }),
        kubernetes: Version::read("1", "36"),
        ..InstallationSettings::default()
    }
}

fn recipes(profile: &Value, settings: &InstallationSettings) -> PreparedProfiles {
    let spec = serde_json::from_value(profile.clone()).unwrap();
    let profile = Profile { name: "default".to_owned(), generation: 2, spec };
    PreparedProfiles::new([profile].into_iter().collect(), settings).unwrap()
}

/// A pod of a Job that declares `outputs`.
fn pod(outputs: &str, spec: &Value) -> Value {
    json!({
        "metadata": {
            "name": "gencert-x7",
            "labels": {
                names::LABEL_TASK: "true",
                "batch.kubernetes.io/job-name": "gencert",
                "batch.kubernetes.io/controller-uid": "7f0a",
            },
            "annotations": {names::ANNOTATION_PIPE_OUT: outputs},
        },
        "spec": spec,
    })
}

fn one(container: &Value) -> Value {
    json!({"containers": [container]})
}

fn known() -> Value {
    json!({"name": "main", "image": "openssl", "command": ["openssl", "req"]})
}

fn decide(pod: &Value, profile: &Value, settings: &InstallationSettings) -> Result<Injection, String> {
    match admission::admit(pod.clone(), "team", &recipes(profile, settings)) {
        Decision::Inject(injection) => Ok(*injection),
        Decision::Skip(skip) => panic!("skipped: {skip}"),
        Decision::Reorder(_) => panic!("reordered"),
        Decision::Refuse(refusal) => Err(refusal.message),
    }
}

fn inject(pod: &Value, profile: &Value) -> Injection {
    decide(pod, profile, &settings()).unwrap()
}

fn refused(pod: &Value, profile: &Value, settings: &InstallationSettings) -> String {
    decide(pod, profile, settings).map(drop).unwrap_err()
}

fn named<'a>(list: &'a Value, name: &str) -> Option<&'a Value> {
    list.as_array()?.iter().find(|object| object["name"] == name)
}

fn sidecar(pod: &Value) -> &Value {
    named(&pod["spec"]["initContainers"], names::CONTAINER_PIPE).unwrap()
}

fn sidecar_config(pod: &Value) -> SidecarConfig<'static> {
    let env = named(&sidecar(pod)["env"], names::ENV_PIPES).unwrap();
    serde_json::from_str(env["value"].as_str().unwrap()).unwrap()
}

#[test]
fn a_task_with_a_known_command_has_a_launcher_for_its_outputs() {
    let outputs =
        format!("{CERT}- {{key: Report, file: '/out/$(DAY)*.json', kind: ConfigMap, optional: true}}\n");
    let injection = inject(&pod(&outputs, &one(&known())), &json!({}));
    assert_eq!(injection.warnings, [""; 0]);
    assert_json_snapshot!(injection.pod);
}

#[test]
fn what_the_profile_says_of_pipes_reaches_launcher_and_sidecar() {
    let profile = json!({"pipes": {
        "outputs": [
            {"key": "Log", "file": "/log", "kind": "ConfigMap", "optional": true},
            {"key": "Certificate", "file": "/elsewhere", "kind": "ConfigMap"},
        ],
        "timeToLiveSeconds": 600, "deadlineSeconds": 7, "onFailure": "Store",
        "quota": {"perRun": 3, "perNamespace": 100},
        "resources": {"requests": {"cpu": "1m"}, "limits": {"memory": "32Mi"}},
    }});
    let mut pod = pod(CERT, &one(&known()));
    pod["spec"]["terminationGracePeriodSeconds"] = json!(90);
    let pod = inject(&pod, &profile).pod;
    assert_eq!(
        pod["spec"]["containers"][0]["command"],
        json!([
            "/bootlace/bin/launch",
            "run",
            "--container=main",
            "--handover=/bootlace-run",
            "--deadline=7",
            "--on-failure=store",
            "--optional-output=Log:ConfigMap:/log",
            "--output=Certificate:Secret:/out/tls.crt",
            "--",
            "openssl",
            "req",
        ])
    );
    let spec = sidecar_config(&pod);
    assert_eq!((spec.time_to_live_seconds, spec.grace_seconds), (600, 88));
    assert_eq!((spec.quota.per_run, spec.quota.per_namespace), (Some(3), Some(100)));
    assert_eq!(sidecar(&pod)["resources"], json!({"requests": {"cpu": "1m"}, "limits": {"memory": "32Mi"}}));
}

#[test]
fn the_sidecar_ends_with_the_tasks_where_nothing_else_runs_or_begins_again() {
    let mut by_rules = known();
    by_rules["restartPolicy"] = json!("Never");
    let idle = json!({"name": "idle", "image": "i", "command": ["run"]});
    for (case, policy, containers, expected) in [
        ("never again", json!("Never"), json!([known()]), SidecarLifetime::WithTasks),
        ("again where it fails", json!("OnFailure"), json!([known()]), SidecarLifetime::WithSuccess),
        ("always again", json!("Always"), json!([known()]), SidecarLifetime::WhenTold),
        ("the API server's default", Value::Null, json!([known()]), SidecarLifetime::WhenTold),
        ("another container", json!("Never"), json!([known(), idle]), SidecarLifetime::WhenTold),
        ("a rule of its own", json!("Never"), json!([by_rules]), SidecarLifetime::WhenTold),
    ] {
        let mut pod = pod(CERT, &json!({"restartPolicy": policy, "containers": containers}));
        pod["metadata"]["annotations"][names::ANNOTATION_CONTAINERS] = json!("main");
        assert_eq!(sidecar_config(&inject(&pod, &json!({})).pod).ends, expected, "{case}");
    }
    // The sidecar reads the files of such a task after all tasks have ended.
    let unknown = json!({
        "name": "main", "image": "openssl", "volumeMounts": [{"name": "out", "mountPath": "/out"}],
    });
    let spec = json!({
        "restartPolicy": "Never", "containers": [unknown], "volumes": [{"name": "out", "emptyDir": {}}],
    });
    assert_eq!(
        sidecar_config(&inject(&pod(CERT, &spec), &json!({"env": {"mode": "Hook"}})).pod).ends,
        SidecarLifetime::WhenTold
    );
}

#[test]
fn each_task_container_sees_its_own_folder_alone() {
    let outputs = "[{key: A, file: /a, kind: Secret, container: one}, {key: B, file: /b, kind: Secret, container: two}]";
    let container = |name: &str| json!({"name": name, "image": "i", "command": ["run"]});
    let mut pod =
        pod(outputs, &json!({"containers": [container("one"), container("side"), container("two")]}));
    pod["metadata"]["annotations"][names::ANNOTATION_CONTAINERS] = json!("one, two");
    let pod = inject(&pod, &json!({})).pod;
    for (index, name) in [(0, "one"), (2, "two")] {
        let mounts = &pod["spec"]["containers"][index]["volumeMounts"];
        let mount = named(mounts, names::VOLUME_RUN).unwrap();
        assert_eq!(mount, &json!({"name": "bootlace-run", "mountPath": "/bootlace-run", "subPath": name}));
    }
    assert_eq!(pod["spec"]["containers"][1].get("volumeMounts"), None);
    let volume = named(&pod["spec"]["volumes"], names::VOLUME_RUN).unwrap();
    // 2.5 MiB for each.
    assert_eq!(volume["emptyDir"], json!({"medium": "Memory", "sizeLimit": "5120Ki"}));
    let containers: Vec<_> =
        sidecar_config(&pod).outputs.into_iter().map(|output| output.container).collect();
    assert_eq!(containers, ["one", "two"]);
}

#[test]
fn without_a_launcher_the_file_is_read_from_a_volume_that_is_shared() {
    let unknown = json!({"name": "main", "image": "etl", "volumeMounts": [
        {"name": "work", "mountPath": "/out", "subPath": "a"},
    ]});
    let mut before = pod(CERT, &one(&unknown));
    before["spec"]["volumes"] = json!([{"name": "work", "emptyDir": {}}]);
    // Without sources there is no env to deliver in a Secret.
    let injection = decide(&before, &json!({"env": {"mode": "Hook"}}), &settings()).unwrap();
    assert_eq!(injection.warnings.len(), 1);
    for detail in [
        "output \"Certificate\" of container \"main\"",
        "because env.mode of BootProfile \"default\" is Hook",
    ] {
        assert!(injection.warnings[0].contains(detail), "{:?}", injection.warnings);
    }
    let pod = injection.pod;
    assert_eq!(sidecar_config(&pod).outputs[0].shared_file.as_deref(), Some("/bootlace-shared/0/tls.crt"));
    let mount = named(&sidecar(&pod)["volumeMounts"], "work").unwrap();
    assert_eq!(
        mount,
        &json!({"name": "work", "mountPath": "/bootlace-shared/0", "subPath": "a", "readOnly": true})
    );
    assert_eq!(named(&pod["spec"]["volumes"], names::VOLUME_RUN), None);
    assert_eq!(pod["spec"]["containers"][0].get("command"), None);

    let nowhere = self::pod(CERT, &one(&json!({"name": "main", "image": "etl"})));
    let error = refused(&nowhere, &json!({"env": {"mode": "Hook"}}), &settings());
    assert!(error.ends_with("[BL1611]"), "{error}");
}

#[test]
fn a_guaranteed_pod_stays_so() {
    let resources = json!({"limits": {"cpu": "1", "memory": "1Gi"}});
    let mut container = known();
    container["resources"] = resources;
    let pod = inject(&pod(CERT, &one(&container)), &json!({})).pod;
    let resources = &sidecar(&pod)["resources"];
    assert_eq!(resources["requests"], resources["limits"]);
    assert!(resources["limits"]["cpu"].is_string() && resources["limits"]["memory"].is_string());
}

#[test]
fn invalid_outputs_are_refused() {
    let good = pod(CERT, &one(&known()));
    let old = InstallationSettings { kubernetes: Version::read("1", "28+"), ..settings() };
    let error = refused(&good, &json!({}), &old);
    assert!(error.contains("1.29") && error.contains("1.28") && error.ends_with("[BL1610]"), "{error}");

    let error = refused(&good, &json!({}), &InstallationSettings { store: None, ..settings() });
    assert!(error.ends_with("[BL1609]"), "{error}");

    let mut nobodys = good.clone();
    nobodys["metadata"]["labels"] = json!({names::LABEL_TASK: "true"});
    let error = refused(&nobodys, &json!({}), &settings());
    assert!(error.contains(names::ANNOTATION_RUN) && error.ends_with("[BL1608]"), "{error}");
    nobodys["metadata"]["annotations"][names::ANNOTATION_RUN] = json!("deploy-7");
    let spec = sidecar_config(&decide(&nobodys, &json!({}), &settings()).unwrap().pod);
    assert_eq!(spec.task.describe(), "task gencert-x7, run deploy-7");

    let mut taken = good.clone();
    taken["spec"]["volumes"] = json!([{"name": names::VOLUME_RUN, "emptyDir": {}}]);
    assert!(refused(&taken, &json!({}), &settings()).ends_with("[BL1206]"));
    let mut taken = good.clone();
    taken["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "v", "mountPath": "/bootlace-run/"}]);
    assert!(refused(&taken, &json!({}), &settings()).ends_with("[BL1207]"));

    let bad = pod("- {key: A, file: a, kind: Secret}", &one(&known()));
    let error = refused(&bad, &json!({}), &settings());
    assert!(
        error.starts_with("bootlace: pod gencert-x7: annotation bootlace.dev/pipe-out, entry 1: file "),
        "{error}"
    );
}

#[test]
fn without_outputs_nothing_of_it_is_there() {
    for pod in [pod("[]", &one(&known())), {
        let mut pod = pod("", &one(&known()));
        pod["metadata"].as_object_mut().unwrap().remove("annotations");
        pod
    }] {
        let text = inject(&pod, &json!({})).pod.to_string();
        assert!(!text.contains("bootlace-run") && !text.contains(names::CONTAINER_PIPE), "{text}");
    }
}

proptest! {
    #[test]
    fn any_pod_with_outputs_keeps_what_it_has(pod in pods::pod(), first in any::<bool>()) {
        let mut pod = pod;
        let container = &pod["spec"]["containers"][0];
        // The launcher needs a command, and without one a volume is required.
        let launched = container["command"].as_array().is_some_and(|words| !words.is_empty());
        prop_assume!(launched);
        pod["metadata"]["annotations"][names::ANNOTATION_PIPE_OUT] = json!(CERT);
        pod["metadata"]["annotations"][names::ANNOTATION_RUN] = json!("r");
        let position = if first { Position::First } else { Position::Last };
        let profile = json!({"boot": {"position": position}});
        let injected = decide(&pod, &profile, &settings()).unwrap().pod;
        prop_assert_eq!(pods::kept(&pod, &injected, ""), Ok(()));
        // The sidecar directly follows boot.
        let init = injected["spec"]["initContainers"].as_array().unwrap();
        let boot = init.iter().position(|container| container["name"] == names::CONTAINER_BOOT).unwrap();
        prop_assert_eq!(&init[boot + 1]["name"], names::CONTAINER_PIPE);
        prop_assert_eq!(&init[boot + 1]["restartPolicy"], "Always");
        let twice = admission::admit(injected, "team", &recipes(&profile, &settings()));
        prop_assert!(matches!(twice, Decision::Skip(SkipReason::AlreadyInjected)));
    }
}

/// Dagster can fail such a task because of the sidecar, in ways that the task itself avoids.
#[test]
fn a_scheduler_that_breaks_on_the_sidecar_has_a_warning_on_pods_with_outputs() {
    let warned = |file: &str, annotations: Value| {
        let mut pod = scheduler_pods::pod(file);
        pod["metadata"]["annotations"] = annotations;
        pod["spec"]["containers"][0]["command"] = json!(["true"]);
        decide(&pod, &json!({}), &settings()).unwrap().warnings.join("\n")
    };
    let output = json!({names::ANNOTATION_PIPE_OUT: CERT, names::ANNOTATION_RUN: "r1"});
    for (file, remedy) in [
        ("dagster-k8s-job-op.json", "set restart_policy to OnFailure"),
        ("dagster-pipes.json", r#"pass ignore_containers={"bootlace-pipe"}"#),
    ] {
        let warnings = warned(file, output.clone());
        assert!(warnings.contains(remedy), "{file}: {warnings}");
        let warnings = warned(file, json!({}));
        assert!(!warnings.contains(remedy), "{file} has no outputs: {warnings}");
    }
    let warnings = warned("dagster-step.json", output);
    assert!(!warnings.contains("sidecar"), "steps are not affected: {warnings}");
}
