//! The progress of tasks: what a pod gets so that it can report it.

use bootlace_core::admission::{self, Decision, Injection};
use bootlace_core::injected_config::StoreEndpoint;
use bootlace_core::names;
use bootlace_core::plan::{InstallationSettings, PreparedProfiles, Version};
use bootlace_core::profile::{BootProfileSpec, Profile};
use serde_json::{Value, json};

use super::scheduler_pods;

fn settings() -> InstallationSettings {
    let store = StoreEndpoint { url: "https://store.example.com".to_owned(), ca: String::new() };
    InstallationSettings {
        store: Some(store),
        allows_progress: true,
        kubernetes: Version::read("1", "37"),
        ..InstallationSettings::default()
    }
}

fn admit(pod: Value, spec: &Value, settings: &InstallationSettings) -> Injection {
    let spec: BootProfileSpec = serde_json::from_value(spec.clone()).unwrap();
    let profile = Profile::new("default", 1, spec).unwrap();
    let recipes = PreparedProfiles::new([profile].into_iter().collect(), settings).unwrap();
    match admission::admit(pod, "etl", &recipes) {
        Decision::Inject(injection) => *injection,
        Decision::Refuse(refusal) => panic!("{}", refusal.message),
        Decision::Skip(skip) => panic!("skipped: {skip}"),
        Decision::Reorder(_) => panic!("reordered"),
    }
}

fn pod() -> Value {
    json!({
        "metadata": {"name": "load", "labels": {"bootlace.dev/task": "true"}},
        "spec": {
            "initContainers": [{"name": "setup", "image": "a", "command": ["true"]}],
            "containers": [{"name": "main", "image": "a", "command": ["true"], "env": [{"name": "A", "value": "b"}]}],
        },
    })
}

fn named<'v>(list: &'v Value, name: &str) -> &'v Value {
    list.as_array().unwrap().iter().find(|element| element["name"] == name).unwrap_or(&Value::Null)
}

/// The configuration of the sidecar; `None` without one.
fn sidecar(pod: &Value) -> Option<Value> {
    let sidecar = named(&pod["spec"]["initContainers"], names::CONTAINER_PIPE);
    let config = named(sidecar.get("env")?, names::ENV_PIPES)["value"].as_str().unwrap();
    Some(serde_json::from_str(config).unwrap())
}

const ENABLED: &str = r#"{"progress": {"enabled": true}}"#;

fn enabled() -> Value {
    serde_json::from_str(ENABLED).unwrap()
}

#[test]
fn a_task_gets_a_file_and_the_sidecar_reads_it() {
    let injected = admit(pod(), &enabled(), &settings());
    let spec = &injected.pod["spec"];
    let main = &spec["containers"][0];
    assert_eq!(main["env"][0], json!({"name": "BOOTLACE_PROGRESS", "value": "/bootlace-progress/main"}));
    assert_eq!(main["env"][1]["name"], "A");
    let mount = json!({"name": "bootlace-progress", "mountPath": "/bootlace-progress"});
    assert_eq!(*named(&main["volumeMounts"], "bootlace-progress"), mount);
    let volume = named(&spec["volumes"], "bootlace-progress");
    assert_eq!(volume["emptyDir"], json!({"medium": "Memory", "sizeLimit": "1Mi"}));
    let sidecar_container = named(&spec["initContainers"], "bootlace-pipe");
    assert_eq!(sidecar_container["restartPolicy"], "Always");
    assert_eq!(*named(&sidecar_container["volumeMounts"], "bootlace-progress"), mount);
    // No run is needed, and no launcher passes outputs.
    let config = sidecar(&injected.pod).unwrap();
    assert_eq!(config["progress"], json!([{"folder": "/bootlace-progress", "name": "main"}]));
    assert_eq!((&config["outputs"], &config["ends"]), (&json!([]), &json!("WhenTold")));
    assert_eq!(*named(&spec["volumes"], "bootlace-run"), Value::Null);
    assert_eq!(named(&spec["initContainers"], "setup").get("env"), None);
    assert!(injected.warnings.is_empty(), "{:?}", injected.warnings);
}

#[test]
fn a_pod_with_outputs_has_one_sidecar_for_both() {
    let outputs = json!([{"key": "Report", "file": "/out/report.json", "kind": "ConfigMap"}]);
    let spec = json!({"progress": {"enabled": true}, "pipes": {"outputs": outputs}});
    let mut task = pod();
    task["metadata"]["annotations"] = json!({"bootlace.dev/run": "r1"});
    task["spec"]["restartPolicy"] = json!("Never");
    let injected = admit(task, &spec, &settings()).pod;
    let config = sidecar(&injected).unwrap();
    assert_eq!(
        (config["progress"].as_array().unwrap().len(), config["outputs"].as_array().unwrap().len()),
        (1, 1)
    );
    assert_eq!(config["ends"], "WithTasks");
    let volumes = &injected["spec"]["volumes"];
    assert!(named(volumes, "bootlace-run").is_object() && named(volumes, "bootlace-progress").is_object());
}

#[test]
fn the_file_of_argo_is_read_in_the_volume_of_the_pod() {
    let injected = admit(scheduler_pods::pod("argo-container.json"), &enabled(), &settings()).pod;
    let config = sidecar(&injected).unwrap();
    assert_eq!(
        config["progress"],
        json!([
            {"folder": "/bootlace-progress", "name": "main"},
            {"folder": "/bootlace-shared/0", "name": "progress", "countsOnly": true},
        ])
    );
    let sidecar = named(&injected["spec"]["initContainers"], "bootlace-pipe");
    let mounts = sidecar["volumeMounts"].as_array().unwrap();
    let shared = json!({"name": "var-run-argo", "mountPath": "/bootlace-shared/0", "readOnly": true});
    assert!(mounts.contains(&shared), "{mounts:?}");
    // The variable of the pod stays.
    assert_eq!(
        named(&named(&injected["spec"]["containers"], "main")["env"], "ARGO_PROGRESS_FILE")["value"],
        "/var/run/argo/progress"
    );
}

#[test]
fn a_file_of_argo_that_cannot_be_shared_is_left_out() {
    for (file, mount) in [
        ("/tmp/progress", json!({"name": "v", "mountPath": "/var/run/argo"})),
        ("/var/run/argo/../x", json!({"name": "v", "mountPath": "/var/run/argo"})),
        ("/var/run/argo/progress", json!({"name": "v", "mountPath": "/var/run/argo", "subPathExpr": "$(A)"})),
    ] {
        let mut task = pod();
        let container = &mut task["spec"]["containers"][0];
        container["env"] = json!([{"name": "ARGO_PROGRESS_FILE", "value": file}]);
        container["volumeMounts"] = json!([mount]);
        task["spec"]["volumes"] = json!([{"name": "v", "emptyDir": {}}]);
        let config = sidecar(&admit(task, &enabled(), &settings()).pod).unwrap();
        assert_eq!(config["progress"].as_array().unwrap().len(), 1, "{file}");
    }
}

#[test]
fn nothing_is_injected_where_progress_is_off_or_not_possible() {
    let off = admit(pod(), &json!({}), &settings());
    assert_eq!(sidecar(&off.pod), None);
    assert!(off.warnings.is_empty(), "{:?}", off.warnings);
    for (settings, reason) in [
        (InstallationSettings { store: None, ..settings() }, "the Bootlace store is not installed"),
        (InstallationSettings { allows_progress: false, ..settings() }, "progress.enabled=true"),
        (InstallationSettings { kubernetes: Version::read("1", "28"), ..settings() }, "Kubernetes 1.29"),
    ] {
        let injected = admit(pod(), &enabled(), &settings);
        assert_eq!(sidecar(&injected.pod), None, "{reason}");
        let env = &injected.pod["spec"]["containers"][0]["env"];
        assert_eq!(env.as_array().unwrap().len(), 1, "{reason}");
        assert!(injected.warnings.iter().any(|warning| warning.contains(reason)), "{:?}", injected.warnings);
    }
}

#[test]
fn a_task_with_an_unknown_command_reports_too() {
    let mut task = pod();
    task["spec"]["containers"][0].as_object_mut().unwrap().remove("command");
    task["metadata"]["annotations"] = json!({"bootlace.dev/env-mode": "Hook"});
    let injected = admit(task, &enabled(), &settings()).pod;
    assert_eq!(
        named(&injected["spec"]["containers"][0]["env"], "BOOTLACE_PROGRESS")["value"],
        "/bootlace-progress/main"
    );
}
