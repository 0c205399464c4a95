//! Signatures for the store, and pods that are already injected.

use std::sync::Arc;

use bootlace_core::admission::{self, Decision};
use bootlace_core::injected_config::StoreEndpoint;
use bootlace_core::names;
use bootlace_core::plan::{AdmissionContext, InstallationSettings, PreparedProfiles, Version};
use bootlace_core::profile::Profile;
use bootlace_core::selection::SkipReason;
use bootlace_core::signature::{self, Signature, SigningKeys, Specs};
use serde_json::{Value, json};

const ORIGIN: AdmissionContext<'_> =
    AdmissionContext { namespace: "team", uid: Some("6f0a3c9e-8d55-4b0e-9f57-0f9a2f3c1b7d") };

fn keys() -> SigningKeys {
    SigningKeys::read([("key-1700000000", [7; 32])], 1_800_000_000).unwrap()
}

fn recipes(keys: Option<SigningKeys>) -> PreparedProfiles {
    let settings = InstallationSettings {
        store: Some(StoreEndpoint { url: "https://store.bootlace.svc".to_owned(), ca: "PEM\n".to_owned() }),
        keys: keys.map(Arc::new),
        kubernetes: Version::read("1", "36"),
        ..InstallationSettings::default()
    };
    let spec = json!({"pipes": {"timeToLiveSeconds": 600, "quota": {"perRun": 3}}});
    let profile =
        Profile { name: "default".to_owned(), generation: 2, spec: serde_json::from_value(spec).unwrap() };
    PreparedProfiles::new([profile].into_iter().collect(), &settings).unwrap()
}

fn pod() -> Value {
    json!({
        "metadata": {
            "name": "gencert", "labels": {names::LABEL_TASK: "true"},
            "annotations": {
                names::ANNOTATION_RUN: "r1", names::ANNOTATION_WORKFLOW: "shop",
                names::ANNOTATION_PIPE_OUT: "- {key: Certificate, file: /out/tls.crt, kind: Secret}",
            },
        },
        "spec": {"containers": [{"name": "main", "image": "openssl", "command": ["openssl", "req"]}]},
    })
}

fn injected(pod: Value, keys: Option<SigningKeys>) -> Value {
    match admission::admit(pod, ORIGIN, &recipes(keys)) {
        Decision::Inject(injection) => injection.pod,
        Decision::Skip(skip) => panic!("skipped: {skip}"),
        Decision::Reorder(_) => panic!("reordered"),
        Decision::Refuse(refusal) => panic!("{}", refusal.message),
    }
}

/// The already injected pod after signing, or why it is refused.
fn admitted(pod: Value) -> Result<Value, String> {
    match admission::admit(pod, ORIGIN, &recipes(Some(keys()))) {
        Decision::Reorder(reordering) => {
            assert!(reordering.signed && reordering.behind.is_empty());
            Ok(reordering.pod)
        }
        Decision::Refuse(refusal) => Err(refusal.message),
        Decision::Skip(skip) => panic!("skipped: {skip}"),
        Decision::Inject(_) => panic!("injected"),
    }
}

fn env<'p>(pod: &'p Value, container: &str, name: &str) -> Option<&'p str> {
    let containers = pod["spec"]["initContainers"].as_array()?;
    let container = containers.iter().find(|found| found["name"] == container)?;
    container["env"].as_array()?.iter().find(|found| found["name"] == name)?["value"].as_str()
}

fn env_mut<'p>(pod: &'p mut Value, container: &str, name: &str) -> &'p mut Value {
    let containers = pod["spec"]["initContainers"].as_array_mut().unwrap();
    let container = containers.iter_mut().find(|found| found["name"] == container).unwrap();
    let env = container["env"].as_array_mut().unwrap();
    &mut env.iter_mut().find(|found| found["name"] == name).unwrap()["value"]
}

fn holds(pod: &Value, namespace: &str, name: &str, prefix: Option<&str>) -> bool {
    let text = env(pod, names::CONTAINER_BOOT, names::ENV_SIGNATURE).unwrap();
    let specs = Specs::of(|container, name| env(pod, container, name));
    signature::verify(&keys(), &Signature::read(text).unwrap(), namespace, (name, prefix), &specs).is_ok()
}

#[test]
fn a_pod_is_signed_for_its_name_and_namespace_and_injected_once() {
    let pod = injected(pod(), Some(keys()));
    assert!(holds(&pod, "team", "gencert", None));
    assert!(!holds(&pod, "other", "gencert", None) && !holds(&pod, "team", "other", None));
    let again = admission::admit(pod, ORIGIN, &recipes(Some(keys())));
    assert!(matches!(again, Decision::Skip(SkipReason::AlreadyInjected)));
}

#[test]
fn a_pod_without_a_name_is_signed_for_what_its_name_will_begin_with() {
    let mut generated = pod();
    generated["metadata"]["name"] = Value::Null;
    generated["metadata"]["generateName"] = json!("gencert-");
    let pod = injected(generated, Some(keys()));
    assert!(
        holds(&pod, "team", "gencert-x7", Some("gencert-"))
            && !holds(&pod, "team", "other", Some("gencert-"))
    );
    let again = admission::admit(pod, ORIGIN, &recipes(Some(keys())));
    assert!(matches!(again, Decision::Skip(SkipReason::AlreadyInjected)));
}

#[test]
fn offline_nothing_is_signed() {
    let pod = injected(pod(), None);
    assert_eq!(env(&pod, names::CONTAINER_BOOT, names::ENV_SIGNATURE), None);
}

#[test]
fn what_was_injected_offline_is_signed_where_the_same_would_be_planned() {
    let offline = injected(pod(), None);
    let pod = admitted(offline.clone()).unwrap();
    assert!(holds(&pod, "team", "gencert", None));
    // Nothing else has changed.
    let mut without = pod;
    let containers = without["spec"]["initContainers"].as_array_mut().unwrap();
    let boot = containers.iter_mut().find(|found| found["name"] == names::CONTAINER_BOOT).unwrap();
    boot["env"].as_array_mut().unwrap().retain(|found| found["name"] != names::ENV_SIGNATURE);
    assert_eq!(without, offline);
}

#[test]
fn a_copy_with_another_name_is_checked_and_signed_again() {
    let mut copy = injected(pod(), Some(keys()));
    copy["metadata"]["name"] = json!("copy");
    // In a run from an annotation, the name of the pod is the task: the copy is another task.
    let error = admitted(copy.clone()).unwrap_err();
    assert!(error.contains("the task of the outputs") && error.contains("task copy of shop"), "{error}");
    let pipes = env(&copy, names::CONTAINER_PIPE, names::ENV_PIPES).unwrap().replace("gencert", "copy");
    *env_mut(&mut copy, names::CONTAINER_PIPE, names::ENV_PIPES) = json!(pipes);
    let pod = admitted(copy).unwrap();
    assert!(holds(&pod, "team", "copy", None));
    let init = pod["spec"]["initContainers"].as_array().unwrap();
    let boot = init.iter().find(|found| found["name"] == names::CONTAINER_BOOT).unwrap();
    let signatures =
        boot["env"].as_array().unwrap().iter().filter(|found| found["name"] == names::ENV_SIGNATURE);
    assert_eq!(signatures.count(), 1);
}

#[test]
fn what_would_not_be_planned_is_refused_with_the_difference() {
    let offline = injected(pod(), None);
    for (from, to, hints) in [
        (
            "\"timeToLiveSeconds\":600",
            "\"timeToLiveSeconds\":99999999",
            ["time to live", "instead of \"600\""],
        ),
        ("\"quota\":{\"perRun\":3}", "\"quota\":{}", ["the quota", "perRun"]),
        ("\"quota\":{\"perRun\":3}", "\"quota\":{\"perRun\":300}", ["the quota", "300"]),
        ("\"run\":\"r1\"", "\"run\":\"someone-elses\"", ["run someone-elses", "run r1"]),
        ("\"key\":\"Certificate\"", "\"key\":\"Other\"", ["an output is \"Secret Other", "BL1402"]),
        ("\"kind\":\"Secret\"", "\"kind\":\"ConfigMap\"", ["an output is \"ConfigMap Certificate", "BL1402"]),
        ("\"container\":\"main\"", "\"container\":\"main\",\"awaited\":true", ["an output", "BL1402"]),
        ("{", "", ["BOOTLACE_PIPES", "BL1401"]),
    ] {
        let mut forged = offline.clone();
        let config = env(&offline, names::CONTAINER_PIPE, names::ENV_PIPES).unwrap();
        assert!(config.contains(from), "{from} is not in {config}");
        *env_mut(&mut forged, names::CONTAINER_PIPE, names::ENV_PIPES) = json!(config.replacen(from, to, 1));
        let error = admitted(forged).unwrap_err();
        assert!(hints.iter().all(|hint| error.contains(hint)), "{hints:?} are not in {error}");
    }
}

#[test]
fn a_copy_with_the_env_secret_of_another_pod_is_refused() {
    let mut unknown = pod();
    unknown["metadata"]["annotations"] = json!({names::ANNOTATION_ENV_MODE: "Secret"});
    unknown["spec"]["containers"][0]["command"] = Value::Null;
    let mut copy = injected(unknown, Some(keys()));
    assert!(holds(&copy, "team", "gencert", None));
    copy["metadata"]["name"] = json!("copy");
    let error = admitted(copy).unwrap_err();
    assert!(error.contains("the Secret of the boot env is \"bootlace-env-"), "{error}");
}
