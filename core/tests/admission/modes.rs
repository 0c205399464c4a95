//! Env modes: how the mode is selected, and how it changes a container.

use bootlace_core::admission::{self, Decision, Injection, LookupResults};
use bootlace_core::code::Code;
use bootlace_core::names;
use bootlace_core::plan::{
    BootSpec, FailedLookup, ImageConfig, ImageConfigs, ImageQuery, InstallationSettings, PreparedProfiles,
    Version,
};
use bootlace_core::profile::Profile;
use serde_json::{Value, json};

/// A profile that provides `GIVEN`, with more fields.
fn recipes(more: &Value, kubernetes: Option<Version>) -> PreparedProfiles {
    let mut spec = json!({"sources": [{"name": "settings", "inline": {"env": {"GIVEN": "x"}}}]});
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    let profile =
        Profile { name: "default".to_owned(), spec: serde_json::from_value(spec).unwrap(), generation: 1 };
    let settings = InstallationSettings { kubernetes, ..InstallationSettings::default() };
    PreparedProfiles::new([profile].into_iter().collect(), &settings).unwrap()
}

fn pod(annotations: &Value, container: &Value) -> Value {
    let mut pod = json!({
        "metadata": {"name": "etl", "labels": {names::LABEL_TASK: "true"}, "annotations": annotations},
        "spec": {"containers": [{"name": "main", "image": "registry.example.com/etl/runner:2.1"}]},
    });
    for (field, value) in container.as_object().unwrap() {
        pod["spec"]["containers"][0][field] = value.clone();
    }
    pod
}

fn decide(pod: &Value, recipes: &PreparedProfiles) -> Decision {
    admission::admit(pod.clone(), "team", recipes)
}

fn inject(pod: &Value, recipes: &PreparedProfiles) -> Injection {
    match decide(pod, recipes) {
        Decision::Inject(injection) => *injection,
        Decision::Skip(skip) => panic!("skipped: {skip}"),
        Decision::Reorder(_) => panic!("reordered"),
        Decision::Refuse(refusal) => panic!("refused: {refusal}"),
    }
}

fn refuse(pod: &Value, recipes: &PreparedProfiles) -> String {
    match decide(pod, recipes) {
        Decision::Refuse(refusal) => refusal.to_string(),
        _ => panic!("not refused"),
    }
}

fn at<'a>(injection: &'a Injection, pointer: &str) -> &'a Value {
    injection.pod.pointer(pointer).unwrap_or(&Value::Null)
}

fn command(injection: &Injection) -> Vec<&str> {
    at(injection, "/spec/containers/0/command")
        .as_array()
        .unwrap()
        .iter()
        .map(|word| word.as_str().unwrap())
        .collect()
}

fn mark(injection: &Injection) -> (String, String) {
    let mark = at(injection, "/metadata/annotations/bootlace.dev~1injected").as_str().unwrap();
    let mark: Value = serde_json::from_str(mark).unwrap();
    let text = |field: &str| mark[field].as_str().unwrap().to_owned();
    (text("envMode"), text("reason"))
}

fn spec(injection: &Injection) -> BootSpec<'static> {
    let env = at(injection, "/spec/initContainers/0/env").as_array().unwrap().clone();
    BootSpec::from_env(|name| {
        let variable = env.iter().find(|variable| variable["name"] == name)?;
        variable["value"].as_str().map(str::to_owned)
    })
    .unwrap()
}

const LAUNCH: [&str; 4] = ["/bootlace/bin/launch", "exec", "--container=main", "--"];

#[test]
fn an_entrypoint_from_the_annotation_is_launched_and_its_words_are_not_expanded() {
    let recipes = recipes(&json!({}), None);
    let annotations = json!({names::ANNOTATION_ENTRYPOINT: r#"["run", "$(GIVEN)", "$$"]"#});
    let injected = inject(&pod(&annotations, &json!({"args": ["$(GIVEN)"]})), &recipes);
    assert_eq!(command(&injected), [&LAUNCH[..], &["run", "$$(GIVEN)", "$$$$"]].concat());
    assert_eq!(at(&injected, "/spec/containers/0/args"), &json!(["$(GIVEN)"]));
    assert!(injected.warnings.is_empty(), "{:?}", injected.warnings);
    let reason = "the entrypoint of its image is known from annotation bootlace.dev/entrypoint";
    assert_eq!(mark(&injected), ("launch".to_owned(), reason.to_owned()));
    let texts = &spec(&injected).references["main"];
    assert_eq!(
        texts,
        &[("argument:3".to_owned(), "$(GIVEN)".into())],
        "the fourth word that the launcher runs"
    );
}

#[test]
fn a_command_in_the_spec_overrides_the_annotation_and_the_profile() {
    let recipes = recipes(&json!({}), None);
    let annotations = json!({names::ANNOTATION_ENTRYPOINT: r#"["other"]"#});
    let injected = inject(&pod(&annotations, &json!({"command": ["run"]})), &recipes);
    assert_eq!(command(&injected), [&LAUNCH[..], &["run"]].concat());
    assert_eq!(mark(&injected).1, "its command is set in the pod");
}

#[test]
fn the_profiles_table_combines_with_the_pods_args() {
    let entry = json!({"image": "registry.example.com/etl/*", "entrypoint": ["/run"], "cmd": ["--help"]});
    let recipes = recipes(&json!({"env": {"images": [entry]}}), None);
    let injected = inject(&pod(&json!({}), &json!({})), &recipes);
    assert_eq!(command(&injected), [&LAUNCH[..], &["/run", "--help"]].concat());
    let injected = inject(&pod(&json!({}), &json!({"args": ["x"]})), &recipes);
    assert_eq!(command(&injected), [&LAUNCH[..], &["/run"]].concat());
    // For the kubelet, an empty array is the same as absent.
    let injected = inject(&pod(&json!({}), &json!({"args": [], "command": []})), &recipes);
    assert_eq!(command(&injected), [&LAUNCH[..], &["/run", "--help"]].concat());
}

fn ask(pod: &Value, recipes: &PreparedProfiles, images: &ImageConfigs) -> Result<Decision, ImageQuery> {
    let found = LookupResults { images: Some(images.clone()), ..LookupResults::default() };
    admission::admit_with(pod.clone(), "team", recipes, &found).map_err(|lookup| match *lookup {
        admission::PendingLookup::Images(lookup) => lookup,
        admission::PendingLookup::Pipes { .. } => panic!("nothing is taken from a pipe"),
    })
}

#[test]
fn a_registry_is_queried_only_for_unknown_commands() {
    let recipes = recipes(&json!({}), None);
    let mut pod = pod(&json!({}), &json!({}));
    pod["spec"]["imagePullSecrets"] = json!([{"name": "one"}, {"name": "two"}]);
    pod["spec"]["nodeSelector"] = json!({"kubernetes.io/arch": "amd64"});
    let Err(lookup) = ask(&pod, &recipes, &ImageConfigs::default()) else { panic!("nothing is asked") };
    let image = "registry.example.com/etl/runner:2.1".to_owned();
    assert_eq!(
        lookup,
        ImageQuery {
            namespace: "team".to_owned(),
            pull_secrets: vec!["one".to_owned(), "two".to_owned()],
            architecture: Some("amd64".to_owned()),
            images: [image.clone()].into(),
        }
    );

    let config = ImageConfig { entrypoint: vec!["/run".to_owned()], cmd: Vec::new() };
    let known = [(image.clone(), Ok(config))].into_iter().collect();
    let Ok(Decision::Inject(injected)) = ask(&pod, &recipes, &known) else { panic!("not injected") };
    assert_eq!(command(&injected), [&LAUNCH[..], &["/run"]].concat());
    assert_eq!(mark(&injected).1, "the entrypoint of its image is known from the registry");

    let mut failure = FailedLookup { reason: "the registry did not answer".to_owned(), is_temporary: false };
    let failed = [(image.clone(), Err(failure.clone()))].into_iter().collect();
    let Ok(Decision::Inject(injected)) = ask(&pod, &recipes, &failed) else { panic!("not injected") };
    assert!(
        injected.warnings[0].contains("has no command (the registry did not answer), so"),
        "{:?}",
        injected.warnings
    );
    let reason = "its command is unknown (the registry did not answer)".to_owned();
    assert_eq!(mark(&injected), ("none".to_owned(), reason));
    pod["metadata"]["annotations"][names::ANNOTATION_ENV_MODE] = json!("Launch");
    let Ok(Decision::Refuse(refusal)) = ask(&pod, &recipes, &failed) else { panic!("not refused") };
    assert!(
        refusal.message.contains("has no command (the registry did not answer), and annotation"),
        "{refusal}"
    );
    assert_eq!((refusal.code, refusal.retry_after_seconds), (422, None));

    failure.is_temporary = true;
    let failed = [(image, Err(failure))].into_iter().collect();
    let Ok(Decision::Refuse(refusal)) = ask(&pod, &recipes, &failed) else { panic!("not refused") };
    assert_eq!(refusal.message_code, Code::ImageLookupFailed, "{refusal}");
    assert_eq!((refusal.code, refusal.retry_after_seconds), (503, Some(1)));
}

#[test]
fn no_registry_is_asked_where_the_answer_changes_nothing() {
    let none = ImageConfigs::default();
    let without_env = json!({"sources": [{"name": "a", "inline": {"files": {"a": "x"}}}]});
    let unknown = pod(&json!({}), &json!({}));
    assert!(ask(&unknown, &recipes(&without_env, None), &none).is_ok());
    let known = pod(&json!({}), &json!({"command": ["run"]}));
    assert!(ask(&known, &recipes(&json!({}), None), &none).is_ok());
    let by_hook = pod(&json!({names::ANNOTATION_ENV_MODE: "hook"}), &json!({}));
    assert!(ask(&by_hook, &recipes(&json!({}), None), &none).is_ok());
}

#[test]
fn the_annotation_overrides_the_profiles_mode() {
    let recipes = recipes(&json!({"env": {"mode": "Launch"}}), None);
    for word in ["Hook", "hook", "HOOK"] {
        let annotations = json!({names::ANNOTATION_ENV_MODE: word});
        let injected = inject(&pod(&annotations, &json!({"command": ["run"]})), &recipes);
        assert_eq!(command(&injected), ["run"]);
        let reason = "annotation bootlace.dev/env-mode is Hook".to_owned();
        assert_eq!(mark(&injected), ("hook".to_owned(), reason));
        let hook = at(&injected, "/spec/containers/0/lifecycle/postStart/exec/command");
        assert!(hook.as_array().unwrap().contains(&json!("--env=home")), "{hook}");
    }
    let refused = refuse(&pod(&json!({names::ANNOTATION_ENV_MODE: "shell"}), &json!({})), &recipes);
    for detail in ["bootlace.dev/env-mode is \"shell\"", "Auto, Launch, Secret, File, Hook", "[BL1305]"] {
        assert!(refused.contains(detail), "{refused}");
    }
}

#[test]
fn unresolvable_references_cause_a_warning() {
    let recipes = recipes(&json!({"env": {"mode": "Hook"}}), None);
    let container = json!({"command": ["run", "$(GIVEN)", "$(OTHER)", "$$(GIVEN)"]});
    let injected = inject(&pod(&json!({}), &container), &recipes);
    assert_eq!(injected.warnings.len(), 1);
    let warning = &injected.warnings[0];
    assert!(warning.contains("$(GIVEN)") && warning.contains("$HOME/.env"), "{warning}");
    assert!(spec(&injected).references.is_empty());
}

#[test]
fn with_file_the_kubelet_is_asked_for_each_variable_before_the_pods_own() {
    let env = json!({"mode": "File", "file": {"keys": ["GIVEN", "OWN", "PERHAPS"]}});
    let recipes = recipes(&json!({"env": env}), Some(Version::FILE_KEY_REF));
    let perhaps = json!({"name": "PERHAPS", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": true}}});
    let container = json!({"env": [{"name": "OWN", "value": "$(GIVEN)"}, perhaps]});
    let injected = inject(&pod(&json!({}), &container), &recipes);
    let from = |key: &str| {
        let file = json!({"volumeName": "bootlace", "path": "env/file/main", "key": key, "optional": true});
        json!({"name": key, "valueFrom": {"fileKeyRef": file}})
    };
    let own = json!({"name": "OWN", "value": "$(GIVEN)"});
    assert_eq!(
        at(&injected, "/spec/containers/0/env"),
        &json!([from("GIVEN"), from("PERHAPS"), own, perhaps])
    );
    assert_eq!(at(&injected, "/spec/containers/0/command"), &Value::Null);
    assert!(injected.warnings.is_empty(), "{:?}", injected.warnings);
    let boot_spec = spec(&injected);
    assert_eq!(boot_spec.file_keys.unwrap().len(), 3);
    assert!(boot_spec.references.is_empty(), "the kubelet resolves them");

    // Variables that the pod sets are read from the file if other values refer to them, before or while they
    // are set.
    let env = json!([
        {"name": "EARLY", "value": "$(PERHAPS)"},
        {"name": "OWN", "value": "$(OWN):$(GIVEN)"},
        {"name": "GIVEN", "value": "pod"},
        {"name": "PERHAPS", "value": "pod"},
        {"name": "LATE", "value": "$(GIVEN)"},
    ]);
    let injected = inject(&pod(&json!({}), &json!({"env": env})), &recipes);
    let all = [&[from("GIVEN"), from("OWN"), from("PERHAPS")], &env.as_array().unwrap()[..]].concat();
    assert_eq!(at(&injected, "/spec/containers/0/env"), &json!(all));
    let built_on = spec(&injected).built_on;
    assert_eq!(built_on.into_values().collect::<Vec<_>>(), [["GIVEN"]], "no source gives the others");

    let env = json!([{"name": "OWN", "value": "x"}, {"name": "LATE", "value": "$(OWN)"}]);
    let injected = inject(&pod(&json!({}), &json!({"env": env})), &recipes);
    assert!(spec(&injected).built_on.is_empty());
    assert_eq!(at(&injected, "/spec/containers/0/env/2/name"), "OWN", "behind GIVEN and PERHAPS");

    let injected = inject(&pod(&json!({}), &json!({})), &recipes);
    assert_eq!(
        at(&injected, "/spec/containers/0/env"),
        &json!([from("GIVEN"), from("OWN"), from("PERHAPS")])
    );
}

#[test]
fn file_mode_needs_a_cluster_that_supports_it_and_names() {
    let env = json!({"mode": "File", "file": {"keys": ["GIVEN"]}});
    let with = |env: &Value, minor| recipes(&json!({"env": env}), Some(Version { major: 1, minor }));
    let pod = pod(&json!({}), &json!({}));
    let refused = refuse(&pod, &with(&env, 34));
    for detail in ["env.mode of BootProfile \"default\" is File", "1.35", "1.34", "[BL1306]"] {
        assert!(refused.contains(detail), "{refused}");
    }
    let asked = json!({"mode": "File"});
    assert!(refuse(&pod, &with(&asked, 35)).ends_with("[BL1307]"));
    let unknown = inject(&pod, &recipes(&json!({"env": env}), None));
    assert!(unknown.warnings[0].contains("Kubernetes 1.35 or later"), "{:?}", unknown.warnings);
}

#[test]
fn boot_gets_the_names_that_the_pods_own_sources_give() {
    let source = json!({"prefix": "APP_", "secretRef": {"name": "login"}});
    let with_source = pod(&json!({}), &json!({"command": ["run"], "envFrom": [source]}));
    let injected = inject(&with_source, &recipes(&json!({}), None));
    let held = json!([{"prefix": "BOOTLACE_HELD_0_APP_", "secretRef": {"name": "login"}}]);
    assert_eq!(at(&injected, "/spec/initContainers/0/envFrom"), &held);
    assert_eq!(spec(&injected).env_from_prefixes["main"], "BOOTLACE_HELD_0_");

    // Boot only gets env of the pod that it needs.
    let without_env = json!({"sources": [{"name": "a", "inline": {"files": {"a": "x"}}}]});
    let injected = inject(&with_source, &recipes(&without_env, None));
    assert_eq!(at(&injected, "/spec/initContainers/0/envFrom"), &Value::Null);
}

#[test]
fn the_hook_runs_the_profiles_hooks_before_the_pods_own() {
    let hook = json!({"timeoutSeconds": 9, "unreadable": "Warn"});
    let hooks = json!({"postLaunch": [
        {"name": "warm", "exec": ["warm", "--up"], "timeoutSeconds": 60},
        {"name": "check", "exec": ["check"], "onFailure": "Ignore"},
    ]});
    let own = json!({"command": ["run"], "lifecycle": {"postStart": {"exec": {"command": ["own"]}}}});
    let injected = inject(&pod(&json!({}), &own), &recipes(&json!({"hook": hook, "hooks": hooks}), None));
    assert_eq!(
        at(&injected, "/spec/containers/0/lifecycle/postStart/exec/command"),
        &json!([
            "/bootlace/bin/launch",
            "hook",
            "--container=main",
            "--unreadable=warn",
            "--hook=warm:60:fail",
            "--argument=warm",
            "--argument=--up",
            "--hook=check:10:ignore",
            "--argument=check",
            "--timeout=9",
            "--",
            "own"
        ])
    );
}

#[test]
fn the_hook_sends_requests_of_both_schemes_with_the_launcher_with_tls() {
    for (scheme, url) in [("HTTP", "http"), ("HTTPS", "https")] {
        let lifecycle = json!({
            "postStart": {"httpGet": {
                "port": "web", "scheme": scheme, "path": "/warm", "httpHeaders": [{"name": "X", "value": "1"}],
            }},
            "preStop": {"sleep": {"seconds": 1}},
        });
        // With any env mode, and with or without other work for the hook.
        for (container, profile) in [
            (
                json!({"command": ["run"]}),
                json!({"hooks": {"postLaunch": [{"name": "check", "exec": ["check"]}]}}),
            ),
            (json!({}), json!({"env": {"mode": "Hook"}})),
        ] {
            let mut container = container;
            container["lifecycle"] = lifecycle.clone();
            container["ports"] = json!([{"name": "web", "containerPort": 8443}]);
            let injected = inject(&pod(&json!({}), &container), &recipes(&profile, None));
            assert_eq!(at(&injected, "/spec/containers/0/lifecycle/preStop"), &lifecycle["preStop"]);
            let hook = at(&injected, "/spec/containers/0/lifecycle/postStart/exec/command");
            let last = hook.as_array().unwrap().iter().rev().take(2).collect::<Vec<_>>();
            assert_eq!(last, ["--header=X:1", &format!("--http={url}://:8443/warm")]);
            assert!(spec(&injected).http_get);
        }
    }
    let injected = inject(&pod(&json!({}), &json!({"command": ["run"]})), &recipes(&json!({}), None));
    assert!(!spec(&injected).http_get);
}
