//! Init containers of the pod after boot: all of them get the files, and those that the pod names are tasks.

use bootlace_core::admission::{self, Decision};
use bootlace_core::injected_config::StoreEndpoint;
use bootlace_core::names;
use bootlace_core::plan::{BootSpec, InjectedAnnotation, InstallationSettings, PreparedProfiles, Version};
use bootlace_core::profile::env::EnvMode;
use bootlace_core::profile::spec::Position;
use bootlace_core::profile::{Inline, Profile, Source};
use serde_json::{Value, json};

/// One variable and one file, before the init containers of the pod.
fn profile() -> Profile {
    let mut profile = Profile { name: "first".to_owned(), ..Profile::default() };
    let inline = Inline {
        env: [("DB_URL".to_owned(), "postgres://db".to_owned())].into(),
        files: [("migrate.sql".to_owned(), "select 1;\n".to_owned())].into(),
    };
    profile.spec.sources = vec![Source { name: "s".to_owned(), inline: Some(inline), ..Source::default() }];
    profile.spec.boot.position = Position::First;
    profile.spec.env.file.keys = vec!["DB_URL".to_owned()];
    profile
}

/// A pod with the init container `migrate` and another one.
fn pod(named: Option<&str>, change: impl FnOnce(&mut Value)) -> Value {
    let mut pod = json!({
        "metadata": {"name": "etl", "labels": {names::LABEL_TASK: "first"}},
        "spec": {
            "initContainers": [
                {"name": "chown", "image": "busybox", "command": ["true"]},
                {
                    "name": "migrate", "image": "busybox", "command": ["sh", "-c", "psql $(DB_URL)"],
                    "env": [{"name": "A", "value": "1"}], "envFrom": [{"secretRef": {"name": "own"}}],
                },
            ],
            "containers": [{"name": "main", "image": "busybox", "command": ["run"]}],
        },
    });
    if let Some(named) = named {
        pod["metadata"]["annotations"] = json!({names::ANNOTATION_CONTAINERS: named});
    }
    change(&mut pod);
    pod
}

fn admit(pod: Value, profile: Profile) -> Result<(Value, Vec<String>), String> {
    let store = Some(StoreEndpoint { url: "https://store".to_owned(), ca: String::new() });
    let settings = InstallationSettings {
        store,
        kubernetes: Version::read("1", "37"),
        ..InstallationSettings::default()
    };
    let recipes = PreparedProfiles::new([profile].into_iter().collect(), &settings).unwrap();
    let origin = bootlace_core::plan::AdmissionContext { namespace: "etl", uid: Some("u-1") };
    match admission::admit(pod, origin, &recipes) {
        Decision::Inject(injection) => Ok((injection.pod, injection.warnings)),
        Decision::Refuse(refusal) => Err(refusal.to_string()),
        Decision::Skip(skip) => panic!("skipped: {skip}"),
        Decision::Reorder(_) => panic!("reordered"),
    }
}

fn injected(pod: Value, change: impl FnOnce(&mut Profile)) -> Value {
    let mut profile = profile();
    change(&mut profile);
    let (pod, warnings) = admit(pod, profile).unwrap();
    assert_eq!(warnings, [] as [&str; 0]);
    pod
}

fn container<'p>(pod: &'p Value, name: &str) -> &'p Value {
    let lists = ["initContainers", "containers"].map(|list| pod["spec"][list].as_array().unwrap());
    lists.into_iter().flatten().find(|container| container["name"] == name).unwrap()
}

fn mark(pod: &Value) -> InjectedAnnotation {
    serde_json::from_str(pod["metadata"]["annotations"][names::ANNOTATION_INJECTED].as_str().unwrap())
        .unwrap()
}

fn files() -> Value {
    json!({"name": "bootlace", "mountPath": "/var/assets", "subPath": "assets", "readOnly": true})
}

#[test]
fn all_of_them_see_the_files_and_none_of_the_env() {
    let injected = injected(pod(None, |_| {}), |_| {});
    let order: Vec<_> =
        injected["spec"]["initContainers"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
    assert_eq!(order, ["bootlace-boot", "chown", "migrate"]);
    for (index, name) in [(0, "chown"), (1, "migrate")] {
        let mut expected = pod(None, |_| {})["spec"]["initContainers"][index].clone();
        expected["volumeMounts"] = json!([files()]);
        assert_eq!(container(&injected, name), &expected);
    }
    assert_eq!(mark(&injected).containers, ["main"]);
    // With position Last, they run before boot.
    let (last, _) = admit(pod(None, |_| {}), {
        let mut profile = profile();
        profile.spec.boot.position = Position::Last;
        profile
    })
    .unwrap();
    assert_eq!(container(&last, "chown"), &pod(None, |_| {})["spec"]["initContainers"][0]);
}

#[test]
fn one_that_is_named_is_started_by_the_launcher_without_a_hook() {
    let injected = injected(pod(Some("main, migrate"), |_| {}), |_| {});
    let migrate = container(&injected, "migrate");
    let command = ["/bootlace/bin/launch", "exec", "--container=migrate", "--", "sh", "-c", "psql $(DB_URL)"];
    assert_eq!(migrate["command"], json!(command));
    assert_eq!(
        migrate["volumeMounts"],
        json!([{"name": "bootlace", "mountPath": "/bootlace", "readOnly": true}, files()])
    );
    assert_eq!(migrate.get("lifecycle"), None);
    assert_eq!(container(&injected, "chown")["volumeMounts"], json!([files()]));
    assert!(container(&injected, "main").get("lifecycle").is_some());

    let mark = mark(&injected);
    assert_eq!(
        (&*mark.containers, mark.position),
        (&["main".to_owned(), "migrate".to_owned()][..], Position::First)
    );
    let boot = container(&injected, "bootlace-boot");
    let spec: BootSpec = serde_json::from_str(boot["env"][0]["value"].as_str().unwrap()).unwrap();
    assert_eq!(spec.references["migrate"][0].0, "argument:2");
    assert_eq!(spec.env_from_prefixes["migrate"], "BOOTLACE_HELD_INIT_1_");
    let held = json!({"prefix": "BOOTLACE_HELD_INIT_1_", "secretRef": {"name": "own", "optional": true}});
    assert_eq!(boot["envFrom"], json!([held]));
    assert!(spec.keep.contains_key("migrate") && !spec.keep.contains_key("chown"));
}

#[test]
fn a_native_sidecar_that_is_named_has_the_hook_too() {
    let sidecar = |pod: &mut Value| pod["spec"]["initContainers"][1]["restartPolicy"] = json!("Always");
    let injected = injected(pod(Some("migrate"), sidecar), |_| {});
    let hook = &container(&injected, "migrate")["lifecycle"]["postStart"]["exec"]["command"];
    assert_eq!(hook[1], "hook");
    assert_eq!(container(&injected, "main"), &pod(None, |_| {})["spec"]["containers"][0], "main is no task");
}

#[test]
fn without_a_known_command_the_env_comes_by_a_secret_or_a_file() {
    let no_command = |pod: &mut Value| {
        pod["spec"]["initContainers"][1].as_object_mut().unwrap().remove("command");
    };
    let (secret, warnings) = admit(pod(Some("migrate"), no_command), profile()).unwrap();
    assert!(warnings[0].contains("\"migrate\" has no command"), "{warnings:?}");
    let name = mark(&secret).env_secret.unwrap();
    let env_from = &container(&secret, "migrate")["envFrom"];
    assert_eq!(env_from, &json!([{"secretRef": {"name": name}}, {"secretRef": {"name": "own"}}]));

    let file = injected(pod(Some("migrate"), no_command), |profile| profile.spec.env.mode = EnvMode::File);
    let from = &container(&file, "migrate")["env"][0]["valueFrom"]["fileKeyRef"];
    assert_eq!(from["path"], "env/file/migrate");
}

/// A pod, a change to its profile, and details of the message.
type Refused = (Value, fn(&mut Profile), &'static [&'static str]);

#[test]
fn what_would_take_a_hook_or_come_too_late_is_refused() {
    let outputs = |pod: &mut Value| {
        let annotations = pod["metadata"]["annotations"].as_object_mut().unwrap();
        let out = "- {key: Report, file: /out/r.json, kind: ConfigMap, container: migrate}";
        annotations.insert(names::ANNOTATION_PIPE_OUT.to_owned(), json!(out));
        annotations.insert(names::ANNOTATION_RUN.to_owned(), json!("r1"));
    };
    let unknown = |pod: &mut Value| {
        pod["metadata"]["annotations"] = json!({names::ANNOTATION_CONTAINERS: "mian"});
    };
    let last = |profile: &mut Profile| profile.spec.boot.position = Position::Last;
    let hook = |profile: &mut Profile| profile.spec.env.mode = EnvMode::Hook;
    let cases: [Refused; 4] = [
        (
            pod(Some("migrate,main"), |_| {}),
            last,
            &["\"migrate\"", "BootProfile \"first\"", "boot.position to First", "(\"main\")", "[BL1204]"],
        ),
        (
            pod(Some("migrate"), |_| {}),
            hook,
            &["init container \"migrate\"", "env.mode of BootProfile \"first\" is Hook", "[BL1303]"],
        ),
        (
            pod(Some("migrate,main"), outputs),
            |_| {},
            &["output \"Report\"", "init container \"migrate\"", "[BL1605]"],
        ),
        (pod(None, unknown), |_| {}, &["\"mian\"", "\"main\", \"chown\", \"migrate\"", "[BL1203]"]),
    ];
    for (pod, change, parts) in cases {
        let mut profile = profile();
        change(&mut profile);
        let refused = admit(pod, profile).unwrap_err();
        for part in parts {
            assert!(refused.contains(part), "{part:?} is not in {refused:?}");
        }
    }
    // Without a store nothing delivers the env, and nothing fails the container without it.
    let no_command = pod(Some("migrate"), |pod| {
        pod["spec"]["initContainers"][1].as_object_mut().unwrap().remove("command");
    });
    let recipes =
        PreparedProfiles::new([profile()].into_iter().collect(), &InstallationSettings::default()).unwrap();
    let Decision::Refuse(refusal) = admission::admit(no_command, "etl", &recipes) else {
        panic!("it is not refused")
    };
    assert!(refusal.to_string().contains("init container \"migrate\" has no command"), "{refusal}");
}

/// Awaited outputs exist before boot, and so before all of them.
#[test]
fn a_named_init_container_can_have_inputs() {
    let pod = pod(Some("migrate,main"), |pod| {
        let annotations = pod["metadata"]["annotations"].as_object_mut().unwrap();
        annotations.insert(names::ANNOTATION_RUN.to_owned(), json!("r1"));
        let input =
            "- {key: Cert, mountPath: /etc/tls, wait: 300, kind: Secret, task: gencert, container: migrate}";
        annotations.insert(names::ANNOTATION_PIPE_IN.to_owned(), json!(input));
    });
    let store = Some(StoreEndpoint { url: "https://store".to_owned(), ca: String::new() });
    let settings = InstallationSettings {
        store,
        kubernetes: Version::read("1", "37"),
        ..InstallationSettings::default()
    };
    let recipes = PreparedProfiles::new([profile()].into_iter().collect(), &settings).unwrap();
    let run = bootlace_core::identity::Identity {
        scheduler: Some("annotation".to_owned()),
        run: Some("r1".to_owned()),
        ..Default::default()
    };
    let mut pipes = bootlace_core::input::PipeAnswers::default();
    pipes.add(run, Ok(Vec::new()));
    let found = admission::LookupResults { pipes: Some(pipes), ..Default::default() };
    let Ok(Decision::Inject(injection)) = admission::admit_with(pod, "etl", &recipes, &found) else {
        panic!("it is a task");
    };
    let injected = injection.pod;
    let order: Vec<_> =
        injected["spec"]["initContainers"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
    assert_eq!(order, ["bootlace-wait", "bootlace-look", "bootlace-boot", "chown", "migrate"]);
    let input = json!({"name": "bootlace-pipe-0", "mountPath": "/etc/tls", "readOnly": true});
    assert!(container(&injected, "migrate")["volumeMounts"].as_array().unwrap().contains(&input));
    assert!(!container(&injected, "main")["volumeMounts"].as_array().unwrap().contains(&input));
}
