//! The source `context` in a task with the real SDK of OpenTelemetry and the real client of OpenLineage.

use anyhow::{Context as _, Result};
use bootlace_cluster::clients::{app, opentelemetry};
use bootlace_cluster::scenario::{Namespace, scenario};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::{Value, json};

/// The values contain what has a meaning in the list of attributes.
const PROFILE: &str = "
sources:
- name: run
  context:
    openTelemetry:
      cluster: test-cluster
      attributes: { note: '50 % of a, b = c; \"d\" + ü' }
    openLineage: { namespace: prod }
";

/// What the task has printed as `KEY JSON`.
fn printed(log: &str, key: &str) -> Result<Value> {
    let value = app::value(log, key).with_context(|| format!("the log has no line {key:?}:\n{log}"))?;
    serde_json::from_str(&value).with_context(|| format!("{key} is not JSON: {value}"))
}

/// A task of a run that annotations name.
fn joined(namespace: &Namespace, name: &str, run: &str) -> Value {
    json!({
        "name": name, "labels": {"bootlace.dev/task": namespace.name()},
        "annotations": {
            "bootlace.dev/run": run, "bootlace.dev/workflow": "shop",
            "resource.opentelemetry.io/service.version": "1.2.3",
        },
    })
}

async fn installed(namespace: &Namespace) -> Result<()> {
    namespace.profile(PROFILE).await?;
    opentelemetry::install(namespace).await
}

async fn run(namespace: &Namespace, metadata: &Value) -> Result<String> {
    opentelemetry::run(namespace, metadata, &json!([])).await
}

#[tokio::test]
async fn the_tasks_of_a_run_are_in_one_trace_and_have_one_parent() -> Result<()> {
    scenario("telemetry-run")
        .run(async |namespace| {
            installed(namespace).await?;
            let tasks = [("extract", "deploy-7"), ("load", "deploy-7"), ("other", "deploy-8")];
            let tasks = tasks.map(|(name, run)| joined(namespace, name, run));
            let logs = futures::future::try_join_all(tasks.iter().map(|task| run(namespace, task))).await?;
            let spans: Vec<_> = logs.iter().map(|log| printed(log, "span")).collect::<Result<_>>()?;
            let events: Vec<_> = logs.iter().map(|log| printed(log, "event")).collect::<Result<_>>()?;
            // One trace and one parent, which is the run; each task has its own span.
            let trace = |task: usize| spans[task]["context"]["trace_id"].clone();
            assert_eq!(trace(0), trace(1));
            assert_ne!(trace(0), trace(2));
            assert!(spans[0]["parent_id"].is_string(), "{}", spans[0]);
            assert_eq!(spans[0]["parent_id"], spans[1]["parent_id"]);
            assert_ne!(spans[0]["context"]["span_id"], spans[1]["context"]["span_id"]);
            // OpenLineage shows both tasks as parts of the run of the workflow.
            let parent = |task: usize| events[task]["run"]["facets"]["parent"].clone();
            assert_eq!(parent(0)["job"]["namespace"], "prod", "{}", parent(0));
            assert_eq!(parent(0)["job"]["name"], "shop", "{}", parent(0));
            assert_eq!(parent(0)["root"]["run"]["runId"], parent(0)["run"]["runId"]);
            assert_eq!(parent(0), parent(1));
            assert_ne!(parent(0)["run"]["runId"], parent(2)["run"]["runId"]);
            Ok(())
        })
        .await
}

#[tokio::test]
async fn the_sdk_reads_every_attribute_as_it_is() -> Result<()> {
    scenario("telemetry-resource")
        .run(async |namespace| {
            installed(namespace).await?;
            let log = run(namespace, &joined(namespace, "load", "deploy 7/ä")).await?;
            let attributes = printed(&log, "span")?["resource"]["attributes"].clone();
            let pod = namespace.api::<Pod>().get("load").await?;
            let (node, uid) = (pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()), pod.uid());
            for (name, value) in [
                ("service.name", Some("shop")),
                ("service.namespace", Some(namespace.name())),
                ("service.version", Some("1.2.3")),
                ("k8s.cluster.name", Some("test-cluster")),
                ("k8s.namespace.name", Some(namespace.name())),
                ("k8s.pod.name", Some("load")),
                ("k8s.pod.uid", uid.as_deref()),
                ("k8s.node.name", node),
                ("k8s.container.name", Some("main")),
                ("bootlace.run", Some("deploy 7/ä")),
                ("bootlace.task", Some("load")),
                ("note", Some("50 % of a, b = c; \"d\" + ü")),
            ] {
                assert_eq!(attributes[name].as_str(), value, "{name} of {attributes}");
            }
            Ok(())
        })
        .await
}

/// The labels are those of `KubernetesPodOperator` in Airflow 2. The task computes the ID with the client
/// that Airflow's provider uses.
#[tokio::test]
async fn the_parent_of_a_task_of_airflow_is_that_of_its_provider() -> Result<()> {
    scenario("telemetry-airflow")
        .run(async |namespace| {
            installed(namespace).await?;
            let metadata = json!({"name": "load", "labels": {
                "bootlace.dev/task": namespace.name(), "kubernetes_pod_operator": "True", "airflow_version": "2.10.5",
                "dag_id": "daily_report", "task_id": "transform.load", "try_number": "2", "map_index": "7",
                "run_id": "scheduled__2026-01-02T030405.6001230000-aeca828f9",
            }});
            let env = json!([
                {"name": "LOGICAL_DATE", "value": "2026-01-02T03:04:05.600123+00:00"},
                {"name": "HASHED", "value": "prod.daily_report.transform.load.2.7"},
            ]);
            let log = opentelemetry::run(namespace, &metadata, &env).await?;
            let parent = printed(&log, "event")?["run"]["facets"]["parent"].clone();
            assert_eq!(parent["job"]["name"], "daily_report.transform.load", "{parent}");
            assert_eq!(parent["run"]["runId"].as_str(), app::value(&log, "expected").as_deref());
            // The pod does not contain how often the run was cleared.
            let boot = namespace.log("load", "bootlace-boot").await?;
            assert!(boot.contains("source \"run\" (context): the root run of OpenLineage is left out: "), "{boot}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn the_variables_of_the_pod_have_precedence() -> Result<()> {
    scenario("telemetry-own")
        .run(async |namespace| {
            installed(namespace).await?;
            let (trace, span) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
            let run = "019b7cc1-9238-7aa6-8e11-11aed8e7a5a5";
            let env = json!([
                {"name": "TRACEPARENT", "value": format!("00-{trace}-{span}-01")},
                {"name": "OTEL_SERVICE_NAME", "value": "checkout"},
                {"name": "OPENLINEAGE_PARENT_ID", "value": format!("mine/dag.task/{run}")},
            ]);
            let log = opentelemetry::run(namespace, &joined(namespace, "load", "deploy-7"), &env).await?;
            let recorded = printed(&log, "span")?;
            assert_eq!(recorded["context"]["trace_id"], format!("0x{trace}"));
            assert_eq!(recorded["parent_id"], format!("0x{span}"));
            assert_eq!(recorded["resource"]["attributes"]["service.name"], "checkout");
            assert_eq!(recorded["resource"]["attributes"]["k8s.pod.name"], "load");
            let parent = printed(&log, "event")?["run"]["facets"]["parent"].clone();
            assert_eq!((&parent["job"]["name"], &parent["run"]["runId"]), (&json!("dag.task"), &json!(run)));
            // Without a root of the pod, the client uses the parent.
            assert_eq!(parent["root"]["run"]["runId"], run);
            Ok(())
        })
        .await
}
