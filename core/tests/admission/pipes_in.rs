//! Pods with inputs from earlier tasks.

use bootlace_core::admission::{self, Decision, Injection, LookupResults, PendingLookup};
use bootlace_core::code::Code;
use bootlace_core::identity::Identity;
use bootlace_core::input::PipeAnswers;
use bootlace_core::names;
use bootlace_core::output::Pipe;
use bootlace_core::plan::{BootSpec, InstallationSettings, PreparedProfiles};
use bootlace_core::profile::Profile;
use bootlace_core::review::{Refusal, ReviewResponse};
use bootlace_core::selection::SkipReason;
use insta::assert_json_snapshot;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::pods;

fn recipes(sources: &Value) -> PreparedProfiles {
    let spec = serde_json::from_value(json!({"sources": sources})).unwrap();
    let profile = Profile { name: "default".to_owned(), generation: 2, spec };
    PreparedProfiles::new([profile].into_iter().collect(), &InstallationSettings::default()).unwrap()
}

fn run() -> Identity {
    let own = |text: &str| Some(text.to_owned());
    Identity { scheduler: own("annotation"), workflow: own("shop"), run: own("r1"), ..Identity::default() }
}

/// A stored output of the run, with the object `shop.r1.KEY-1`.
fn pipe(key: &str, kind: &str, files: &[&str]) -> Pipe {
    let object = format!("shop.r1.{}-1", key.to_lowercase());
    serde_json::from_value(json!({
        "metadata": {"name": object},
        "spec": {"key": key, "kind": kind, "object": object, "files": files, "size": 1, "hash": "", "producer": {
            "scheduler": "annotation", "workflow": "shop", "run": "r1", "task": "gencert",
            "pod": "p", "podUid": "u", "container": "main",
        }},
        "status": {"stored": "2026-11-21T10:00:00.000000Z"},
    }))
    .unwrap()
}

fn stored() -> Vec<Pipe> {
    vec![
        pipe("Cert", "Secret", &["tls.crt", "tls.key"]),
        pipe("Token", "Secret", &["token"]),
        pipe("Settings", "ConfigMap", &["settings.ini"]),
    ]
}

fn found(pipes: Vec<Pipe>) -> LookupResults {
    let mut answers = PipeAnswers::default();
    answers.add(run(), Ok(pipes));
    LookupResults { pipes: Some(answers), ..LookupResults::default() }
}

fn pod(pipe_in: Option<&str>, spec: &Value) -> Value {
    let mut pod = json!({
        "metadata": {
            "name": "myapp",
            "labels": {names::LABEL_TASK: "true"},
            "annotations": {names::ANNOTATION_RUN: "r1", names::ANNOTATION_WORKFLOW: "shop"},
        },
        "spec": {"containers": [{"name": "main", "image": "i", "command": ["run"]}]},
    });
    for (field, value) in spec.as_object().unwrap() {
        pod["spec"][field] = value.clone();
    }
    if let Some(text) = pipe_in {
        pod["metadata"]["annotations"][names::ANNOTATION_PIPE_IN] = json!(text);
    }
    pod
}

fn decide(pod: &Value, sources: &Value, found: &LookupResults) -> Result<Injection, Refusal> {
    match admission::admit_with(pod.clone(), "team", &recipes(sources), found) {
        Ok(Decision::Inject(injection)) => Ok(*injection),
        Ok(Decision::Refuse(refusal)) => Err(refusal),
        Ok(Decision::Skip(skip)) => panic!("skipped: {skip}"),
        Ok(Decision::Reorder(_)) => panic!("reordered"),
        Err(lookup) => panic!("asks {lookup:?}"),
    }
}

fn inject(pod: &Value) -> Injection {
    decide(pod, &json!([]), &found(stored())).unwrap()
}

fn refused(pod: &Value) -> String {
    decide(pod, &json!([]), &found(stored())).map(drop).unwrap_err().message
}

/// Example of KUDO: one step creates a certificate, and a later one mounts it.
#[test]
fn a_placeholder_is_replaced_with_the_name_of_the_object() {
    let spec = json!({
        "containers": [{
            "name": "myapp", "image": "myapp:latest", "command": ["serve"],
            "volumeMounts": [{"name": "cert", "mountPath": "/etc/certs"}],
            "env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "pipe:Token", "key": "token"}}}],
        }],
        "volumes": [
            {"name": "cert", "secret": {"secretName": "{{.Pipes.Cert}}", "defaultMode": 288}},
            {"name": "other", "configMap": {"name": "pipe:Settings"}},
        ],
    });
    let injection = inject(&pod(None, &spec));
    let pod = &injection.pod["spec"];
    assert_eq!(
        pod["volumes"][0],
        json!({"name": "cert", "secret": {"secretName": "shop.r1.cert-1", "defaultMode": 288}})
    );
    assert_eq!(pod["volumes"][1]["configMap"]["name"], "shop.r1.settings-1");
    assert_eq!(
        pod["containers"][0]["env"][0]["valueFrom"]["secretKeyRef"],
        json!({"name": "shop.r1.token-1", "key": "token"})
    );
    let mut taken: Vec<_> = injection.resolved.iter().map(ToString::to_string).collect();
    taken.sort();
    assert_eq!(
        taken,
        [
            "Cert: Secret shop.r1.cert-1",
            "Settings: ConfigMap shop.r1.settings-1",
            "Token: Secret shop.r1.token-1"
        ]
    );
    assert!(injection.unresolved.is_empty() && injection.warnings.is_empty(), "{:?}", injection.warnings);
}

#[test]
fn entries_of_the_annotation_are_mounted_and_set() {
    let pipe_in = "
- {key: Cert, mountPath: /etc/tls}
- {key: Cert, mountPath: /etc/key.pem, file: tls.key}
- {key: Token, env: TOKEN}
- {key: Settings, env: INI, container: side}
";
    let spec = json!({"containers": [
        {"name": "main", "image": "i", "command": ["run"], "env": [{"name": "A", "value": "1"}]},
        {"name": "side", "image": "i"},
    ]});
    let pod = inject(&pod(Some(pipe_in), &spec)).pod;
    let parts = |container: &Value| json!({"mounts": container["volumeMounts"], "env": container["env"]});
    let containers: Vec<_> = pod["spec"]["containers"].as_array().unwrap().iter().map(parts).collect();
    assert_json_snapshot!(json!({"containers": containers, "volumes": pod["spec"]["volumes"]}));
}

#[test]
fn the_run_is_asked_for_once_and_nothing_without_a_need() {
    let ask = |pod: &Value, sources: &Value| {
        let found = LookupResults { pipes: Some(PipeAnswers::default()), ..LookupResults::default() };
        admission::admit_with(pod.clone(), "team", &recipes(sources), &found).map(|_| ())
    };
    assert_eq!(ask(&pod(None, &json!({})), &json!([])), Ok(()));
    let volumes = json!({"volumes": [{"name": "a", "secret": {"secretName": "pipe:Cert"}}]});
    let asked = ask(&pod(Some("- {key: Token, env: T}"), &volumes), &json!([])).unwrap_err();
    assert_eq!(*asked, PendingLookup::Pipes { namespace: "team".to_owned(), runs: vec![run()] });
    let other = ask(&pod(Some("- {key: Token, env: T, run: r0}"), &volumes), &json!([])).unwrap_err();
    let PendingLookup::Pipes { runs, .. } = *other else { panic!("images") };
    assert_eq!(runs.len(), 2);
    let many: Vec<_> = (0..9).map(|run| format!("{{key: Token, env: T{run}, run: r{run}}}")).collect();
    let many = pod(Some(&format!("[{}]", many.join(", "))), &json!({}));
    let found = LookupResults { pipes: Some(PipeAnswers::default()), ..LookupResults::default() };
    let refused = decide(&many, &json!([]), &found).map(drop).unwrap_err();
    assert_eq!(refused.message_code, Code::TooManyRuns, "{refused}");
}

#[test]
fn an_entry_says_which_run_and_task_a_placeholder_means() {
    let volumes = json!({"volumes": [{"name": "a", "secret": {"secretName": "pipe:Cert"}}]});
    let mut other = pipe("Cert", "Secret", &["tls.crt"]);
    other.spec.producer.run = Some("r0".to_owned());
    other.spec.object = "of-r0".to_owned();
    let mut found = found(stored());
    let run = Identity { run: Some("r0".to_owned()), ..run() };
    found.pipes.as_mut().unwrap().add(run, Ok(vec![other]));
    let pod = pod(Some("- {key: Cert, run: r0, task: gencert}"), &volumes);
    let injection = decide(&pod, &json!([]), &found).unwrap();
    assert_eq!(injection.pod["spec"]["volumes"][0]["secret"]["secretName"], "of-r0");
}

#[test]
fn what_is_not_stored_yet_may_come_again() {
    let volumes = json!({"volumes": [{"name": "a", "secret": {"secretName": "pipe:Later"}}]});
    let refusal = decide(&pod(None, &volumes), &json!([]), &found(stored())).map(drop).unwrap_err();
    assert_eq!(
        (refusal.code, refusal.reason, refusal.retry_after_seconds),
        (429, "TooManyRequests", Some(1))
    );
    assert_eq!(refusal.message_code, Code::InputNotStored);
    for detail in
        ["pod myapp: pipe \"Later\" of shop, run r1 ", "\"Cert\" by task \"gencert\", \"Settings\" by"]
    {
        assert!(refusal.message.contains(detail), "{refusal}");
    }
    let wire = ReviewResponse::refuse("u".to_owned(), refusal).to_json().unwrap();
    let wire: Value = serde_json::from_slice(&wire).unwrap();
    assert_eq!(wire["response"]["status"]["details"], json!({"retryAfterSeconds": 1}));
    let mut answers = PipeAnswers::default();
    answers.add(run(), Err("the API server did not answer".to_owned()));
    let unknown = LookupResults { pipes: Some(answers), ..LookupResults::default() };
    let refusal = decide(&pod(None, &volumes), &json!([]), &unknown).map(drop).unwrap_err();
    assert_eq!((refusal.code, refusal.retry_after_seconds), (503, Some(1)));
}

#[test]
fn invalid_inputs_are_refused() {
    let volume = |text: &str| json!({"volumes": [{"name": "a", "configMap": {"name": text}}]});
    for (pipe_in, spec, code, detail) in [
        (None, volume("pipe:Cert"), Code::InputKindMismatch, "spec.volumes[0].configMap.name"),
        (
            None,
            volume("x{{.Pipes.Cert}}"),
            Code::PlaceholderNotAlone,
            "spec.volumes[0].configMap.name is \"x{{.Pipes.Cert}}\"",
        ),
        (Some("- {key: Cert, env: A}"), json!({}), Code::InputFileAmbiguous, "\"tls.crt\", \"tls.key\""),
        (
            Some("- {key: Cert, mountPath: /a, file: other}"),
            json!({}),
            Code::InputFileAmbiguous,
            "\"tls.crt\", \"tls.key\"",
        ),
        (
            Some("- {key: Token, env: A, container: side}"),
            json!({}),
            Code::InputInvalid,
            "entry 1: container \"side\"",
        ),
        (
            Some("[{key: Token, env: A}, {key: Settings, env: A}]"),
            json!({}),
            Code::InputInvalid,
            "entry 2: \"A\"",
        ),
        (
            Some("- {key: Token, env: A}"),
            json!({"containers": [{"name": "main", "image": "i", "command": ["run"], "env": [{"name": "A"}]}]}),
            Code::InputInvalid,
            "container \"main\" already sets variable \"A\"",
        ),
        (
            Some("- {key: Token, mountPath: /bootlace}"),
            json!({}),
            Code::MountConflict,
            "\"bootlace-pipe-0\" at /bootlace",
        ),
        (
            Some("- {key: Token, mountPath: /a}"),
            json!({"volumes": [{"name": "bootlace-pipe-0", "emptyDir": {}}]}),
            Code::InputNameTaken,
            "\"bootlace-pipe-0\"",
        ),
        (
            Some("- {key: Token, mountPath: /a, wait: 9, kind: ConfigMap, task: gencert}"),
            json!({}),
            Code::InputKindDiffers,
            "pipe \"Token\" of shop, run r1 is stored as a Secret",
        ),
    ] {
        let error = refused(&pod(pipe_in, &spec));
        assert!(error.contains(detail) && error.ends_with(&format!("[{code}]")), "{code} {detail}: {error}");
    }
    let mut nobodys = pod(Some("- {key: Token, mountPath: /a}"), &json!({}));
    nobodys["metadata"]["annotations"].as_object_mut().unwrap().remove(names::ANNOTATION_RUN);
    assert!(refused(&nobodys).ends_with("[BL1706]"));
}

#[test]
fn a_source_of_the_profile_uses_the_output_of_the_run() {
    let sources = json!([
        {"name": "first", "inline": {"env": {"A": "1"}}},
        {"name": "tls", "pipe": {"key": "Cert", "prefix": "certs/"}},
        {"name": "perhaps", "optional": true, "pipe": {"key": "Later"}},
        {"name": "token", "pipe": {"key": "Token", "task": "gencert", "into": "Env",
            "items": [{"key": "token", "as": "TOKEN"}]}},
    ]);
    let injection = decide(&pod(None, &json!({})), &sources, &found(stored())).unwrap();
    let boot = &injection.pod["spec"]["initContainers"][0];
    let env = boot["env"].as_array().unwrap();
    let spec = BootSpec::from_env(|name| {
        let variable = env.iter().find(|variable| variable["name"] == name)?;
        variable["value"].as_str().map(str::to_owned)
    })
    .unwrap();
    let names: Vec<_> = spec.sources.iter().map(|source| source.name.as_str()).collect();
    assert_eq!(names, ["first", "tls", "token"]);
    let variables: Vec<_> =
        spec.sources.iter().map(|source| serde_json::to_value(&source.from).unwrap()).collect();
    assert_eq!(
        variables[1],
        json!({"mounted": {"kind": "Secret", "name": "shop.r1.cert-1", "path": "/bootlace-sources/1",
            "into": "Files", "prefix": "certs/", "optional": false}})
    );
    assert_eq!(variables[2]["mounted"]["path"], "/bootlace-sources/3");
    let mounts = boot["volumeMounts"].as_array().unwrap();
    assert!(mounts.contains(
        &json!({"name": "bootlace-source-1", "mountPath": "/bootlace-sources/1", "readOnly": true})
    ));
    let volumes = injection.pod["spec"]["volumes"].as_array().unwrap();
    assert!(volumes.contains(
        &json!({"name": "bootlace-source-3", "secret": {"secretName": "shop.r1.token-1", "optional": true}})
    ));
    let [warning] = &injection.warnings[..] else { panic!("{:?}", injection.warnings) };
    assert!(
        warning.contains("\"perhaps\"") && warning.contains("pipe \"Later\" of shop, run r1"),
        "{warning}"
    );
    let required = json!([{"name": "now", "pipe": {"key": "Later"}}]);
    let refusal = decide(&pod(None, &json!({})), &required, &found(stored())).map(drop).unwrap_err();
    assert_eq!(refusal.code, 429);
}

#[test]
fn where_nothing_is_looked_up_the_pod_says_what_would_be() {
    let volumes = json!({"volumes": [{"name": "a", "secret": {"secretName": "pipe:Cert"}}]});
    let sources = json!([{"name": "tls", "pipe": {"key": "Cert"}}]);
    let pod = pod(Some("- {key: Token, env: T}"), &volumes);
    let injection = decide(&pod, &sources, &LookupResults::default()).unwrap();
    assert_eq!(
        injection.unresolved,
        [
            "spec.volumes[0].secret.secretName uses pipe \"Cert\" of shop, run r1, which the webhook looks up when the pod is \
             created",
            "variable \"T\" uses pipe \"Token\" of shop, run r1, which the webhook looks up when the pod is created",
            "source \"tls\" of the BootProfile uses pipe \"Cert\" of shop, run r1, which the webhook looks up when the pod is \
             created",
        ]
    );
    assert_eq!(injection.pod["spec"]["volumes"][0]["secret"]["secretName"], "pipe:Cert");

    // A pod that is being created is refused, because it would wait forever.
    let body = serde_json::to_vec(&crate::review(&pod)).unwrap();
    let answered = admission::review(&body, &recipes(&sources));
    let refusal = answered.response.refusal.unwrap();
    assert_eq!((refusal.code, refusal.retry_after_seconds), (503, Some(1)));
}

proptest! {
    #[test]
    fn a_pod_with_inputs_keeps_its_other_fields(pod in pods::pod(), placeholder in any::<bool>()) {
        let mut pod = pod;
        pod["metadata"]["annotations"][names::ANNOTATION_RUN] = json!("r1");
        pod["metadata"]["annotations"][names::ANNOTATION_WORKFLOW] = json!("shop");
        pod["metadata"]["annotations"][names::ANNOTATION_PIPE_IN] =
            json!("[{key: Token, env: bootlace_test}, {key: Cert, mountPath: /tls}]");
        if placeholder {
            let volume = json!({"name": "cert", "secret": {"secretName": "{{.Pipes.Cert}}"}, "x-new": [1]});
            match pod["spec"]["volumes"].as_array_mut() {
                Some(volumes) => volumes.insert(0, volume),
                None => pod["spec"]["volumes"] = json!([volume]),
            }
        }
        let mut injected = inject(&pod).pod;
        let again = injected.clone();
        if placeholder {
            let name = &mut injected["spec"]["volumes"][0]["secret"]["secretName"];
            prop_assert_eq!(&*name, "shop.r1.cert-1");
            *name = json!("{{.Pipes.Cert}}");
        }
        prop_assert_eq!(pods::kept(&pod, &injected, ""), Ok(()));
        let twice = admission::admit_with(again, "team", &recipes(&json!([])), &found(stored()));
        prop_assert!(matches!(twice, Ok(Decision::Skip(SkipReason::AlreadyInjected))));
    }
}
