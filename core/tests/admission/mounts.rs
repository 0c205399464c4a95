//! Mounts of the pod and of Bootlace: a conflict is refused with a message that names both mounts.

use bootlace_core::admission::{self, Decision};
use bootlace_core::names;
use bootlace_core::plan::{InstallationSettings, PreparedProfiles};
use bootlace_core::profile::Profile;
use bootlace_core::profile::spec::{Layout, Position};
use serde_json::{Value, json};

fn admit(spec: &Value, change: impl FnOnce(&mut Profile)) -> Result<(Value, Vec<String>), String> {
    let mut profile = Profile { name: "default".to_owned(), ..Profile::default() };
    change(&mut profile);
    let recipes =
        PreparedProfiles::new([profile].into_iter().collect(), &InstallationSettings::default()).unwrap();
    let pod = json!({
        "metadata": {"name": "etl", "labels": {names::LABEL_TASK: "true"}}, "spec": spec,
    });
    match admission::admit(pod, "etl", &recipes) {
        Decision::Inject(injection) => Ok((injection.pod, injection.warnings)),
        Decision::Refuse(refusal) => Err(refusal.to_string()),
        Decision::Skip(skip) => panic!("skipped: {skip}"),
        Decision::Reorder(_) => panic!("reordered"),
    }
}

fn pod(volume: &Value, mount: &Value) -> Value {
    let mut volume = volume.clone();
    volume["name"] = json!("own");
    let mut mount = mount.clone();
    mount["name"] = json!("own");
    json!({
        "volumes": [volume],
        "containers": [{"name": "main", "image": "etl", "command": ["run"], "volumeMounts": [mount]}],
    })
}

#[test]
fn a_mount_of_the_pods_below_the_files_is_refused_and_beside_them_taken() {
    let own = |path: &str| pod(&json!({"emptyDir": {}}), &json!({"mountPath": path}));
    let refused = admit(&own("/var/assets/cache"), |_| {}).unwrap_err();
    for detail in [
        "pod etl: container \"main\"",
        "\"own\" at /var/assets/cache",
        "\"bootlace\" at /var/assets",
        "assets.mountPath in BootProfile \"default\"",
        "[BL1207]",
    ] {
        assert!(refused.contains(detail), "{refused}");
    }
    for path in ["/var", "/var/cache", "/var/assets2"] {
        assert!(admit(&own(path), |_| {}).unwrap().1.is_empty(), "{path}");
    }
    let optimus = |profile: &mut Profile| profile.spec.assets.layout = Layout::Optimus;
    assert!(admit(&own("/data/out"), optimus).unwrap().1.is_empty());
    assert!(admit(&own("/data/in/out"), optimus).unwrap_err().ends_with("[BL1207]"));
}

#[test]
fn the_files_below_a_mount_of_the_pods_take_one_that_can_be_written() {
    let at =
        |profile: &mut Profile| profile.spec.assets.mount_path = Some("/opt/airflow/dags/assets".to_owned());
    let claim = json!({"persistentVolumeClaim": {"claimName": "dags"}});
    let dags = |read_only: bool| json!({"mountPath": "/opt/airflow/dags/", "readOnly": read_only});
    let refused = admit(&pod(&claim, &dags(true)), at).unwrap_err();
    let both = "\"bootlace\" at /opt/airflow/dags/assets below volume \"own\" at /opt/airflow/dags/, which is read-only";
    assert!(refused.contains(both), "{refused}");
    let (_, warnings) = admit(&pod(&claim, &dags(false)), at).unwrap();
    assert!(warnings[0].contains("creates that folder in volume \"own\""), "{warnings:?}");
    assert!(admit(&pod(&json!({"emptyDir": {}}), &dags(false)), at).unwrap().1.is_empty());
    // The kubelet mounts it read-only, whatever the mount specifies.
    admit(&pod(&json!({"configMap": {"name": "dags"}}), &dags(false)), at).unwrap_err();
}

/// These volumes contain the token of the pod and files that only boot may write.
#[test]
fn a_pod_cannot_mount_a_volume_of_bootlace_in_advance() {
    let spec = |list: &str, field: &str, mount: &Value| {
        let mut spec = json!({"containers": [{"name": "main", "image": "etl", "command": ["run"]}]});
        spec[list] = match list {
            "containers" => json!([
                {"name": "main", "image": "etl", "command": ["run"]}, {"name": "side", "image": "etl", field: [mount]},
            ]),
            _ => json!([{"name": "side", "image": "etl", "restartPolicy": "Always", field: [mount]}]),
        };
        spec
    };
    for volume in
        ["bootlace", "bootlace-store", "bootlace-source-0", "bootlace-out", "bootlace-run", "bootlace-pipe-0"]
    {
        for list in ["containers", "initContainers"] {
            let mount = json!({"name": volume, "mountPath": "/own", "readOnly": true});
            let device = json!({"name": volume, "devicePath": "/dev/own"});
            for (field, mount) in [("volumeMounts", mount), ("volumeDevices", device)] {
                let refused = admit(&spec(list, field, &mount), |_| {}).unwrap_err();
                let detail = format!("container \"side\" mounts volume {volume:?} at ");
                assert!(refused.contains(&detail) && refused.ends_with("[BL1208]"), "{refused}");
            }
        }
    }
    // A volume of the pod with a similar name is allowed.
    let mut own = spec("containers", "volumeMounts", &json!({"name": "bootlace-cache", "mountPath": "/own"}));
    own["volumes"] = json!([{"name": "bootlace-cache", "emptyDir": {}}]);
    admit(&own, |_| {}).unwrap();
}

#[test]
fn launcher_and_env_cannot_be_hidden() {
    for path in ["/bootlace/bin", "/bootlace/env/", "/bootlace//bin/launch", "/bootlace"] {
        let spec = pod(&json!({"emptyDir": {}}), &json!({"mountPath": path}));
        let refused = admit(&spec, |_| {}).unwrap_err();
        assert!(refused.contains(&format!("\"own\" at {path}")), "{refused}");
        assert!(
            refused.ends_with(": mount volume \"own\" elsewhere [BL1207]") || path == "/bootlace",
            "{refused}"
        );
    }
}

/// An init container that is not a task does not get the files if it has a conflicting mount: it also worked
/// without them before.
#[test]
fn an_init_container_with_a_mount_at_their_path_has_no_files() {
    let mut spec = pod(&json!({"emptyDir": {}}), &json!({"mountPath": "/own"}));
    spec["initContainers"] = json!([
        {"name": "cache", "image": "etl", "volumeMounts": [{"name": "own", "mountPath": "/var/assets/cache"}]},
        {"name": "bare", "image": "etl"},
    ]);
    let (pod, warnings) = admit(&spec, |profile| profile.spec.boot.position = Position::First).unwrap();
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(
        warning.contains("init container \"cache\"") && warning.contains("\"own\" at /var/assets/cache"),
        "{warning}"
    );
    assert_eq!(pod["spec"]["initContainers"][1]["volumeMounts"].as_array().unwrap().len(), 1);
    assert_eq!(
        pod["spec"]["initContainers"][2]["volumeMounts"],
        json!([{"name": "bootlace", "mountPath": "/var/assets", "subPath": "assets", "readOnly": true}])
    );
}

#[test]
fn the_worst_pods_mounts_are_checked_in_no_time() {
    let mounts: Vec<_> = (0..20_000)
        .map(|n| json!({"name": "bootlace-x", "mountPath": format!("/a/{}", "b/".repeat(n % 50)) + &n.to_string()}))
        .collect();
    let volumes = json!([{"name": "bootlace-x", "emptyDir": {}}]);
    let spec = json!({"volumes": volumes, "containers": [
        {"name": "main", "image": "etl", "command": ["run"], "volumeMounts": mounts},
    ]});
    admit(&spec, |_| {}).unwrap();
}
