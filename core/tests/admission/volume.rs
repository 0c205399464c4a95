//! Sources that are volumes of Kubernetes: only the boot container mounts them.

use bootlace_core::admission::{self, Decision};
use bootlace_core::code::Code;
use bootlace_core::plan::boot_spec::{SourceKind, VolumeSpec};
use bootlace_core::plan::{BootSpec, InstallationSettings, PreparedProfiles, Version};
use bootlace_core::profile::{BootProfileSpec, Profile};
use bootlace_core::review::Refusal;
use bootlace_core::selection::SkipReason;
use serde_json::{Value, json};

fn recipes(sources: &Value, kubernetes: Option<Version>) -> PreparedProfiles {
    let spec: BootProfileSpec = serde_json::from_value(json!({"sources": sources})).unwrap();
    let profile = Profile::new("default", 1, spec).unwrap();
    let settings = InstallationSettings { kubernetes, ..InstallationSettings::default() };
    PreparedProfiles::new([profile].into_iter().collect(), &settings).unwrap()
}

fn admit(pod: Value, recipes: &PreparedProfiles) -> Result<Value, Refusal> {
    match admission::admit(pod, "etl", recipes) {
        Decision::Inject(injection) => Ok(injection.pod),
        Decision::Refuse(refusal) => Err(refusal),
        Decision::Skip(skip) => panic!("skipped: {skip}"),
        Decision::Reorder(_) => panic!("reordered"),
    }
}

fn pod(labels: &Value, volumes: &Value) -> Value {
    let mut pod = json!({
        "metadata": {"name": "load", "labels": {"bootlace.dev/task": "true"}},
        "spec": {
            "volumes": volumes,
            "containers": [{"name": "main", "command": ["true"]}, {"name": "side", "command": ["true"]}],
            "initContainers": [{"name": "setup", "image": "i"}],
        },
    });
    for (label, value) in labels.as_object().unwrap() {
        pod["metadata"]["labels"][label] = value.clone();
    }
    pod
}

/// The volume of the source at `position`, without its name.
fn volume(pod: &Value, position: usize) -> Value {
    let name = format!("bootlace-source-{position}");
    let volumes = pod["spec"]["volumes"].as_array().unwrap();
    let mut found = volumes.iter().filter(|volume| volume["name"] == json!(name));
    let mut volume = found.next().unwrap().clone();
    assert!(found.next().is_none(), "{name} exists twice");
    volume.as_object_mut().unwrap().remove("name");
    volume
}

/// The configuration of boot for the source at `position`.
fn spec(pod: &Value, position: usize) -> VolumeSpec {
    let containers = pod["spec"]["initContainers"].as_array().unwrap();
    let boot = containers.iter().find(|container| container["name"] == "bootlace-boot").unwrap();
    let spec: BootSpec<'_> = serde_json::from_str(boot["env"][0]["value"].as_str().unwrap()).unwrap();
    assert!(spec.sources[position].limits.is_some(), "a volume is always limited");
    match &spec.sources[position].from {
        SourceKind::Volume(volume) => volume.clone(),
        other => panic!("{other:?}"),
    }
}

/// One volume of each type, of which the first two depend on the pod.
fn sources() -> Value {
    json!([
        {"name": "csi", "volume": {
            "csi": {"driver": "secrets-store.csi.k8s.io", "volumeAttributes": {"secretProviderClass": "{{ labels.team }}-login"}},
            "into": "Env",
        }},
        {"name": "claim", "volume": {
            "persistentVolumeClaim": {"claimName": "data-{{ labels.team }}"}, "path": "runs/{{ labels.team }}",
        }},
        {"name": "image", "volume": {"image": {"reference": "r.example.com/models:1"}, "path": "model"}},
        {"name": "projected", "volume": {"projected": {"sources": [{"configMap": {"name": "a"}}]}}},
    ])
}

#[test]
fn only_boot_mounts_the_volumes_and_only_to_read_them() {
    let pod = admit(pod(&json!({"team": "sales"}), &json!([])), &recipes(&sources(), None)).unwrap();
    let attributes = json!({"secretProviderClass": "sales-login"});
    let csi = json!({"driver": "secrets-store.csi.k8s.io", "readOnly": true, "volumeAttributes": attributes});
    assert_eq!(volume(&pod, 0), json!({"csi": csi}));
    let claim = json!({"claimName": "data-sales", "readOnly": true});
    assert_eq!(volume(&pod, 1), json!({"persistentVolumeClaim": claim}));
    assert_eq!(volume(&pod, 2), json!({"image": {"reference": "r.example.com/models:1"}}));
    assert_eq!(volume(&pod, 3), json!({"projected": {"sources": [{"configMap": {"name": "a"}}]}}));

    let containers = ["initContainers", "containers"].map(|list| pod["spec"][list].as_array().unwrap());
    let mut mounted = Vec::new();
    for container in containers.into_iter().flatten() {
        for mount in container["volumeMounts"].as_array().into_iter().flatten() {
            if mount["name"].as_str().unwrap().starts_with("bootlace-source-") {
                assert_eq!(container["name"], "bootlace-boot");
                assert_eq!(mount["readOnly"], true, "{mount}");
                mounted.push(mount["mountPath"].as_str().unwrap());
            }
        }
    }
    mounted.sort_unstable();
    let paths: Vec<_> = (0..4).map(|position| format!("/bootlace-sources/{position}")).collect();
    assert_eq!(mounted, paths);
    for (position, path) in paths.iter().enumerate() {
        assert_eq!(spec(&pod, position).path, *path);
    }
    assert_eq!(spec(&pod, 0).title(), "CSI volume secrets-store.csi.k8s.io");
    assert_eq!(
        (spec(&pod, 1).title(), spec(&pod, 1).folder),
        ("PersistentVolumeClaim data-sales".to_owned(), "runs/sales".to_owned())
    );
    assert_eq!(spec(&pod, 2).title(), "image volume r.example.com/models:1");
    assert_eq!(spec(&pod, 3).title(), "projected volume");
}

#[test]
fn an_injected_pod_is_not_changed_again() {
    let recipes = recipes(&sources(), None);
    let injected = admit(pod(&json!({"team": "sales"}), &json!([])), &recipes).unwrap();
    match admission::admit(injected, "etl", &recipes) {
        Decision::Skip(SkipReason::AlreadyInjected) => {}
        _ => panic!("the pod was changed again"),
    }
}

#[test]
fn a_volume_of_the_pod_cannot_take_the_place_of_one() {
    for position in 0..4 {
        let taken = json!([{"name": format!("bootlace-source-{position}"), "emptyDir": {}}]);
        let refusal = admit(pod(&json!({"team": "sales"}), &taken), &recipes(&sources(), None)).unwrap_err();
        assert_eq!(refusal.message_code, Code::NameTaken, "{}", refusal.message);
    }
    // The pod can use the same claim and driver itself.
    let own = json!([
        {"name": "data", "persistentVolumeClaim": {"claimName": "data-sales"}},
        {"name": "secrets", "csi": {"driver": "secrets-store.csi.k8s.io", "readOnly": true}},
    ]);
    let pod = admit(pod(&json!({"team": "sales"}), &own), &recipes(&sources(), None)).unwrap();
    assert_eq!(pod["spec"]["volumes"][0], own[0]);
}

#[test]
fn a_task_cannot_mount_the_volume_of_boot() {
    let mut pod = pod(&json!({"team": "sales"}), &json!([]));
    pod["spec"]["containers"][0]["volumeMounts"] =
        json!([{"name": "bootlace-source-0", "mountPath": "/secrets"}]);
    let refusal = admit(pod, &recipes(&sources(), None)).unwrap_err();
    assert_eq!(refusal.message_code, Code::ReservedVolumeMounted, "{}", refusal.message);
}

#[test]
fn a_value_of_a_pod_stays_in_its_place() {
    for (team, part) in [
        ("../other", "source \"csi\", volume.csi.volumeAttributes[\"secretProviderClass\"]"),
        ("a,b=c", "can have a meaning for the driver of the volume"),
        ("..", "can have a meaning for the driver of the volume, or only dots"),
        ("a b", "can have a meaning for the driver"),
        ("\"", "can have a meaning for the driver"),
    ] {
        let refusal = admit(pod(&json!({"team": team}), &json!([])), &recipes(&sources(), None)).unwrap_err();
        assert_eq!(refusal.message_code, Code::TemplateNotRendered, "{team}: {}", refusal.message);
        assert!(refusal.message.contains(part), "{team}: {part:?} is not in {}", refusal.message);
    }
    // A valid label that is no valid name of a claim.
    let refusal =
        admit(pod(&json!({"team": "Sales_1"}), &json!([])), &recipes(&sources(), None)).unwrap_err();
    let expected = "source \"claim\", volume.persistentVolumeClaim.claimName: \"data-Sales_1\" is not the name of a PersistentVolumeClaim";
    assert!(refusal.message.contains(expected), "{}", refusal.message);
    let reference =
        json!([{"name": "image", "volume": {"image": {"reference": "r.example.com/{{ labels.team }}:1"}}}]);
    let refusal = admit(pod(&json!({"team": "a/b"}), &json!([])), &recipes(&reference, None)).unwrap_err();
    assert!(refusal.message.contains("not allowed in a tag"), "{}", refusal.message);
}

#[test]
fn an_image_volume_needs_a_version_that_has_them() {
    let pod = || pod(&json!({"team": "sales"}), &json!([]));
    let refusal = admit(pod(), &recipes(&sources(), Version::read("1", "34"))).unwrap_err();
    assert_eq!(refusal.message_code, Code::ImageVolumeTooOld, "{}", refusal.message);
    assert!(
        refusal.message.contains("source \"image\"") && refusal.message.contains("1.34"),
        "{}",
        refusal.message
    );
    for version in [Version::read("1", "35"), None] {
        admit(pod(), &recipes(&sources(), version)).unwrap();
    }
    // Other volumes exist in every version.
    let claim = json!([{"name": "claim", "volume": {"persistentVolumeClaim": {"claimName": "data"}}}]);
    admit(pod(), &recipes(&claim, Version::read("1", "30"))).unwrap();
}
