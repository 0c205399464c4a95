//! Pods that wait for outputs that an earlier task has not stored yet.

use bootlace_core::admission::{self, Decision, Injection, LookupResults};
use bootlace_core::code::Code;
use bootlace_core::identity::Identity;
use bootlace_core::injected_config::StoreEndpoint;
use bootlace_core::input::{PipeAnswers, WaitSpec};
use bootlace_core::names;
use bootlace_core::output::{Awaited, ObjectKind, Pipe};
use bootlace_core::plan::{
    AdmissionContext, InjectedAnnotation, InstallationSettings, PreparedProfiles, Version,
};
use bootlace_core::profile::Profile;
use bootlace_core::selection::SkipReason;
use insta::assert_json_snapshot;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::pods;

const ORIGIN: AdmissionContext<'_> =
    AdmissionContext { namespace: "team", uid: Some("6f0a3c9e-8d55-4b0e-9f57-0f9a2f3c1b7d") };

fn recipes(profile: &Value, store: bool, minor: u32) -> PreparedProfiles {
    let spec = serde_json::from_value(profile.clone()).unwrap();
    let profile = Profile { name: "default".to_owned(), generation: 2, spec };
    let store = store.then(|| StoreEndpoint { url: "https://store".to_owned(), ca: "the CA".to_owned() });
    let kubernetes = Some(Version { major: 1, minor });
    let settings = InstallationSettings {
        boot_image: "bootlace".to_owned(),
        store,
        kubernetes,
        ..InstallationSettings::default()
    };
    PreparedProfiles::new([profile].into_iter().collect(), &settings).unwrap()
}

fn run() -> Identity {
    let own = |text: &str| Some(text.to_owned());
    Identity { scheduler: own("annotation"), workflow: own("shop"), run: own("r1"), ..Identity::default() }
}

fn object(key: &str, kind: ObjectKind) -> String {
    let task = Identity { task: Some("gencert".to_owned()), ..run() };
    Awaited { task: &task, key, kind }.object()
}

fn found(pipes: Vec<Pipe>) -> LookupResults {
    let mut answers = PipeAnswers::default();
    answers.add(run(), Ok(pipes));
    LookupResults { pipes: Some(answers), ..LookupResults::default() }
}

fn pod(pipe_in: &str, spec: &Value) -> Value {
    let mut pod = json!({
        "metadata": {
            "name": "myapp",
            "labels": {names::LABEL_TASK: "true"},
            "annotations": {
                names::ANNOTATION_RUN: "r1", names::ANNOTATION_WORKFLOW: "shop", names::ANNOTATION_PIPE_IN: pipe_in,
            },
        },
        "spec": {"containers": [{"name": "main", "image": "i", "command": ["run"]}]},
    });
    for (field, value) in spec.as_object().unwrap() {
        pod["spec"][field] = value.clone();
    }
    pod
}

fn decide(pod: &Value, recipes: &PreparedProfiles, found: &LookupResults) -> Result<Injection, String> {
    match admission::admit_with(pod.clone(), ORIGIN, recipes, found) {
        Ok(Decision::Inject(injection)) => Ok(*injection),
        Ok(Decision::Refuse(refusal)) => Err(refusal.message),
        Ok(Decision::Skip(skip)) => panic!("skipped: {skip}"),
        Ok(Decision::Reorder(_)) => panic!("reordered"),
        Err(lookup) => panic!("asks {lookup:?}"),
    }
}

fn inject(pod: &Value) -> Injection {
    decide(pod, &recipes(&json!({}), true, 36), &found(Vec::new())).unwrap()
}

fn init_names(pod: &Value) -> Vec<&str> {
    let containers = pod["spec"]["initContainers"].as_array().unwrap();
    containers.iter().map(|container| container["name"].as_str().unwrap()).collect()
}

/// The configuration of the wait containers.
fn wait_spec(pod: &Value) -> WaitSpec<'static> {
    let containers = pod["spec"]["initContainers"].as_array().unwrap();
    let wait = containers.iter().find(|container| container["name"] == names::CONTAINER_WAIT).unwrap();
    serde_json::from_str(wait["env"][0]["value"].as_str().unwrap()).unwrap()
}

const ENTRIES: &str = "
- {key: Cert, mountPath: /etc/tls, wait: 300, kind: Secret, task: gencert}
- {key: Cert, mountPath: /etc/key.pem, file: tls.key, wait: 200, kind: Secret, task: gencert}
- {key: Settings, env: INI, file: settings.ini, wait: 60, kind: ConfigMap, task: gencert}
";

#[test]
fn entries_name_future_objects_and_two_containers_wait_for_them() {
    let injection = inject(&pod(ENTRIES, &json!({})));
    let pod = &injection.pod;
    assert_eq!(init_names(pod), [names::CONTAINER_WAIT, names::CONTAINER_VOLUME_WAIT, names::CONTAINER_BOOT]);
    let container = &pod["spec"]["containers"][0];
    let volumes: Vec<_> = pod["spec"]["volumes"].as_array().unwrap().iter().collect();
    let injected: InjectedAnnotation =
        serde_json::from_str(pod["metadata"]["annotations"][names::ANNOTATION_INJECTED].as_str().unwrap())
            .unwrap();
    assert_json_snapshot!(json!({
        "volume": volumes.iter().find(|volume| volume["name"] == "bootlace-pipe-0"),
        "mounts": container["volumeMounts"], "env": container["env"],
        "wait": pod["spec"]["initContainers"][0], "look": pod["spec"]["initContainers"][1],
        "injected": injected.awaits, "warnings": injection.warnings,
        "resolved": injection.resolved.iter().map(ToString::to_string).collect::<Vec<_>>(),
    }));
    let spec = wait_spec(pod);
    assert_eq!(spec.awaits.iter().map(|awaits| awaits.seconds).collect::<Vec<_>>(), [200, 60]);
    assert_eq!(spec.awaits[0].files, ["tls.key"]);
}

#[test]
fn placeholders_become_the_names_and_their_volumes_may_be_empty_at_first() {
    let spec = json!({
        "initContainers": [{"name": "own", "image": "i"}],
        "containers": [{
            "name": "main", "image": "i", "command": ["run"],
            "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "pipe:Cert", "key": "tls.crt", "optional": true}}}],
            "envFrom": [{"configMapRef": {"name": "pipe:Settings"}}],
        }],
        "volumes": [
            {"name": "cert", "secret": {
                "secretName": "{{.Pipes.Cert}}", "items": [{"key": "tls.key", "path": "deep/key.pem"}]}},
            {"name": "both", "projected": {"sources": [
                {"configMap": {"name": "pipe:Settings"}}, {"secret": {"name": "pipe:Cert"}}]}},
        ],
    });
    let entries = "[{key: Cert, wait: 9, kind: Secret, task: gencert}, {key: Settings, wait: 9, kind: ConfigMap, task: gencert}]";
    let pod = inject(&pod(entries, &spec)).pod;
    let (cert, settings) = (object("Cert", ObjectKind::Secret), object("Settings", ObjectKind::ConfigMap));
    let [volumes, containers] = ["volumes", "containers"].map(|field| &pod["spec"][field]);
    let items = json!([{"key": "tls.key", "path": "deep/key.pem"}]);
    assert_eq!(volumes[0]["secret"], json!({"secretName": cert, "items": items, "optional": true}));
    let sources = json!([
        {"configMap": {"name": settings, "optional": true}}, {"secret": {"name": cert, "optional": true}},
    ]);
    assert_eq!(volumes[1]["projected"]["sources"], sources);
    // The variable is required, whatever the pod specifies.
    let reference = json!({"name": cert, "key": "tls.crt", "optional": false});
    assert_eq!(containers[0]["env"][0]["valueFrom"]["secretKeyRef"], reference);
    assert_eq!(containers[0]["envFrom"][0]["configMapRef"], json!({"name": settings, "optional": false}));
    // No init container of the pod uses it, so they run first.
    let names = ["own", names::CONTAINER_WAIT, names::CONTAINER_VOLUME_WAIT, names::CONTAINER_BOOT];
    assert_eq!(init_names(&pod), names);
    let spec = wait_spec(&pod);
    let folders = |position: usize| serde_json::to_value(&spec.awaits[position].folders).unwrap();
    let cert = spec.awaits.iter().position(|awaits| awaits.key == "Cert").unwrap();
    assert_eq!(folders(cert), json!([{"volume": "cert", "paths": ["deep/key.pem"]}, {"volume": "both"}]));
    assert_eq!(folders(1 - cert), json!([{"volume": "both"}]));
    let mut files = spec.awaits[cert].files.clone();
    files.sort();
    assert_eq!(files, ["tls.crt", "tls.key"]);
}

#[test]
fn the_wait_container_is_before_the_containers_that_use_the_output() {
    let volume = json!([{"name": "cert", "secret": {"secretName": "pipe:Cert"}}]);
    let mounts = json!([{"name": "cert", "mountPath": "/tls"}]);
    let env = json!([{"name": "A", "valueFrom": {"secretKeyRef": {"name": "pipe:Cert", "key": "a"}}}]);
    let (wait, look, boot) = (names::CONTAINER_WAIT, names::CONTAINER_VOLUME_WAIT, names::CONTAINER_BOOT);
    let entry = "[{key: Cert, wait: 9, kind: Secret, task: gencert}]";
    for (profile, own, volumes, names) in [
        (json!({}), json!({"name": "own"}), &volume, vec!["own", wait, look, boot]),
        (json!({}), json!({"name": "own", "volumeMounts": mounts}), &volume, vec![wait, look, "own", boot]),
        (json!({}), json!({"name": "own", "env": env}), &json!([]), vec![wait, "own", boot]),
        (
            json!({"boot": {"position": "First"}}),
            json!({"name": "own"}),
            &volume,
            vec![wait, look, boot, "own"],
        ),
    ] {
        let pod = pod(entry, &json!({"initContainers": [own], "volumes": volumes}));
        let pod = decide(&pod, &recipes(&profile, true, 36), &found(Vec::new())).unwrap().pod;
        assert_eq!(init_names(&pod), names);
    }
}

#[test]
fn what_is_there_already_is_taken_as_ever() {
    let pipe: Pipe = serde_json::from_value(json!({
        "metadata": {"name": "x"},
        "spec": {"key": "Cert", "kind": "Secret", "object": "the-object", "files": ["a"], "size": 1, "hash": "",
            "producer": {"scheduler": "annotation", "workflow": "shop", "run": "r1", "task": "gencert",
                "pod": "p", "podUid": "u", "container": "main"}},
        "status": {"stored": "2026-11-21T10:00:00.000000Z"},
    }))
    .unwrap();
    let with = |wait: &str| {
        let entry = format!("[{{key: Cert, mountPath: /tls, kind: Secret, task: gencert{wait}}}]");
        decide(&pod(&entry, &json!({})), &recipes(&json!({}), true, 36), &found(vec![pipe.clone()])).unwrap()
    };
    let (waits, takes) = (with(", wait: 300"), with(""));
    assert_eq!(waits.warnings, takes.warnings);
    assert_eq!(waits.pod["spec"], takes.pod["spec"]);
    assert_eq!(init_names(&waits.pod), [names::CONTAINER_BOOT]);
}

#[test]
fn a_pod_that_cannot_wait_is_refused() {
    let entry = "[{key: Cert, mountPath: /tls, wait: 9, kind: Secret, task: gencert}]";
    let pod = pod(entry, &json!({}));
    for (store, minor, code) in [(false, 36, Code::WaitNeedsStore), (true, 28, Code::WaitTooOld)] {
        let error =
            decide(&pod, &recipes(&json!({}), store, minor), &found(Vec::new())).map(drop).unwrap_err();
        assert!(error.contains("pipe \"Cert\"") && error.ends_with(&format!("[{code}]")), "{error}");
    }
    let mut taken = pod.clone();
    taken["spec"]["containers"][0]["name"] = json!(names::CONTAINER_VOLUME_WAIT);
    let error = decide(&taken, &recipes(&json!({}), true, 36), &found(Vec::new())).map(drop).unwrap_err();
    assert!(error.ends_with("[BL1206]"), "{error}");
    let entry = "[{key: Cert, wait: 9, kind: Secret, task: gencert}]";
    let volume = json!({"volumes": [{"name": "a", "configMap": {"name": "pipe:Cert"}}]});
    let other = self::pod(entry, &volume);
    let error = decide(&other, &recipes(&json!({}), true, 36), &found(Vec::new())).map(drop).unwrap_err();
    assert!(error.ends_with("[BL1711]"), "{error}");
}

#[test]
fn where_nothing_is_looked_up_the_pod_says_that_it_would_wait() {
    let entry = "[{key: Cert, mountPath: /tls, wait: 9, kind: Secret, task: gencert}]";
    let injection =
        decide(&pod(entry, &json!({})), &recipes(&json!({}), true, 36), &LookupResults::default()).unwrap();
    assert_eq!(
        injection.unresolved,
        [
            "mountPath \"/tls\" uses pipe \"Cert\" of shop, run r1, which the webhook looks up when the pod is created; if it \
             is not stored yet, the pod waits for it for up to 9 s"
        ]
    );
}

proptest! {
    #[test]
    fn any_pod_that_waits_keeps_the_rest(pod in pods::pod(), placeholder in any::<bool>(), first in any::<bool>()) {
        let mut pod = pod;
        pod["metadata"]["annotations"][names::ANNOTATION_RUN] = json!("r1");
        pod["metadata"]["annotations"][names::ANNOTATION_WORKFLOW] = json!("shop");
        pod["metadata"]["annotations"][names::ANNOTATION_PIPE_IN] = json!(
            "[{key: Token, env: bootlace_test, file: t, wait: 9, kind: Secret, task: gencert}, \
              {key: Cert, mountPath: /tls, wait: 9, kind: Secret, task: gencert}, \
              {key: Cert, wait: 9, kind: Secret, task: gencert}]"
        );
        if placeholder {
            let volume = json!({"name": "cert", "secret": {"secretName": "{{.Pipes.Cert}}"}, "x-new": [1]});
            match pod["spec"]["volumes"].as_array_mut() {
                Some(volumes) => volumes.insert(0, volume),
                None => pod["spec"]["volumes"] = json!([volume]),
            }
        }
        let profile = if first { json!({"boot": {"position": "First"}}) } else { json!({}) };
        let recipes = recipes(&profile, true, 36);
        let mut injected = decide(&pod, &recipes, &found(Vec::new())).unwrap().pod;
        let again = injected.clone();
        if placeholder {
            let source = injected["spec"]["volumes"][0]["secret"].as_object_mut().unwrap();
            prop_assert_eq!(source.remove("optional"), Some(json!(true)));
            prop_assert_eq!(source.insert("secretName".to_owned(), json!("{{.Pipes.Cert}}")), Some(json!(object("Cert", ObjectKind::Secret))));
        }
        prop_assert_eq!(pods::kept(&pod, &injected, ""), Ok(()));
        let twice = admission::admit_with(again, ORIGIN, &recipes, &found(Vec::new()));
        prop_assert!(matches!(twice, Ok(Decision::Skip(SkipReason::AlreadyInjected))));
    }
}
