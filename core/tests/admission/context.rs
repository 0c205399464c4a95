//! The context of tasks: variables that connect a task to its run in traces and in lineage.

use std::collections::BTreeSet;
use std::path::Path;

use bootlace_core::admission::{self, Decision, Injection};
use bootlace_core::plan::boot_spec::{ContextSource, SourceKind};
use bootlace_core::plan::{BootSpec, InstallationSettings, PreparedProfiles};
use bootlace_core::profile::{BootProfile, BootProfileSpec, Profile};
use serde_json::{Value, json};

use super::scheduler_pods;

fn prepared(profile: Profile) -> PreparedProfiles {
    PreparedProfiles::new([profile].into_iter().collect(), &InstallationSettings::default()).unwrap()
}

/// Profiles with one source, which has the context `settings`.
fn recipes(settings: &Value) -> PreparedProfiles {
    let spec = json!({"sources": [{"name": "run", "context": settings}]});
    let spec: BootProfileSpec = serde_json::from_value(spec).unwrap();
    prepared(Profile::new("default", 1, spec).unwrap())
}

fn admit(pod: Value, recipes: &PreparedProfiles) -> Result<Injection, String> {
    match admission::admit(pod, "etl", recipes) {
        Decision::Inject(injection) => Ok(*injection),
        Decision::Refuse(refusal) => Err(refusal.message),
        Decision::Skip(skip) => panic!("skipped: {skip}"),
        Decision::Reorder(_) => panic!("reordered"),
    }
}

fn boot(pod: &Value) -> &Value {
    pod["spec"]["initContainers"].as_array().unwrap().last().unwrap()
}

/// The context in the configuration of boot.
fn context(pod: &Value) -> ContextSource {
    let spec: BootSpec<'_> = serde_json::from_str(boot(pod)["env"][0]["value"].as_str().unwrap()).unwrap();
    match &spec.sources[0].from {
        SourceKind::Context(context) => context.clone(),
        other => panic!("{other:?}"),
    }
}

fn resolved(pod: Value, settings: &Value) -> ContextSource {
    context(&admit(pod, &recipes(settings)).unwrap().pod)
}

fn task(change: impl FnOnce(&mut Value)) -> Value {
    let mut pod = json!({
        "metadata": {"name": "load", "labels": {"bootlace.dev/task": "true"}, "annotations": {}},
        "spec": {"containers": [{"name": "main", "command": ["true"]}]},
    });
    change(&mut pod);
    pod
}

/// A task of a run that annotations name.
fn joined(task_of: &str, run: &str) -> Value {
    task(|pod| {
        pod["metadata"]["name"] = json!(task_of);
        pod["metadata"]["annotations"] = json!({"bootlace.dev/run": run, "bootlace.dev/workflow": "shop"});
    })
}

const TELEMETRY: &str = "openTelemetry";

#[test]
fn the_example_connects_a_task_of_airflow() {
    let path = Path::new(env!("BOOTLACE_ROOT")).join("examples/context/bootprofile.yaml");
    let profile: BootProfile = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let profile = Profile { name: "default".to_owned(), ..Profile::try_from(profile).unwrap() };
    let mut pod = scheduler_pods::pod("airflow-executor-scheduled.json");
    pod["metadata"]["labels"]["bootlace.dev/task"] = json!("true");
    let injection = admit(pod, &prepared(profile)).unwrap();
    let context = context(&injection.pod);
    // The same as the macros of the provider return: see core/tests/openlineage.
    let parent = "airflow/daily report.load/019b7ca9-8ee0-77cb-8ecd-0e731f36c5e3";
    assert_eq!(context.env["OPENLINEAGE_PARENT_ID"], parent);
    assert_eq!(context.env["OTEL_SERVICE_NAME"], "daily report");
    let attributes = context.attributes.unwrap();
    for (name, value) in [
        ("bootlace.run", "scheduled__2026-01-02T03:04:05.600000+00:00"),
        ("deployment.environment.name", "production"),
        ("k8s.cluster.name", "prod-eu"),
        ("k8s.container.name", "base"),
        ("k8s.namespace.name", "etl"),
        ("service.namespace", "etl"),
    ] {
        assert_eq!(attributes[name], value, "{name}");
    }
    assert_eq!(context.left_out.len(), 1, "{:?}", context.left_out);
    assert!(context.left_out[0].starts_with("the root run of OpenLineage is left out: "));
}

#[test]
fn the_tasks_of_a_run_share_a_trace_and_those_of_another_do_not() {
    let settings = json!({TELEMETRY: {}});
    let parent = |pod| resolved(pod, &settings).env["TRACEPARENT"].clone();
    let one = parent(joined("extract", "deploy-7"));
    assert_eq!(one, parent(joined("load", "deploy-7")));
    assert_ne!(one, parent(joined("load", "deploy-8")));
    assert!(one.starts_with("00-") && one.ends_with("-01"), "{one}");
    let in_cluster = resolved(joined("load", "deploy-7"), &json!({TELEMETRY: {"cluster": "prod"}}));
    assert_ne!(one, in_cluster.env["TRACEPARENT"]);
    let not_sampled = json!({TELEMETRY: {"traceParent": "NotSampled"}});
    let not_sampled = resolved(joined("load", "deploy-7"), &not_sampled).env["TRACEPARENT"].clone();
    assert_eq!(not_sampled.strip_suffix("-00"), one.strip_suffix("-01"));
    let none = resolved(joined("load", "deploy-7"), &json!({TELEMETRY: {"traceParent": "None"}}));
    assert!(!none.env.contains_key("TRACEPARENT") && none.left_out.is_empty(), "{none:?}");
}

/// The operator and the executor contain the same run in different forms.
#[test]
fn operator_and_executor_of_airflow_share_a_trace() {
    let settings = json!({TELEMETRY: {}});
    let pods = ["airflow-operator-scheduled.json", "airflow-executor-scheduled.json"];
    let parents = pods.map(|file| {
        let mut pod = scheduler_pods::pod(file);
        pod["metadata"]["labels"]["bootlace.dev/task"] = json!("true");
        resolved(pod, &settings).env["TRACEPARENT"].clone()
    });
    assert_eq!(parents[0], parents[1]);
}

#[test]
fn what_a_plain_pod_does_not_determine_is_left_out_with_a_warning() {
    let settings = json!({TELEMETRY: {}, "openLineage": {"namespace": "prod"}});
    let injection = admit(task(|_| {}), &recipes(&settings)).unwrap();
    let context = context(&injection.pod);
    assert!(context.env.is_empty(), "{context:?}");
    assert_eq!(context.attributes.unwrap()["k8s.container.name"], "main");
    let warnings: Vec<_> = injection.warnings.iter().filter(|text| text.contains("[BL1107]")).collect();
    for (warning, part) in warnings.iter().zip(["TRACEPARENT", "the parent run of OpenLineage"]) {
        let expected = format!(
            "bootlace: source \"run\" of BootProfile \"default\" leaves out {part}: run is undefined or empty (looked in"
        );
        assert!(warning.starts_with(&expected), "{warning}");
        assert!(warning.contains("set annotation bootlace.dev/run of the pod"), "{warning}");
    }
    assert_eq!((warnings.len(), context.left_out.len()), (2, 2));
    // With a run but without a workflow, only the job of the parent is unknown.
    let pod = task(|pod| pod["metadata"]["annotations"] = json!({"bootlace.dev/run": "r1"}));
    let context = resolved(pod, &settings);
    assert_eq!(context.env.keys().collect::<Vec<_>>(), ["TRACEPARENT"]);
    assert!(context.left_out[0].contains("workflow is undefined or empty"), "{:?}", context.left_out);
}

#[test]
fn the_run_of_a_workflow_is_parent_and_root() {
    let context = resolved(joined("load", "deploy-7"), &json!({"openLineage": {"namespace": "prod"}}));
    let names = context.env.keys().map(String::as_str).collect::<BTreeSet<_>>();
    let expected = ["OPENLINEAGE_CONTEXT", "OPENLINEAGE_PARENT_ID", "OPENLINEAGE_ROOT_PARENT_ID"];
    assert_eq!(names, expected.into());
    let parent = &context.env["OPENLINEAGE_PARENT_ID"];
    assert_eq!(parent, &context.env["OPENLINEAGE_ROOT_PARENT_ID"]);
    let run = parent.strip_prefix("prod/shop/").unwrap();
    let json: Value = serde_json::from_str(&context.env["OPENLINEAGE_CONTEXT"]).unwrap();
    assert_eq!(json["parent"]["run"]["runId"], run);
    assert_eq!(json["parent"]["root"]["job"], json!({"namespace": "prod", "name": "shop"}));
    assert_eq!((context.attributes, context.left_out), (None, vec![]));

    // A namespace with a slash does not fit into the older variables.
    let settings = json!({"openLineage": {"namespace": "https://{{ namespace }}.example.com"}});
    let context = resolved(joined("load", "deploy-7"), &settings);
    assert_eq!(context.env.keys().collect::<Vec<_>>(), ["OPENLINEAGE_CONTEXT"]);
    assert!(context.env["OPENLINEAGE_CONTEXT"].contains("\"https://etl.example.com\""));
    assert_eq!(context.left_out.len(), 2, "{:?}", context.left_out);
}

#[test]
fn a_run_id_that_is_a_uuid_is_the_run() {
    let mut pod = scheduler_pods::pod("dagster-step.json");
    pod["metadata"]["labels"]["bootlace.dev/task"] = json!("true");
    let run = pod["metadata"]["labels"]["dagster/run-id"].as_str().unwrap().to_owned();
    let context = resolved(pod, &json!({"openLineage": {"namespace": "prod"}}));
    assert!(context.env["OPENLINEAGE_PARENT_ID"].ends_with(&format!("/{run}")), "{context:?}");
}

/// A client would combine variables of different origins.
#[test]
fn a_pod_with_its_own_parent_gets_no_part_of_another() {
    let settings = json!({TELEMETRY: {}, "openLineage": {"namespace": "prod"}});
    let mut pod = joined("load", "deploy-7");
    pod["spec"]["containers"][0]["env"] = json!([
        {"name": "OPENLINEAGE_PARENT_ID", "value": "a/b/c"}, {"name": "TRACEPARENT", "value": "00-1-2-01"},
    ]);
    let injection = admit(pod, &recipes(&settings)).unwrap();
    let context = context(&injection.pod);
    assert_eq!(context.env.keys().collect::<Vec<_>>(), ["OTEL_SERVICE_NAME", "TRACEPARENT"]);
    assert_eq!(
        context.left_out,
        ["the parent run of OpenLineage is left out: container \"main\" sets OPENLINEAGE_PARENT_ID itself"]
    );
    assert!(!injection.warnings.iter().any(|text| text.contains("[BL1107]")), "{:?}", injection.warnings);
    // For other variables, the value in the pod spec has precedence.
    let spec: BootSpec<'_> =
        serde_json::from_str(boot(&injection.pod)["env"][0]["value"].as_str().unwrap()).unwrap();
    assert_eq!(spec.keep["main"], ["OPENLINEAGE_PARENT_ID", "TRACEPARENT"]);
}

#[test]
fn profile_and_annotations_add_attributes_and_name_the_service() {
    let settings = json!({TELEMETRY: {
        "serviceName": "{{ workflow }}.{{ task }}",
        "attributes": {"team": "{{ labels.team | default('none') }}", "service.namespace": "", "a.b": "1"},
    }});
    let mut pod = joined("load", "deploy-7");
    let context = resolved(pod.clone(), &settings);
    assert_eq!(context.env["OTEL_SERVICE_NAME"], "shop.load");
    let attributes = context.attributes.unwrap();
    assert_eq!((&*attributes["team"], &*attributes["a.b"]), ("none", "1"));
    assert!(!attributes.contains_key("service.namespace"), "{attributes:?}");

    for (name, value) in [("service.name", "checkout"), ("a.b", "2"), ("service.version", "7")] {
        pod["metadata"]["annotations"][format!("resource.opentelemetry.io/{name}")] = json!(value);
    }
    let context = resolved(pod, &settings);
    assert_eq!(context.env["OTEL_SERVICE_NAME"], "checkout");
    let attributes = context.attributes.unwrap();
    assert_eq!((&*attributes["a.b"], &*attributes["service.version"]), ("2", "7"));
    assert!(!attributes.contains_key("service.name"), "{attributes:?}");
}

/// The kubelet knows the name of the pod, its UID and its node.
#[test]
fn boot_gets_the_fields_of_the_pod_for_attributes_only() {
    let fields = |settings: &Value| {
        let injected = admit(joined("load", "deploy-7"), &recipes(settings)).unwrap().pod;
        let env = boot(&injected)["env"].as_array().unwrap().clone();
        let path = |variable: &Value| {
            let path = variable.pointer("/valueFrom/fieldRef/fieldPath")?.as_str()?.to_owned();
            Some((variable["name"].as_str()?.to_owned(), path))
        };
        env.iter().filter_map(path).collect::<Vec<_>>()
    };
    let expected = [
        ("BOOTLACE_POD", "metadata.name"),
        ("BOOTLACE_POD_UID", "metadata.uid"),
        ("BOOTLACE_NODE", "spec.nodeName"),
    ];
    let expected = expected.map(|(name, path)| (name.to_owned(), path.to_owned()));
    assert_eq!(fields(&json!({TELEMETRY: {}})), expected);
    assert!(fields(&json!({"openLineage": {"namespace": "prod"}})).is_empty());
}

#[test]
fn what_the_profile_adds_for_airflow_must_be_valid() {
    let settings = |airflow: Value| json!({"openLineage": {"namespace": "prod", "airflow": airflow}});
    let mut pod = task(|pod| {
        pod["metadata"]["labels"] = json!({
            "bootlace.dev/task": "true", "kubernetes_pod_operator": "True", "dag_id": "etl", "task_id": "load",
            "run_id": "manual__2026-01-02T0304050000-3c9ea4d7d", "try_number": "1", "airflow_version": "3.3.2",
        });
    });
    let date =
        settings(json!({"logicalDate": "{{ annotations.date }}", "clearNumber": "{{ labels.cleared }}"}));
    pod["metadata"]["labels"]["cleared"] = json!("0");
    pod["metadata"]["annotations"] = json!({"date": "2026-01-02T03:04:05+00:00"});
    let context = resolved(pod.clone(), &date);
    assert!(context.env["OPENLINEAGE_PARENT_ID"].starts_with("prod/etl.load/019b7ca9-"), "{context:?}");
    assert!(context.env["OPENLINEAGE_ROOT_PARENT_ID"].starts_with("prod/etl/019b7ca9-"), "{context:?}");

    pod["metadata"]["annotations"] = json!({"date": "yesterday"});
    let refusal = admit(pod.clone(), &recipes(&date)).err().unwrap();
    for part in ["source \"run\", context.openLineage.airflow.logicalDate: \"yesterday\" is not", "[BL1105]"]
    {
        assert!(refusal.contains(part), "{part:?} is not in {refusal}");
    }
    // An empty result is the same as no date.
    let none = settings(json!({"logicalDate": "{{ scheduledTime | default('') }}"}));
    let context = resolved(pod, &none);
    assert!(context.env.is_empty(), "{context:?}");
    assert!(context.left_out[0].contains("does not contain the logical date"), "{:?}", context.left_out);
}
