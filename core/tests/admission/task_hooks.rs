//! The hooks of a profile: how they change the task containers and the sidecar.

use std::path::Path;

use bootlace_core::abort::HooksConfig;
use bootlace_core::admission::{self, Decision, Injection};
use bootlace_core::code::Code;
use bootlace_core::injected_config::StoreEndpoint;
use bootlace_core::names;
use bootlace_core::output::SidecarConfig;
use bootlace_core::plan::{AdmissionContext, InstallationSettings, PreparedProfiles, Version};
use bootlace_core::profile::{BootProfile, Profile};
use serde_json::{Value, json};

fn recipes(spec: &Value, store: bool, kubernetes: &str) -> PreparedProfiles {
    let spec = serde_json::from_value(spec.clone()).unwrap();
    let profile = Profile::new("default", 1, spec).unwrap();
    prepared(profile, store, kubernetes)
}

fn prepared(profile: Profile, store: bool, minor: &str) -> PreparedProfiles {
    let store = store.then(|| StoreEndpoint { url: "https://store".to_owned(), ca: String::new() });
    let kubernetes = Version::read("1", minor);
    let settings = InstallationSettings { store, kubernetes, ..InstallationSettings::default() };
    PreparedProfiles::new([profile].into_iter().collect(), &settings).unwrap()
}

fn abort() -> Value {
    json!({"abort": [{"name": "cancel", "http": {
        "url": "https://spark.example.com", "path": "jobs/{{ abort }}",
        "client": {"headersFromSecret": "spark-login", "ca": {"configMap": "company-ca"}},
    }}]})
}

fn pod(container: &Value) -> Value {
    let mut pod = json!({
        "metadata": {"name": "etl", "labels": {names::LABEL_TASK: "true"}},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "a", "command": ["run"]}]},
    });
    for (field, value) in container.as_object().unwrap() {
        pod["spec"]["containers"][0][field] = value.clone();
    }
    pod
}

fn admit(pod: &Value, recipes: &PreparedProfiles) -> Decision {
    let origin = AdmissionContext { namespace: "team", uid: Some("6f0a3c9e-8d55-4b0e-9f57-0f9a2f3c1b7d") };
    admission::admit(pod.clone(), origin, recipes)
}

fn inject(pod: &Value, recipes: &PreparedProfiles) -> Injection {
    match admit(pod, recipes) {
        Decision::Inject(injection) => *injection,
        Decision::Refuse(refusal) => panic!("refused: {refusal}"),
        _ => panic!("not injected"),
    }
}

fn refused(pod: &Value, recipes: &PreparedProfiles) -> (Code, String) {
    match admit(pod, recipes) {
        Decision::Refuse(refusal) => (refusal.message_code, refusal.message),
        _ => panic!("not refused"),
    }
}

fn command(injection: &Injection) -> Vec<String> {
    serde_json::from_value(injection.pod.pointer("/spec/containers/0/command").unwrap().clone()).unwrap()
}

fn init<'i>(injection: &'i Injection, name: &str) -> Option<&'i Value> {
    let containers = injection.pod.pointer("/spec/initContainers").unwrap().as_array().unwrap();
    containers.iter().find(|container| container["name"] == name)
}

fn env<'v>(container: &'v Value, name: &str) -> &'v Value {
    container["env"]
        .as_array()
        .unwrap()
        .iter()
        .find(|variable| variable["name"] == name)
        .unwrap_or(&Value::Null)
}

#[test]
fn the_launcher_runs_the_hooks_before_the_task() {
    let hooks = json!({"preLaunch": [
        {"name": "warm", "exec": ["warm", "--up", "$(HOME)"]},
        {"name": "check", "exec": ["check"], "timeoutSeconds": 60, "onFailure": "Ignore"},
    ]});
    let injection = inject(&pod(&json!({})), &recipes(&json!({"hooks": hooks}), false, "37"));
    assert_eq!(
        command(&injection)[1..],
        [
            "exec",
            "--container=main",
            "--hook=warm:10:fail",
            "--argument=warm",
            "--argument=--up",
            // The kubelet does not expand it.
            "--argument=$$(HOME)",
            "--hook=check:60:ignore",
            "--argument=check",
            "--",
            "run"
        ]
    );
    assert!(init(&injection, names::CONTAINER_PIPE).is_none());
}

#[test]
fn the_launcher_supervises_a_task_with_hooks_for_its_end() {
    let injection = inject(&pod(&json!({})), &recipes(&json!({"hooks": abort()}), true, "37"));
    assert_eq!(
        command(&injection)[1..],
        [
            "run",
            "--container=main",
            "--handover=/bootlace-run",
            "--deadline=60",
            "--ending=publish",
            "--",
            "run"
        ]
    );
    let sidecar = init(&injection, names::CONTAINER_PIPE).unwrap();
    assert_eq!(
        sidecar["lifecycle"]["preStop"]["exec"]["command"],
        json!(["/usr/local/bin/bootlace", "pipe", "--stopping"])
    );
    let config: SidecarConfig<'_> =
        serde_json::from_str(env(sidecar, names::ENV_PIPES)["value"].as_str().unwrap()).unwrap();
    assert_eq!((config.supervised, config.outputs.len()), (vec!["main".to_owned()], 0));
    let hooks: HooksConfig<'_> =
        serde_json::from_str(env(sidecar, names::ENV_HOOKS)["value"].as_str().unwrap()).unwrap();
    assert_eq!((hooks.abort.len(), hooks.post_kill.len()), (1, 0));
    assert_eq!(env(sidecar, names::ENV_POD_UID)["valueFrom"]["fieldRef"]["fieldPath"], "metadata.uid");
}

#[test]
fn the_objects_of_a_hook_are_mounted_into_the_sidecar_alone() {
    let injection = inject(&pod(&json!({})), &recipes(&json!({"hooks": abort()}), true, "37"));
    let spec = &injection.pod["spec"];
    let all = [&spec["containers"], &spec["initContainers"]];
    let containers = all.into_iter().flat_map(|list| list.as_array().unwrap());
    let mut mounts = Vec::new();
    for container in containers {
        for mount in container["volumeMounts"].as_array().into_iter().flatten() {
            let name = mount["name"].as_str().unwrap();
            if name.starts_with(names::VOLUME_HOOK_PREFIX) {
                mounts.push(format!("{} {name}", container["name"].as_str().unwrap()));
            }
        }
    }
    assert_eq!(mounts, ["bootlace-pipe bootlace-hook-0-headers", "bootlace-pipe bootlace-hook-0-ca"]);
    let volumes = spec["volumes"].as_array().unwrap();
    let headers = volumes.iter().find(|volume| volume["name"] == "bootlace-hook-0-headers").unwrap();
    assert_eq!(headers["secret"]["secretName"], "spark-login");
    let mut taken = pod(&json!({}));
    taken["spec"]["volumes"] = json!([{"name": "bootlace-hook-0-headers", "emptyDir": {}}]);
    assert_eq!(refused(&taken, &recipes(&json!({"hooks": abort()}), true, "37")).0, Code::NameTaken);
}

#[test]
fn a_handler_of_the_pod_is_wrapped_and_others_are_kept() {
    let hooks = json!({"preKill": [{"name": "drain", "exec": ["drain"]}]});
    let recipes = recipes(&json!({"hooks": hooks}), false, "37");
    let own = json!({"lifecycle": {"preStop": {"sleep": {"seconds": 5}}, "stopSignal": "SIGINT"}});
    let injection = inject(&pod(&own), &recipes);
    let lifecycle = injection.pod.pointer("/spec/containers/0/lifecycle").unwrap();
    assert_eq!(
        lifecycle["preStop"],
        json!({"exec": {"command": [
            "/bootlace/bin/launch", "prestop", "--container=main", "--hook=drain:10:fail", "--argument=drain",
            "--timeout=15", "--grace=30", "--sleep=5",
        ]}})
    );
    assert_eq!(lifecycle["stopSignal"], "SIGINT");
    assert_eq!(lifecycle["postStart"]["exec"]["command"][1], "hook");
    // Without hooks, it stays as it is.
    let injection = inject(&pod(&own), &self::recipes(&json!({}), false, "37"));
    assert_eq!(
        injection.pod.pointer("/spec/containers/0/lifecycle/preStop").unwrap(),
        &own["lifecycle"]["preStop"]
    );
    let injection = inject(&pod(&json!({})), &recipes);
    assert_eq!(
        injection.pod.pointer("/spec/containers/0/lifecycle/preStop/exec/command/1").unwrap(),
        "prestop"
    );
}

#[test]
fn a_pod_in_which_a_hook_cannot_run_is_refused() {
    let known = pod(&json!({}));
    let unknown = pod(&json!({"command": []}));
    let launch = json!({"preLaunch": [{"name": "a", "exec": ["a"]}]});
    let told = json!({"postKill": [{"name": "a", "http": {"url": "https://a.example"}}]});
    for (pod, hooks, store, kubernetes, code, part) in [
        (&unknown, &launch, true, "37", Code::HooksNeedLauncher, "hooks.preLaunch"),
        (&unknown, &abort(), true, "37", Code::HooksNeedLauncher, "hooks.abort"),
        (&unknown, &told, true, "37", Code::HooksNeedLauncher, "hooks.postKill"),
        (&known, &abort(), false, "37", Code::HooksNeedStore, "store"),
        (&known, &told, true, "27", Code::HooksTooOld, "1.27"),
    ] {
        let (found, message) = refused(pod, &recipes(&json!({"hooks": hooks}), store, kubernetes));
        assert!(found == code && message.contains(part), "{found} {message}");
    }
    let tcp = pod(&json!({"lifecycle": {"preStop": {"tcpSocket": {"port": 80}}}}));
    let hooks = json!({"preKill": [{"name": "a", "exec": ["a"]}]});
    let (code, message) = refused(&tcp, &recipes(&json!({"hooks": hooks}), false, "37"));
    assert!(code == Code::HandlerNotSupported && message.contains("preStop handler"), "{message}");
}

#[test]
fn a_hook_that_cannot_be_rendered_for_a_pod_refuses_it() {
    let hook = |path: &str| json!({"hooks": {"abort": [{"name": "cancel", "http": {"url": "https://a.example", "path": path}}]}});
    let (code, message) = refused(&pod(&json!({})), &recipes(&hook("runs/{{ run }}"), true, "37"));
    assert_eq!(code, Code::TemplateNotRendered);
    assert!(
        message.contains("abort hook \"cancel\", http.path: template variable run is undefined"),
        "{message}"
    );
    // What is only known later is not missing.
    inject(&pod(&json!({})), &recipes(&hook("{{ pod }}/{{ podUid }}/{{ start }}/{{ abort }}"), true, "37"));
}

#[test]
fn templates_that_cannot_work_keep_a_profile_from_coming_into_force() {
    let hooks = |list: &str, http: Value| {
        let spec = json!({"hooks": {list: [{"name": "one", "http": http}]}});
        Profile::new("default", 1, serde_json::from_value(spec).unwrap())
            .map(drop)
            .map_err(|error| error.to_string())
    };
    let at = |path: &str| json!({"url": "https://a.example", "path": path});
    hooks("postKill", at("{{ exitCode }}/{{ signal }}/{{ durationSeconds }}/{{ abort }}")).unwrap();
    hooks("abort", json!({"url": "https://a.example", "body": "{\"job\": \"{{ abort }}\"}"})).unwrap();
    for (list, http, part) in [
        ("abort", at("{{ exitCode }}"), "variable \"exitCode\" not found"),
        ("abort", at("{{ labels.team }}"), "variable \"labels\" not found"),
        ("abort", at("{{ abort | upper | nope }}"), "nope"),
        ("abort", json!({"url": "https://{{ abort }}.example"}), "must not choose the server"),
        ("postKill", json!({"url": "https://a.example", "body": "{{ abort }}"}), "must be in a string"),
        (
            "postKill",
            json!({"url": "https://a.example", "contentType": "text/csv", "body": "{{ abort }}"}),
            "cannot be escaped",
        ),
    ] {
        let error = hooks(list, http).unwrap_err();
        assert!(error.starts_with(&format!("{list} hook \"one\", ")) && error.contains(part), "{error}");
    }
}

#[test]
fn an_init_container_that_is_a_task_only_has_the_hooks_that_can_run() {
    let hooks = json!({
        "preLaunch": [{"name": "a", "exec": ["a"]}], "preKill": [{"name": "b", "exec": ["b"]}], "abort": abort()["abort"],
    });
    let recipes = recipes(&json!({"hooks": hooks, "boot": {"position": "First"}}), true, "37");
    let mut pod = pod(&json!({}));
    pod["metadata"]["annotations"] = json!({names::ANNOTATION_CONTAINERS: "migrate"});
    pod["spec"]["initContainers"] = json!([{"name": "migrate", "image": "a", "command": ["migrate"]}]);
    let injection = inject(&pod, &recipes);
    let migrate = init(&injection, "migrate").unwrap();
    assert_eq!(migrate["command"][1], "exec");
    assert!(migrate["lifecycle"].is_null() && init(&injection, names::CONTAINER_PIPE).is_none());
    let warnings = injection.warnings.join("\n");
    assert!(warnings.contains("the preKill, abort hooks") && warnings.contains("\"migrate\""), "{warnings}");
}

#[test]
fn outputs_and_hooks_share_the_sidecar() {
    let outputs = json!([{"key": "A", "file": "/a", "kind": "Secret"}]);
    let mut pod = pod(&json!({}));
    pod["metadata"]["annotations"] = json!({names::ANNOTATION_RUN: "r1"});
    let spec = json!({"hooks": abort(), "pipes": {"outputs": outputs}});
    let injection = inject(&pod, &recipes(&spec, true, "37"));
    let words = command(&injection);
    assert!(
        words.contains(&"--ending=publish".to_owned()) && words.contains(&"--output=A:Secret:/a".to_owned())
    );
    let containers = injection.pod.pointer("/spec/initContainers").unwrap().as_array().unwrap();
    assert_eq!(containers.iter().filter(|container| container["name"] == names::CONTAINER_PIPE).count(), 1);
}

#[test]
fn the_example_is_valid_and_works_for_a_job() {
    let path = Path::new(env!("BOOTLACE_ROOT")).join("examples/hooks/bootprofile.yaml");
    let profile: BootProfile = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let profile = Profile { name: "default".to_owned(), ..Profile::try_from(profile).unwrap() };
    let pod = super::scheduler_pods::pod("airflow-operator-scheduled.json");
    let injection = inject(&pod, &prepared(profile, true, "37"));
    assert!(init(&injection, names::CONTAINER_PIPE).is_some());
    assert!(command(&injection).iter().any(|word| word.starts_with("--hook=")));
}
