//! Boot images that pods select.

use bootlace_core::admission::{self, Decision, Injection};
use bootlace_core::code::Code;
use bootlace_core::names;
use bootlace_core::plan::{InstallationSettings, PreparedProfiles};
use bootlace_core::profile::init_image::{InitImage, OwnSources};
use bootlace_core::profile::spec::Position;
use bootlace_core::profile::{ContainerResources, Profile};
use bootlace_core::review::Refusal;
use insta::assert_json_snapshot;
use serde_json::{Value, json};

use crate::{INIT_IMAGE, init_container, init_containers, inject, profile};

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn task(image: &str) -> Value {
    json!({
        "metadata": {
            "name": "etl", "labels": {names::LABEL_TASK: "true"},
            "annotations": {names::ANNOTATION_INIT_IMAGE: image},
        },
        "spec": {"containers": [{"name": "main", "image": "etl", "command": ["run"], "env": [{"name": "OWN", "value": "x"}]}]},
    })
}

/// With the profile of the other tests and a changed `initImage`.
fn decide(pod: Value, change: impl FnOnce(&mut Profile)) -> Decision {
    let mut profile = profile(Position::Last);
    change(&mut profile);
    let recipes =
        PreparedProfiles::new([profile].into_iter().collect(), &InstallationSettings::default()).unwrap();
    admission::admit(pod, "etl", &recipes)
}

fn refusal(decision: Decision) -> Refusal {
    match decision {
        Decision::Refuse(refusal) => refusal,
        Decision::Skip(skip) => panic!("skipped: {skip}"),
        Decision::Reorder(_) => panic!("reordered"),
        Decision::Inject(_) => panic!("injected"),
    }
}

fn injection(decision: Decision) -> Injection {
    match decision {
        Decision::Inject(injection) => *injection,
        Decision::Skip(skip) => panic!("skipped: {skip}"),
        Decision::Reorder(_) => panic!("reordered"),
        Decision::Refuse(refusal) => panic!("refused: {refusal}"),
    }
}

fn settings(profile: &mut Profile) -> &mut InitImage {
    profile.spec.boot.init_image.as_mut().unwrap()
}

#[test]
fn a_pod_with_a_custom_boot_image() {
    let injected = inject(&task(INIT_IMAGE), Position::Last).pod;
    assert_json_snapshot!(injected);
}

#[test]
fn what_is_not_allowed_is_refused_with_the_list() {
    let refused = refusal(decide(task("evil.example/data/boot"), |profile| {
        let mut pinned = settings(profile).allow[0].clone();
        (pinned.registry, pinned.digest_only) = ("localhost:5000".to_owned(), true);
        settings(profile).allow.push(pinned);
    }));
    // Final: the pod is not allowed until it or its profile changes.
    assert_eq!((refused.code, refused.reason), (422, "Invalid"));
    assert_eq!(refused.message_code, Code::InitImageNotAllowed);
    for detail in [
        "\"evil.example/data/boot:latest\"",
        "\"r.example.com/data/*\"",
        "\"localhost:5000/data/* (by digest only)\"",
    ] {
        assert!(refused.message.contains(detail), "{refused}");
    }
    assert_eq!(refused.profile.as_deref(), Some("default"));

    for image in [
        "boot",
        "data/boot",
        "r.example.com.evil/data/boot",
        "r.example.com:443/data/boot",
        "r.example.com/data/boot/deeper",
        "evil.example/r.example.com/data/boot",
    ] {
        let refused = refusal(decide(task(image), |_| {}));
        assert_eq!(refused.message_code, Code::InitImageNotAllowed, "{refused}");
    }
}

#[test]
fn what_is_no_image_is_refused_as_such() {
    for (image, code) in [
        ("", Code::InitImageEmpty),
        ("r.example.com@evil.example/data/boot", Code::InitImageInvalid),
        ("r.example.com/data/../boot", Code::InitImageInvalid),
        ("R.example.com/data/boot", Code::InitImageInvalid),
    ] {
        let refused = refusal(decide(task(image), |_| {}));
        assert_eq!((refused.code, refused.reason), (422, "Invalid"), "{refused}");
        assert_eq!(refused.message_code, code, "{refused}");
        assert!(refused.message.contains("annotation bootlace.dev/init-image"), "{refused}");
    }
}

#[test]
fn a_profile_without_a_list_allows_none() {
    let remedy = "add the image to boot.initImage.allow";
    let refused = refusal(decide(task(INIT_IMAGE), |profile| profile.spec.boot.init_image = None));
    assert!(refused.message.contains(remedy) && refused.code == 422, "{refused}");
    let refused = refusal(decide(task(INIT_IMAGE), |profile| self::settings(profile).allow.clear()));
    assert!(refused.message.contains(remedy) && refused.code == 422, "{refused}");
}

#[test]
fn a_digest_can_be_asked_for() {
    let digest_only = |profile: &mut Profile| settings(profile).allow[0].digest_only = true;
    let refused = refusal(decide(task("r.example.com/data/boot:1"), digest_only));
    assert_eq!(refused.message_code, Code::InitImageNotAllowed, "{refused}");
    let pinned = format!("r.example.com/data/boot:1@{DIGEST}");
    let pod = injection(decide(task(&pinned), digest_only)).pod;
    assert_eq!(init_container(&pod, names::CONTAINER_INIT)["image"], pinned);
}

#[test]
fn without_the_annotation_nothing_is_different() {
    let mut pod = task(INIT_IMAGE);
    pod["metadata"].as_object_mut().unwrap().remove("annotations");
    let with_list = injection(decide(pod.clone(), |_| {})).pod;
    let without = injection(decide(pod, |profile| profile.spec.boot.init_image = None)).pod;
    assert_eq!(with_list, without);
}

/// All other containers run the Bootlace image, and the container of the boot image can only write to its own
/// folder.
#[test]
fn the_launcher_never_comes_from_the_image() {
    let pod = inject(&task(INIT_IMAGE), Position::Last).pod;
    let default = InstallationSettings::default().boot_image;
    assert_eq!(init_container(&pod, names::CONTAINER_INSTALL)["image"], default);
    assert_eq!(init_container(&pod, names::CONTAINER_BOOT)["image"], default);
    let init = init_container(&pod, names::CONTAINER_INIT);
    assert_eq!(init["command"][0], "/bootlace/bin/launch");
    let writable: Vec<_> = init["volumeMounts"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|mount| mount["readOnly"] != true)
        .map(|mount| &mount["name"])
        .collect();
    assert_eq!(writable, [names::VOLUME_OUT]);
}

#[test]
fn an_image_can_replace_the_sources_of_the_profile() {
    let pod =
        injection(decide(task(INIT_IMAGE), |profile| settings(profile).sources = OwnSources::Replace)).pod;
    let volumes: Vec<_> = pod["spec"]["volumes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|volume| volume["name"].as_str().unwrap())
        .collect();
    assert_eq!(volumes, [names::VOLUME, names::VOLUME_OUT]);
    let boot = init_container(&pod, names::CONTAINER_BOOT);
    let spec: Value = serde_json::from_str(boot["env"][0]["value"].as_str().unwrap()).unwrap();
    let sources: Vec<_> = spec["sources"].as_array().unwrap().iter().map(|source| &source["name"]).collect();
    assert_eq!(sources, ["init-image"]);
    assert_eq!(boot["volumeMounts"].as_array().unwrap().len(), 2);
    // The image can provide any name, so boot needs the names of all variables that the pod sets.
    assert_eq!(spec["keep"]["main"], json!(["OWN"]));
}

/// A template that cannot be rendered for the pod only matters if its source is fetched.
#[test]
fn templates_of_sources_that_are_not_fetched_refuse_nothing() {
    let with_template = |profile: &mut Profile| {
        let env = [("TEAM".to_owned(), "{{ labels.team }}".to_owned())].into();
        profile.spec.sources[0].inline.as_mut().unwrap().env = env;
    };
    assert!(refusal(decide(task(INIT_IMAGE), with_template)).message.contains("team"));
    injection(decide(task(INIT_IMAGE), |profile| {
        with_template(profile);
        settings(profile).sources = OwnSources::Replace;
    }));
}

#[test]
fn a_guaranteed_pod_stays_guaranteed() {
    let resources =
        json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}});
    let mut guaranteed = task(INIT_IMAGE);
    guaranteed["spec"]["containers"][0]["resources"] = resources;
    let own = |profile: &mut Profile| {
        let quantities =
            |memory: &str| [("cpu", "100m"), ("memory", memory)].map(|(k, v)| (k.to_owned(), v.to_owned()));
        let resources =
            ContainerResources { requests: quantities("1Mi").into(), limits: quantities("512Mi").into() };
        settings(profile).resources = Some(resources);
    };
    let pod = injection(decide(guaranteed, own)).pod;
    for container in init_containers(&pod) {
        assert_eq!(container["resources"]["requests"], container["resources"]["limits"], "{container}");
    }
    assert_eq!(init_container(&pod, names::CONTAINER_INIT)["resources"]["limits"]["memory"], "512Mi");
    let pod = injection(decide(task(INIT_IMAGE), own)).pod;
    assert_eq!(init_container(&pod, names::CONTAINER_INIT)["resources"]["requests"]["memory"], "1Mi");
}

/// The identity of the task comes from the untrusted pod, and the kubelet would expand `$(NAME)` in it.
#[test]
fn the_env_of_the_boot_image_is_literal() {
    let mut pod = task(INIT_IMAGE);
    pod["metadata"]["labels"]["kubernetes_executor"] = json!("True");
    for (name, value) in [("dag_id", "$(HOME) $$5"), ("run_id", "a\0b"), ("task_id", "x")] {
        pod["metadata"]["annotations"][name] = json!(value);
    }
    let pod = injection(decide(pod, |_| {})).pod;
    let env = init_container(&pod, names::CONTAINER_INIT)["env"].as_array().unwrap();
    let value =
        |name: &str| env.iter().find(|variable| variable["name"] == name).map(|variable| &variable["value"]);
    assert_eq!(value(names::ENV_WORKFLOW), Some(&json!("$$(HOME) $$$$5")));
    assert_eq!(value(names::ENV_RUN), None);
    assert_eq!(value(names::ENV_TASK), Some(&json!("x")));
}

#[test]
fn secrets_are_mounted_into_the_image_alone() {
    let pod =
        injection(decide(task(INIT_IMAGE), |profile| settings(profile).secrets = vec!["assets".to_owned()]))
            .pod;
    let secret = json!({"name": "bootlace-secret-0", "secret": {"secretName": "assets", "optional": true}});
    assert!(pod["spec"]["volumes"].as_array().unwrap().contains(&secret));
    let mount =
        json!({"name": "bootlace-secret-0", "mountPath": "/bootlace-secrets/assets", "readOnly": true});
    for container in init_containers(&pod) {
        let mounts = container["volumeMounts"].as_array().unwrap().contains(&mount);
        assert_eq!(mounts, container["name"] == names::CONTAINER_INIT, "{container}");
    }
}

#[test]
fn bootlaces_own_names_are_refused_in_every_pod() {
    for (field, value, name) in [
        ("initContainers", json!([{"name": "bootlace-init"}]), "bootlace-init"),
        ("initContainers", json!([{"name": "bootlace-install"}]), "bootlace-install"),
        ("volumes", json!([{"name": "bootlace-out"}]), "bootlace-out"),
        ("volumes", json!([{"name": "bootlace-secret-0"}]), "bootlace-secret-0"),
    ] {
        let mut pod = task(INIT_IMAGE);
        pod["spec"][field] = value;
        let refused = refusal(decide(pod, |_| {}));
        assert!(refused.message.contains(name) && refused.message.contains("rename it"), "{refused}");
    }
}
