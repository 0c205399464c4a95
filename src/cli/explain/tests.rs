use std::path::Path;

use serde_json::{Value, json};

use super::*;
use bootlace_core::admission::LookupResults;
use bootlace_core::injected_config::StoreEndpoint;
use bootlace_core::plan::{AdmissionContext, InstallationSettings, Version};
use bootlace_core::profile::init_image::{AllowedImage, InitImage};
use bootlace_core::profile::{Profile, Profiles};

fn recipes() -> PreparedProfiles {
    let mut profile = Profile { name: "default".to_owned(), ..Profile::default() };
    let (registry, repository) = ("r.example.com".to_owned(), "data/*".to_owned());
    let allow = vec![AllowedImage { registry, repository, digest_only: false }];
    profile.spec.boot.init_image = Some(InitImage { allow, ..InitImage::default() });
    PreparedProfiles::new(Profiles::from_iter([profile]), &InstallationSettings::default()).unwrap()
}

const ORIGIN: AdmissionContext<'_> = AdmissionContext { namespace: "etl", uid: Some("u-1") };

/// Explains a pod from its plan, and checks that the injected pod has the same explanation. `None` if the pod
/// is not injected.
fn explained_if_injected(pod: &Value, recipes: &PreparedProfiles, found: &LookupResults) -> Option<String> {
    let schedulers = recipes.schedulers();
    let view = |plan: &Plan<'_>, pod: &Pod<'_>| Explanation::of_plan(plan, pod, schedulers);
    let Ok(Decision::Inject(preview)) = admission::preview_with(pod, ORIGIN, recipes, found, view) else {
        return None;
    };
    let preview = *preview;
    let injected = injected_with(pod, recipes, found);
    assert_eq!(preview.pod, Explanation::of_pod(&injected, schedulers).unwrap(), "{injected:#}");
    let (unresolved, warnings) = (preview.unresolved, preview.warnings);
    Some(render::describe(&Explanation { unresolved, warnings, ..preview.pod }))
}

fn explained_with(pod: &Value, recipes: &PreparedProfiles, found: &LookupResults) -> String {
    explained_if_injected(pod, recipes, found).expect("not a task")
}

fn injected_with(pod: &Value, recipes: &PreparedProfiles, found: &LookupResults) -> Value {
    match admission::admit_with(pod.clone(), ORIGIN, recipes, found) {
        Ok(Decision::Inject(injection)) => injection.pod,
        _ => panic!("not a task"),
    }
}

/// The output of the command for a pod.
fn output(mut pod: Value, recipes: &PreparedProfiles) -> String {
    let (place, namespace) = ("pod etl".to_owned(), "etl".to_owned());
    let found = PodInManifest { place, namespace, template_of: None, pod: &mut pod };
    let decision = preview(&found, recipes);
    explain(&found, decision, recipes.schedulers()).unwrap()
}

/// Pods that real schedulers created, each with profiles that use every kind of delivery.
#[test]
fn an_injected_pod_is_explained_like_its_plan() {
    let sources = json!([
        {"name": "a", "inline": {"env": {"A": "$x"}, "files": {"a.txt": "{{ namespace }}"}}},
        {"name": "b", "configMap": {"name": "b", "into": "Env"}},
        {"name": "c", "http": {"url": "https://c", "file": "c", "client": {"proxy": "http://proxy:3128"}}},
        {"name": "d", "context": {"openTelemetry": {}, "openLineage": {"namespace": "prod"}}},
        {"name": "e", "volume": {"csi": {"driver": "a.b"}, "exclude": ["tmp"], "path": "{{ namespace }}"}},
        {"name": "f", "vault": {
            "address": "https://f", "auth": {"role": "{{ namespace }}", "token": {"audience": "f"}},
            "secrets": [{"mount": "secret", "path": "f", "into": "Env", "prefix": "F_"}],
        }},
    ]);
    let outputs = json!([{"key": "Report", "file": "/out/r.json", "kind": "Secret", "optional": true}]);
    let hooks = json!({
        "preLaunch": [{"name": "warm", "exec": ["warm"]}], "preKill": [{"name": "drain", "exec": ["drain"]}],
        "postLaunch": [{"name": "check", "exec": ["check", "--", "-v"]}],
    });
    let profiles = [
        json!({}),
        json!({"sources": sources, "boot": {"position": "First"}, "hooks": hooks}),
        json!({"sources": sources, "hook": {"when": "Auto"}, "pipes": {"outputs": outputs}}),
        json!({"sources": sources, "hook": {"when": "Auto"}, "assets": {"layout": "Optimus"}}),
        json!({"sources": sources, "env": {"mode": "Secret"}, "hook": {"when": "Never"}}),
        json!({"sources": sources, "env": {"mode": "File", "file": {"keys": ["A"]}}}),
        json!({"hook": {"when": "Auto"}, "env": {"mode": "File", "file": {"keys": ["A"]}}}),
        json!({"sources": sources, "env": {"mode": "Hook"}}),
    ];
    let folder = Path::new(env!("BOOTLACE_ROOT")).join("tests/pods");
    let mut pods = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let mut pod: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            pod["metadata"]["labels"]["bootlace.dev/task"] = json!("true");
            pods.push(pod);
        }
    }
    for profile in profiles {
        let recipes = with_store(&profile);
        let explained =
            pods.iter().filter_map(|pod| explained_if_injected(pod, &recipes, &LookupResults::default()));
        let explained = explained.count();
        // Outputs are refused in pods without a run, and in those whose commands are unknown.
        assert!(explained * 3 > pods.len(), "{explained} of {} with {profile}", pods.len());
    }
}

#[test]
fn a_custom_boot_image_is_explained_before_and_after_injection() {
    let pod = json!({
        "metadata": {
            "name": "etl", "labels": {"bootlace.dev/task": "true"},
            "annotations": {"bootlace.dev/init-image": "r.example.com/data/boot:1"},
        },
        "spec": {"containers": [{"name": "main", "command": ["run"]}]},
    });
    let injected = injected_with(&pod, &recipes(), &LookupResults::default());
    let (before, after) = (output(pod, &recipes()), output(injected, &recipes()));
    assert!(before.starts_with("pod etl is injected\n"), "{before}");
    assert!(after.starts_with("pod etl was injected before\n"), "{after}");
    for text in [before, after] {
        for part in [
            "+ init container bootlace-install  copies the launcher to the volume",
            "+ init container bootlace-init  runs the custom boot image r.example.com/data/boot:1 with a timeout of 120 s:",
            "- /bootlace-init\n",
            "+ init container bootlace-boot  runs registry.example.com/bootlace:",
            "- init-image: env and files from bootlace-init, which override those above",
        ] {
            assert!(text.contains(part), "{part:?} is not in:\n{text}");
        }
    }
}

#[test]
fn a_hook_with_an_http_get_is_explained_with_its_launcher() {
    let get = json!({"port": 8443, "path": "/up", "scheme": "HTTPS"});
    let pod = json!({
        "metadata": {"name": "etl", "labels": {"bootlace.dev/task": "true"}},
        "spec": {"containers": [{
            "name": "main", "command": ["run"], "lifecycle": {"postStart": {"httpGet": get}},
        }]},
    });
    let text = explained_with(&pod, &recipes(), &LookupResults::default());
    for part in [
        "(limit 64Mi), read-only for the task\n      - contains the launcher with TLS (1.7 MB)",
        ", then runs the postStart handler of the pod: GET https://:8443/up\n",
    ] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

/// Explains the only task container of a pod, with a profile of this spec.
fn explained(spec: &Value, container: &Value) -> String {
    let profile = Profile {
        name: "default".to_owned(),
        spec: serde_json::from_value(spec.clone()).unwrap(),
        ..Profile::default()
    };
    let recipes =
        PreparedProfiles::new([profile].into_iter().collect(), &InstallationSettings::default()).unwrap();
    let pod = json!({
        "metadata": {"name": "etl", "labels": {"bootlace.dev/task": "true"}},
        "spec": {"containers": [container]},
    });
    explained_with(&pod, &recipes, &LookupResults::default())
}

#[test]
fn each_container_is_explained_with_the_reason_for_its_hook() {
    let known = json!({"name": "main", "command": ["run"]});
    let unknown = json!({"name": "main", "image": "i"});
    let handler = json!({"exec": {"command": ["warm", "--up"]}});
    let with_handler = json!({"name": "main", "command": ["run"], "lifecycle": {"postStart": handler}});
    let sources = json!([{"name": "a", "inline": {"env": {"A": "x"}}}]);
    let with = |when: &str, more: Value| {
        let mut spec = json!({"sources": sources, "hook": {"when": when}});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        spec
    };
    let file = json!({"env": {"mode": "File", "file": {"keys": ["A"]}}});
    let verifies = "verifies within 30 s that the process has the boot env";
    for (spec, container, line) in [
        (with("Always", json!({})), &known, format!("postStart hook (hook.when is Always): {verifies}")),
        (
            with("Auto", json!({})),
            &known,
            "no postStart hook: hook.when is Auto, and the launcher starts the task only with the boot env"
                .to_owned(),
        ),
        (
            with("Auto", file),
            &known,
            format!("postStart hook (hook.when is Auto, and the env is not loaded by the launcher): {verifies}"),
        ),
        (
            with("Auto", json!({"env": {"mode": "Hook"}})),
            &known,
            "postStart hook (hook.when is Auto, and the hook writes the env): writes $HOME/.env within 30 s".to_owned(),
        ),
        (
            with("Auto", json!({})),
            &with_handler,
            format!(
                "postStart hook (hook.when is Auto, and the pod has a postStart handler): {verifies}, then runs \
                 the postStart handler of the pod: warm --up"
            ),
        ),
        (
            with("Auto", json!({"hooks": {"postLaunch": [{"name": "check", "exec": ["check"]}]}})),
            &known,
            format!(
                "postStart hook (hook.when is Auto, and the profile has hooks.postLaunch): {verifies}, then runs \
                 the postLaunch hook check"
            ),
        ),
        (
            with("Auto", json!({})),
            &unknown,
            "postStart hook (hook.when is Auto, and nothing loads the env): fails the container within 30 s if the boot \
             env is not empty, because nothing loads it"
                .to_owned(),
        ),
        (
            with("Auto", json!({"sources": []})),
            &unknown,
            "no postStart hook: hook.when is Auto, and the sources of the profile provide no env".to_owned(),
        ),
        (
            with("Auto", json!({"assets": {"layout": "Optimus"}})),
            &unknown,
            "no postStart hook: hook.when is Auto, and a hook cannot verify an env that the image loads itself".to_owned(),
        ),
        (with("Never", json!({})), &known, "no postStart hook: hook.when is Never".to_owned()),
        (
            with("Never", json!({})),
            &with_handler,
            "no postStart hook: hook.when is Never; the postStart handler of the pod is unchanged".to_owned(),
        ),
    ] {
        let text = explained(&spec, container);
        assert!(text.lines().any(|found| found == format!("      - {line}")), "{line:?} is not in:\n{text}");
    }
}

#[test]
fn a_removed_hook_is_reported() {
    let pod = json!({
        "metadata": {"name": "etl", "labels": {"bootlace.dev/task": "true"}},
        "spec": {"containers": [{"name": "main", "command": ["run"]}]},
    });
    let mut pod = injected_with(&pod, &recipes(), &LookupResults::default());
    pod["spec"]["containers"][0]["lifecycle"] = json!({});
    let text = output(pod, &recipes());
    let line = "- no postStart hook: it was removed after the injection, because hook.when is Always\n";
    assert!(text.contains(line), "{text}");
}

#[test]
fn the_env_delivery_is_explained_without_a_hook() {
    let optimus = json!({"hook": {"when": "Auto"}, "assets": {"layout": "Optimus"}});
    let text = explained(&optimus, &json!({"name": "main", "image": "plugin"}));
    assert!(text.contains("the entrypoint of the image sources .env and .secret\n"), "{text}");
    // The kubelet reads the file, and the sources of the profile provide no env.
    let file = json!({"hook": {"when": "Auto"}, "env": {"mode": "File", "file": {"keys": ["A"]}}});
    let text = explained(&file, &json!({"name": "main", "image": "i"}));
    assert!(text.contains("from a file (fileKeyRef)\n"), "{text}");
}

#[test]
fn init_containers_are_explained_as_tasks_or_by_their_mounts() {
    use bootlace_core::profile::env::EnvMode;
    use bootlace_core::profile::spec::Position;
    let mut profile = Profile { name: "default".to_owned(), ..Profile::default() };
    profile.spec.boot.position = Position::First;
    profile.spec.env.file.keys = vec!["A".to_owned()];
    let text = |profile: &Profile| {
        let recipes =
            PreparedProfiles::new([profile.clone()].into_iter().collect(), &InstallationSettings::default())
                .unwrap();
        let pod = json!({
            "metadata": {
                "name": "etl", "labels": {"bootlace.dev/task": "true"},
                "annotations": {"bootlace.dev/containers": "migrate"},
            },
            "spec": {
                "initContainers": [{"name": "chown"}, {"name": "migrate", "command": ["run"]}],
                "containers": [{"name": "main", "command": ["run"]}],
            },
        });
        explained_with(&pod, &recipes, &LookupResults::default())
    };
    let launched = text(&profile);
    for part in [
        "+ init container migrate  runs the task:\n      - mounts the boot volume at /bootlace\n      - mounts the assets at /var/assets\n",
        "- the launcher loads the boot env",
        "- no postStart hook, because init containers cannot have one: the env is not verified\n",
        "+ init container chown  is not a task, but mounts files of boot:\n      - mounts the assets at /var/assets\n",
    ] {
        assert!(launched.contains(part), "{part:?} is not in:\n{launched}");
    }
    assert!(!launched.contains("container main"), "{launched}");
    profile.spec.env.mode = EnvMode::File;
    let by_file = text(&profile);
    assert!(by_file.contains("- the kubelet reads the boot env from a file"), "{by_file}");
}

#[test]
fn a_pod_with_a_later_init_container_is_explained() {
    let pod = json!({
        "metadata": {"name": "etl", "labels": {"bootlace.dev/task": "true"}},
        "spec": {"containers": [{"name": "main", "command": ["run"]}]},
    });
    let mut pod = injected_with(&pod, &recipes(), &LookupResults::default());
    pod["spec"]["initContainers"].as_array_mut().unwrap().push(json!({"name": "mesh-proxy"}));
    let text = output(pod, &recipes());
    assert!(
        text.starts_with("pod etl was injected before; when it is created, boot is moved after mesh-proxy"),
        "{text}"
    );
}

/// A default profile with this spec, and a store.
fn with_store(spec: &Value) -> PreparedProfiles {
    let spec = serde_json::from_value(spec.clone()).unwrap();
    let profile = Profile { name: "default".to_owned(), spec, ..Profile::default() };
    let store = Some(StoreEndpoint { url: "https://store".to_owned(), ca: String::new() });
    let settings = InstallationSettings {
        store,
        kubernetes: Version::read("1", "36"),
        ..InstallationSettings::default()
    };
    PreparedProfiles::new([profile].into_iter().collect(), &settings).unwrap()
}

#[test]
fn outputs_and_inputs_are_explained() {
    let recipes = with_store(&json!({}));
    let pod = json!({
        "metadata": {
            "name": "etl", "labels": {"bootlace.dev/task": "true"},
            "annotations": {
                "bootlace.dev/run": "r1",
                "bootlace.dev/pipe-out": "- {key: Report, file: /out/r.json, kind: ConfigMap, optional: true}",
                "bootlace.dev/pipe-in": "- {key: Cert, mountPath: /etc/tls}",
            },
        },
        "spec": {"containers": [{"name": "main", "command": ["run"]}]},
    });
    let text = explained_with(&pod, &recipes, &LookupResults::default());
    for part in [
        "+ sidecar bootlace-pipe  sends the outputs of the task to the store, which keeps them for later tasks of the run",
        "for 7 d if no object",
        "- Report of container main becomes a ConfigMap, if the task writes it: the launcher passes it",
        "- mounts the volume for its outputs at /bootlace-run",
        "- the launcher loads the boot env",
        "+ pipe mountPath \"/etc/tls\" uses pipe \"Cert\" of run r1",
    ] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

#[test]
fn a_wait_is_explained() {
    let recipes = with_store(&json!({}));
    let pod = json!({
        "metadata": {
            "name": "etl", "labels": {"bootlace.dev/task": "true"},
            "annotations": {
                "bootlace.dev/run": "r1",
                "bootlace.dev/pipe-in": "- {key: Cert, mountPath: /etc/tls, wait: 300, kind: Secret, task: gencert}",
            },
        },
        "spec": {"containers": [{"name": "main", "command": ["run"]}]},
    });
    let run = bootlace_core::identity::Identity {
        scheduler: Some("annotation".to_owned()),
        run: Some("r1".to_owned()),
        ..Default::default()
    };
    let mut pipes = bootlace_core::input::PipeAnswers::default();
    pipes.add(run, Ok(Vec::new()));
    let found = LookupResults { pipes: Some(pipes), ..LookupResults::default() };
    let text = explained_with(&pod, &recipes, &found);
    for part in [
        "+ init container bootlace-wait  waits until the store has:\n      - pipe Cert by task gencert, run r1, as Secret \
         r1.gencert.cert-awaited-",
        ", with a timeout of 300 s\n  + init container bootlace-look  waits until the kubelet",
        "+ warning bootlace: pipe Cert by task gencert, run r1 is not stored yet",
    ] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}
