//! The layout of Optimus: the mounts of a task container, and the delivery of its env.

use bootlace_core::admission::{self, Decision};
use bootlace_core::code::Code;
use bootlace_core::names;
use bootlace_core::plan::{InstallationSettings, PreparedProfiles};
use bootlace_core::profile::Profile;
use bootlace_core::profile::env::EnvMode;
use bootlace_core::profile::spec::Layout;
use serde_json::{Value, json};

fn admit(container: &Value, change: impl FnOnce(&mut Profile)) -> Decision {
    let mut profile = Profile { name: "default".to_owned(), ..Profile::default() };
    profile.spec.assets.layout = Layout::Optimus;
    change(&mut profile);
    let recipes =
        PreparedProfiles::new([profile].into_iter().collect(), &InstallationSettings::default()).unwrap();
    let pod = json!({
        "metadata": {"name": "etl", "labels": {names::LABEL_TASK: "true"}},
        "spec": {"containers": [container]},
    });
    admission::admit(pod, "etl", &recipes)
}

fn injected(container: &Value, change: impl FnOnce(&mut Profile)) -> (Value, Vec<String>) {
    match admit(container, change) {
        Decision::Inject(injection) => (injection.pod, injection.warnings),
        Decision::Skip(skip) => panic!("skipped: {skip}"),
        Decision::Reorder(_) => panic!("reordered"),
        Decision::Refuse(refusal) => panic!("refused: {refusal}"),
    }
}

fn mounts(pod: &Value) -> &Value {
    pod.pointer("/spec/containers/0/volumeMounts").unwrap()
}

#[test]
fn the_files_lie_in_a_folder_that_can_be_written_around_them() {
    let task = json!({"name": "main", "image": "etl", "command": ["run"]});
    let (pod, warnings) = injected(&task, |_| {});
    assert_eq!(
        mounts(&pod),
        &json!([
            {"name": "bootlace", "mountPath": "/bootlace", "readOnly": true},
            {"name": "bootlace", "mountPath": "/data/in", "subPath": "assets", "readOnly": true},
            {"name": "bootlace-data", "mountPath": "/data"},
        ])
    );
    let volumes = pod.pointer("/spec/volumes").unwrap().as_array().unwrap();
    assert!(volumes.contains(&json!({"name": "bootlace-data", "emptyDir": {}})), "{volumes:?}");
    assert!(warnings.is_empty());
    let spec = pod.pointer("/spec/initContainers/0/env/0/value").unwrap().as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(spec).unwrap()["layout"], "Optimus");

    let (pod, _) = injected(&task, |profile| profile.spec.assets.mount_path = Some("/work".to_owned()));
    assert_eq!(mounts(&pod)[1]["mountPath"], "/work/in");
    assert_eq!(mounts(&pod)[2]["mountPath"], "/work");
}

/// The entrypoint of the image sources the env file at any time, so the hook cannot verify it and must not
/// fail the task.
#[test]
fn an_image_of_unknown_entrypoint_loads_its_env_itself() {
    let (pod, warnings) = injected(&json!({"name": "main", "image": "plugin"}), |_| {});
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(pod.pointer("/spec/containers/0/command"), None);
    let hook = pod.pointer("/spec/containers/0/lifecycle/postStart/exec/command").unwrap();
    assert_eq!(
        hook,
        &json!(["/bootlace/bin/launch", "hook", "--container=main", "--env=sourced", "--timeout=30"])
    );
    let mark = pod.pointer("/metadata/annotations/bootlace.dev~1injected").unwrap().as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(mark).unwrap()["envMode"], "sourced");

    let launch = |profile: &mut Profile| profile.spec.env.mode = EnvMode::Launch;
    assert!(matches!(admit(&json!({"name": "main", "image": "plugin"}), launch), Decision::Refuse(_)));
}

#[test]
fn what_the_pod_has_in_its_place_is_named() {
    for path in ["/data", "/data/in/"] {
        let task = json!({
            "name": "main", "image": "etl", "command": ["run"],
            "volumeMounts": [{"name": "own", "mountPath": path}],
        });
        let Decision::Refuse(refusal) = admit(&task, |_| {}) else { panic!("{path} was not refused") };
        assert_eq!(refusal.message_code, Code::MountConflict, "{refusal}");
        assert!(refusal.message.contains(&format!("\"own\" at {path}")), "{refusal}");
    }
}
