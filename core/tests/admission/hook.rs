//! Which task containers get the postStart hook, and how it handles the postStart handler of the pod.

use bootlace_core::admission::{self, Decision, Injection};
use bootlace_core::injected_config::StoreEndpoint;
use bootlace_core::names;
use bootlace_core::plan::{AdmissionContext, BootSpec, InstallationSettings, PreparedProfiles, Version};
use bootlace_core::profile::Profile;
use serde_json::{Value, json};

fn recipes(spec: Value, store: bool) -> PreparedProfiles {
    let profile =
        Profile { name: "default".to_owned(), spec: serde_json::from_value(spec).unwrap(), generation: 1 };
    let store = store.then(|| StoreEndpoint { url: "https://store".to_owned(), ca: String::new() });
    let settings = InstallationSettings {
        store,
        kubernetes: Some(Version::FILE_KEY_REF),
        ..InstallationSettings::default()
    };
    PreparedProfiles::new([profile].into_iter().collect(), &settings).unwrap()
}

/// A profile whose sources provide `GIVEN`, with more fields.
fn giving(when: &str, more: &Value) -> Value {
    let mut spec = json!({
        "sources": [{"name": "settings", "inline": {"env": {"GIVEN": "x"}}}],
        "hook": {"when": when},
    });
    for (field, value) in more.as_object().unwrap() {
        for (name, value) in value.as_object().unwrap() {
            spec[field][name] = value.clone();
        }
    }
    spec
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

fn admit(pod: &Value, recipes: &PreparedProfiles) -> Decision {
    // The Secret for the env is named after the review.
    let origin = AdmissionContext { namespace: "team", uid: Some("6f0a3c9e-8d55-4b0e-9f57-0f9a2f3c1b7d") };
    admission::admit(pod.clone(), origin, recipes)
}

fn inject(pod: &Value, recipes: &PreparedProfiles) -> Injection {
    match admit(pod, recipes) {
        Decision::Inject(injection) => *injection,
        Decision::Skip(skip) => panic!("skipped: {skip}"),
        Decision::Reorder(_) => panic!("reordered"),
        Decision::Refuse(refusal) => panic!("refused: {refusal}"),
    }
}

fn refuse(pod: &Value, recipes: &PreparedProfiles) -> String {
    match admit(pod, recipes) {
        Decision::Refuse(refusal) => refusal.message.trim_start_matches("bootlace: pod etl: ").to_owned(),
        _ => panic!("not refused"),
    }
}

fn lifecycle(injection: &Injection) -> Option<&Value> {
    injection.pod.pointer("/spec/containers/0/lifecycle")
}

fn has_hook(injection: &Injection) -> bool {
    let hook = lifecycle(injection).and_then(|lifecycle| lifecycle.pointer("/postStart/exec/command/1"));
    hook == Some(&json!("hook"))
}

fn mark(injection: &Injection) -> Value {
    let mark = injection.pod.pointer("/metadata/annotations/bootlace.dev~1injected").unwrap();
    serde_json::from_str(mark.as_str().unwrap()).unwrap()
}

fn http_get(injection: &Injection) -> bool {
    let env = injection.pod.pointer("/spec/initContainers/0/env").unwrap().as_array().unwrap();
    let spec = BootSpec::from_env(|name| {
        let variable = env.iter().find(|variable| variable["name"] == name)?;
        variable["value"].as_str().map(str::to_owned)
    });
    spec.unwrap().http_get
}

fn known() -> Value {
    json!({"command": ["run"]})
}

#[test]
fn always_is_the_default_and_leaves_no_mark() {
    for spec in [json!({}), json!({"hook": {"when": "Always"}})] {
        let injected = inject(&pod(&json!({}), &known()), &recipes(spec, false));
        assert!(has_hook(&injected));
        assert_eq!(mark(&injected).get("hookWhen"), None);
    }
}

#[test]
fn auto_leaves_the_hook_out_where_the_launcher_loads_the_env() {
    let optimus = json!({"assets": {"layout": "Optimus"}});
    let mode = |mode: &str| json!({"env": {"mode": mode, "file": {"keys": ["GIVEN"]}}});
    for (profile, container, store, hooked) in [
        (json!({}), known(), true, false),
        (mode("Launch"), known(), false, false),
        // Its command is unknown, so its env is in a Secret if there is a store, and is missing otherwise.
        (json!({}), json!({}), true, true),
        (json!({}), json!({}), false, true),
        (mode("Secret"), known(), true, true),
        (mode("File"), known(), false, true),
        (mode("Hook"), known(), false, true),
        // No hook can verify env that an image loads itself.
        (optimus.clone(), json!({}), false, false),
        (optimus, known(), false, false),
        (json!({"hooks": {"postLaunch": [{"name": "check", "exec": ["check"]}]}}), known(), false, true),
        (json!({"hooks": {"postLaunch": []}}), known(), false, false),
    ] {
        let recipes = recipes(giving("Auto", &profile), store);
        let injected = inject(&pod(&json!({}), &container), &recipes);
        assert_eq!(has_hook(&injected), hooked, "{profile} {container}");
        assert_eq!(lifecycle(&injected).is_some(), hooked, "{profile} {container}");
        assert_eq!(mark(&injected)["hookWhen"], "Auto");
    }
}

#[test]
fn auto_omits_the_hook_if_there_is_no_env_to_verify() {
    let files = json!([{"name": "a", "inline": {"files": {"a": "x"}}}]);
    let spec = |mode: &str| {
        let env = json!({"mode": mode, "file": {"keys": ["GIVEN"]}});
        json!({"sources": files, "hook": {"when": "Auto"}, "env": env})
    };
    for (mode, store, hooked) in
        [("Auto", false, false), ("Auto", true, false), ("File", false, false), ("Hook", false, true)]
    {
        let injected = inject(&pod(&json!({}), &json!({})), &recipes(spec(mode), store));
        assert_eq!(has_hook(&injected), hooked, "{mode}");
        assert!(injected.warnings.iter().all(|warning| !warning.contains("hook")), "{:?}", injected.warnings);
    }
    // The boot image of a pod can provide any variable.
    let mut spec = spec("Auto");
    spec["boot"] = json!({"initImage": {"allow": [{"registry": "r.example.com", "repository": "data/*"}]}});
    let own = json!({names::ANNOTATION_INIT_IMAGE: "r.example.com/data/boot:1"});
    assert!(has_hook(&inject(&pod(&own, &json!({})), &recipes(spec, false))));
}

#[test]
fn each_container_is_judged_by_itself() {
    let mut pod = pod(&json!({names::ANNOTATION_CONTAINERS: "main, other"}), &known());
    let other = json!({
        "name": "other", "image": "i", "command": ["run"],
        "lifecycle": {"postStart": {"sleep": {"seconds": 2}}, "preStop": {"sleep": {"seconds": 1}}},
    });
    pod["spec"]["containers"].as_array_mut().unwrap().push(other);
    let injected = inject(&pod, &recipes(giving("Auto", &json!({})), false));
    assert!(!has_hook(&injected));
    let other = injected.pod.pointer("/spec/containers/1/lifecycle").unwrap();
    let hook = json!(["/bootlace/bin/launch", "hook", "--container=other", "--timeout=32", "--sleep=2"]);
    assert_eq!(
        other,
        &json!({"postStart": {"exec": {"command": hook}}, "preStop": {"sleep": {"seconds": 1}}}),
        "the pod's own handler has the boot env, as with Always"
    );
}

#[test]
fn never_leaves_the_pods_own_handler_as_it_is() {
    for handler in [
        json!({"exec": {"command": ["warm", "--up"]}}),
        json!({"httpGet": {"port": 8080, "path": "/up"}}),
        // The hook cannot run this handler, and the author of the pod should get the message of the kubelet.
        json!({"tcpSocket": {"port": 8080}}),
        json!({"sleep": {"seconds": 2}}),
    ] {
        let own = json!({"postStart": handler, "preStop": {"sleep": {"seconds": 1}}});
        let pod = pod(&json!({}), &json!({"command": ["run"], "lifecycle": own}));
        let injected = inject(&pod, &recipes(giving("Never", &json!({})), false));
        assert_eq!(lifecycle(&injected), Some(&own));
        assert!(!http_get(&injected), "no hook sends the request");
        assert_eq!(mark(&injected)["hookWhen"], "Never");
        let get = handler.get("httpGet").is_some();
        if handler.get("tcpSocket").is_none() {
            assert_eq!(http_get(&inject(&pod, &recipes(giving("Auto", &json!({})), false))), get);
        }
    }
    let injected = inject(&pod(&json!({}), &known()), &recipes(giving("Never", &json!({})), false));
    assert_eq!(lifecycle(&injected), None);
}

#[test]
fn an_ipv6_host_has_brackets() {
    for (host, authority) in [("fd00::1", "[fd00::1]"), ("10.0.0.1", "10.0.0.1"), ("localhost", "localhost")]
    {
        let own = json!({"postStart": {"httpGet": {"host": host, "port": 8080, "path": "/up"}}});
        let pod = pod(&json!({}), &json!({"command": ["run"], "lifecycle": own}));
        let injected = inject(&pod, &recipes(giving("Always", &json!({})), false));
        let hook = lifecycle(&injected).unwrap().pointer("/postStart/exec/command").unwrap();
        let url = format!("--http=http://{authority}:8080/up");
        assert!(hook.as_array().unwrap().contains(&json!(url)), "{hook}");
    }
}

#[test]
fn never_is_no_way_to_run_without_env() {
    let never = |more: &Value, store| recipes(giving("Never", more), store);
    for mode in ["Hook", "file"] {
        let file = json!({"env": {"file": {"keys": ["GIVEN"]}}});
        let refused =
            refuse(&pod(&json!({names::ANNOTATION_ENV_MODE: mode}), &known()), &never(&file, false));
        let mode = if mode == "file" { "File" } else { mode };
        let cause = format!("annotation bootlace.dev/env-mode is {mode}");
        assert!(refused.contains(&cause) && refused.ends_with(" [BL1310]"), "{refused}");
    }

    let unknown = pod(&json!({}), &json!({}));
    let refused = refuse(&unknown, &never(&json!({}), false));
    assert!(refused.contains("container \"main\"") && refused.ends_with(" [BL1311]"), "{refused}");
    // The kubelet starts no container without its Secret; env that an image sources itself cannot be verified
    // anyway.
    assert_eq!(lifecycle(&inject(&unknown, &never(&json!({}), true))), None);
    let optimus = json!({"assets": {"layout": "Optimus"}});
    assert_eq!(lifecycle(&inject(&unknown, &never(&optimus, false))), None);
    let no_env = json!({"sources": [], "hook": {"when": "Never"}});
    assert_eq!(lifecycle(&inject(&unknown, &recipes(no_env, false))), None);
}

/// The launcher that waits for the outputs is in the command of the container, and needs no hook.
#[test]
fn a_task_with_outputs_needs_no_hook() {
    let output = "[{key: A, file: /tmp/a, kind: ConfigMap}]";
    let annotations = json!({names::ANNOTATION_RUN: "r1", names::ANNOTATION_PIPE_OUT: output});
    for when in ["Auto", "Never"] {
        let injected = inject(&pod(&annotations, &known()), &recipes(giving(when, &json!({})), true));
        assert_eq!(injected.pod.pointer("/spec/containers/0/command/1").unwrap(), "run");
        assert_eq!(lifecycle(&injected), None);
    }
}
