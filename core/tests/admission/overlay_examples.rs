//! The examples in `examples/overlays`, each with a pod that it is for.

use std::path::Path;

use bootlace_core::names;
use bootlace_core::plan::{InstallationSettings, PreparedProfiles};
use bootlace_core::profile::{BootProfile, Profile};
use serde_json::{Value, json};

use super::overlays::decide;
use super::scheduler_pods;

/// Injects `pod` with the profile of an example.
fn inject(example: &str, pod: &Value) -> Value {
    let path = Path::new(env!("BOOTLACE_ROOT")).join("examples/overlays").join(example);
    let profile: BootProfile = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let profile = Profile { name: "default".to_owned(), ..Profile::try_from(profile).unwrap() };
    let recipes =
        PreparedProfiles::new([profile].into_iter().collect(), &InstallationSettings::default()).unwrap();
    decide(pod, &recipes).unwrap_or_else(|refusal| panic!("{example}: {refusal}")).pod
}

/// A pod of Airflow, with labels and annotations.
fn pod(labels: &Value, annotations: &Value) -> Value {
    let mut pod = scheduler_pods::pod("airflow-operator-scheduled.json");
    for (field, more) in [("labels", labels), ("annotations", annotations)] {
        let metadata = pod["metadata"].as_object_mut().unwrap();
        let fields = metadata.entry(field).or_insert(json!({})).as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
    }
    pod
}

fn asking_for(overlays: &str) -> Value {
    pod(&json!({}), &json!({names::ANNOTATION_OVERLAYS: overlays}))
}

fn list<'v>(pod: &'v Value, pointer: &str) -> &'v [Value] {
    pod.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn find<'v>(pod: &'v Value, pointer: &str, name: &str) -> &'v Value {
    list(pod, pointer).iter().find(|element| element["name"] == name).unwrap_or(&Value::Null)
}

#[test]
fn every_example_is_tested() {
    let folder = Path::new(env!("BOOTLACE_ROOT")).join("examples/overlays");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let source = include_str!("overlay_examples.rs");
    for file in &files {
        assert!(source.contains(&format!("inject(\"{file}\"")), "no test injects a pod with {file}");
    }
    assert_eq!(files.len(), 8, "{files:?}");
}

#[test]
fn costs_are_labelled_by_workflow_and_team() {
    let injected = inject("cost-labels.yaml", &pod(&json!({"team": "growth"}), &json!({})));
    let (labels, annotations) = (&injected["metadata"]["labels"], &injected["metadata"]["annotations"]);
    assert_eq!(labels["billing.example.com/workflow"], "dailyreport-f9bb99ed0");
    assert_eq!(labels["billing.example.com/team"], "growth");
    assert_eq!(annotations["billing.example.com/task"], "dailyreport-f9bb99ed0/load");
    let without = inject("cost-labels.yaml", &pod(&json!({}), &json!({})));
    assert_eq!(without["metadata"]["labels"]["billing.example.com/team"], "etl");
}

#[test]
fn a_queue_decides_where_a_pod_runs() {
    let spec =
        |queue: &str| inject("queues.yaml", &pod(&json!({"queue": queue}), &json!({})))["spec"].clone();
    let tolerates = |spec: &Value, key: &str| {
        list(spec, "/tolerations").iter().filter(|toleration| toleration["key"] == key).count()
    };
    let high = spec("high-memory");
    assert_eq!(high["priorityClassName"], "batch-high");
    assert_eq!(high["nodeSelector"]["node.example.com/pool"], "high-memory");
    assert_eq!(
        (tolerates(&high, "node.example.com/pool"), tolerates(&high, "node.example.com/spot")),
        (1, 0)
    );
    let spot = spec("spot");
    assert_eq!(spot["priorityClassName"], "batch-low");
    assert_eq!(
        (tolerates(&spot, "node.example.com/pool"), tolerates(&spot, "node.example.com/spot")),
        (0, 1)
    );
    assert_eq!(spec("other")["priorityClassName"], json!(null));

    // The API server sets tolerations before it calls the webhook.
    let mut with_tolerations = pod(&json!({"queue": "spot"}), &json!({}));
    let own = json!({"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"});
    with_tolerations["spec"]["tolerations"] = json!([own]);
    let injected = inject("queues.yaml", &with_tolerations);
    assert_eq!(list(&injected, "/spec/tolerations").len(), 2);
    assert_eq!(injected["spec"]["tolerations"][0], own);
}

#[test]
fn a_proxy_is_a_native_sidecar_before_boot() {
    let injected = inject("proxy-sidecar.yaml", &asking_for("proxy"));
    let names: Vec<_> = list(&injected, "/spec/initContainers")
        .iter()
        .map(|container| container["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["proxy", names::CONTAINER_BOOT]);
    let proxy = find(&injected, "/spec/initContainers", "proxy");
    assert_eq!((&proxy["restartPolicy"], &proxy["args"][1]), (&json!("Always"), &json!("--team=etl")));
    let env = list(&injected, "/spec/containers/0/env");
    assert!(env.contains(&json!({"name": "PGHOST", "value": "127.0.0.1"})), "{env:?}");
    let not_asked = inject("proxy-sidecar.yaml", &pod(&json!({}), &json!({})));
    assert_eq!(find(&not_asked, "/spec/initContainers", "proxy"), &json!(null));
    let mut taken = asking_for("proxy");
    taken["spec"]["containers"].as_array_mut().unwrap().push(json!({"name": "proxy", "image": "squid"}));
    let injected = inject("proxy-sidecar.yaml", &taken);
    assert_eq!(find(&injected, "/spec/initContainers", "proxy-2")["restartPolicy"], "Always");
}

#[test]
fn untrusted_code_runs_in_a_sandbox_whatever_the_pod_says() {
    let mut own = pod(&json!({}), &json!({}));
    own["spec"]["runtimeClassName"] = json!("runc");
    assert_eq!(inject("runtime-class.yaml", &own)["spec"]["runtimeClassName"], "gvisor");
    own["metadata"]["labels"]["code"] = json!("trusted");
    assert_eq!(inject("runtime-class.yaml", &own)["spec"]["runtimeClassName"], "runc");
}

#[test]
fn a_gpu_is_added_unless_the_task_requests_its_own() {
    let limits = |pod: &Value| {
        inject("gpu.yaml", pod)["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"].clone()
    };
    let mut asks = asking_for("gpu");
    assert_eq!(limits(&asks), "1");
    asks["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] = json!("4");
    assert_eq!(limits(&asks), "4");
    assert_eq!(limits(&pod(&json!({}), &json!({}))), json!(null));
}

#[test]
fn every_task_container_mounts_the_shared_data() {
    let injected = inject("shared-data.yaml", &pod(&json!({}), &json!({})));
    let claim = &find(&injected, "/spec/volumes", "shared")["persistentVolumeClaim"];
    assert_eq!(claim["claimName"], "reference-data");
    let mount = json!({"name": "shared", "mountPath": "/data/reference", "readOnly": true});
    assert!(list(&injected, "/spec/containers/0/volumeMounts").contains(&mount));
    let mut taken = pod(&json!({}), &json!({}));
    taken["spec"]["volumes"] = json!([{"name": "shared", "emptyDir": {}}]);
    let injected = inject("shared-data.yaml", &taken);
    assert_eq!(find(&injected, "/spec/volumes", "shared-2")["persistentVolumeClaim"], *claim);
    let mounts = list(&injected, "/spec/containers/0/volumeMounts");
    assert!(mounts.iter().any(|mount| mount["name"] == "shared-2"), "{mounts:?}");
}

#[test]
fn names_are_resolved_with_fewer_queries() {
    let injected = inject("dns.yaml", &pod(&json!({}), &json!({})));
    let expected = json!({"searches": ["data.example.com"], "options": [{"name": "ndots", "value": "2"}]});
    assert_eq!(injected["spec"]["dnsConfig"], expected);
}

#[test]
fn kueue_finds_the_queue_of_the_team() {
    let label = "kueue.x-k8s.io/queue-name";
    let queue =
        |labels: Value| inject("kueue.yaml", &pod(&labels, &json!({})))["metadata"]["labels"][label].clone();
    assert_eq!(queue(json!({"team": "growth"})), "growth-queue");
    assert_eq!(queue(json!({})), "shared-queue");
    assert_eq!(queue(json!({label: "own"})), "own");
}
