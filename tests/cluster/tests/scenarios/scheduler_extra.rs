//! A scheduler that Bootlace does not know: its CRD and its controller are in this file, and an entry of the
//! chart value `schedulers.extra` describes its pods.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bootlace_cluster::images::BUSYBOX;
use bootlace_cluster::scenario::release::{LABEL, Release, selecting};
use bootlace_cluster::scenario::{LIMIT, Namespace, scenario};
use bootlace_cluster::wait::until_async;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, PostParams};
use kube::runtime::controller::Action;
use kube::runtime::wait::{await_condition, conditions};
use kube::runtime::{Controller, watcher};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};

use crate::pipes::{pipes, stored};

const GROUP: &str = "nightshift.example.com";

/// The entry, as in the README of the chart.
fn entry() -> Value {
    json!({
        "name": "nightshift",
        "match": [{"label": "nightshift.example.com/run"}],
        "identity": {
            "workflow": {"label": "nightshift.example.com/flow"},
            "run": {"label": "nightshift.example.com/run"},
            "task": {"label": "nightshift.example.com/step"},
            "attempt": {"label": "nightshift.example.com/try"},
        },
        "runOwners": [{"apiVersion": "nightshift.example.com/v1", "kind": "FlowRun"}],
    })
}

/// A run of the flow `report`. The first attempt of its first step fails.
fn flow_run() -> Value {
    let load = "test \"$TRY\" = 2 || exit 1; printf \"rows of $TASK\" > /tmp/rows";
    json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": "FlowRun", "metadata": {"name": "report-42"},
        "spec": {"flow": "report", "steps": [
            {"name": "load", "script": load,
             "annotations": {"bootlace.dev/pipe-out": "- {key: Rows, file: /tmp/rows, kind: ConfigMap}"}},
            {"name": "print", "script": "echo \"$TASK, attempt $TRY: $ROWS\"",
             "annotations": {"bootlace.dev/pipe-in": "- {key: Rows, env: ROWS}"}},
        ]},
    })
}

#[tokio::test]
async fn pods_of_an_unknown_controller_are_tasks_after_eight_lines_of_values() -> Result<()> {
    let home = scenario("extra-home").label(LABEL, "home");
    let tasks = scenario("extra").label(LABEL, "tasks").label("bootlace.dev/schedulers", "enabled");
    home.run(async |home| {
        tasks
            .run(async |tasks| {
                create_kind(&tasks.client()).await?;
                let values = json!({
                    "store": {"replicas": 1}, "schedulers": {"extra": [entry()]},
                    "webhook": selecting(&[tasks.name()]),
                    "profiles": {(home.name()): {"sources": [{"name": "identity", "inline": {"env": {
                        "TASK": "{{ scheduler }} {{ workflow }}/{{ run }}/{{ task }}", "TRY": "{{ attempt }}",
                    }}}]}},
                });
                let release = Release::install(home, tasks, &values.to_string()).await?;
                tasks.default_profile(home.name()).await?;
                tokio::select! {
                    () = run_controller(tasks) => anyhow::bail!("the controller of the test has ended"),
                    result = run_flow(tasks) => result,
                }?;
                release.uninstall().await
            })
            .await
    })
    .await
}

async fn run_flow(tasks: &Namespace) -> Result<()> {
    tasks.create(&flow_run().to_string()).await?;
    until_async(LIMIT, "the last step has not created its pod", async || {
        let pod = tasks.api::<Pod>().get_opt("report-42-print-1").await?;
        pod.map(drop).context("pod report-42-print-1 not found")
    })
    .await?;
    tasks.pod_succeeded("report-42-print-1").await?;
    assert_eq!(
        tasks.log("report-42-print-1", "main").await?,
        "nightshift report/report-42/print, attempt 1: rows of nightshift report/report-42/load\n"
    );
    tasks.pod_failed("report-42-load-1").await?;
    tasks.pod_succeeded("report-42-load-2").await?;
    assert_eq!(stored(tasks).await?, ["Rows ConfigMap by load"]);
    // The object of the scheduler owns the Pipe, so Kubernetes deletes both together.
    flow_runs(&tasks.client(), tasks.name()).delete("report-42", &DeleteParams::background()).await?;
    until_async(LIMIT, "the output remains after its run is deleted", async || {
        let left = pipes(tasks).await?.len();
        ensure!(left == 0, "{left} Pipes remain");
        Ok(())
    })
    .await
}

fn kind() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, "v1", "FlowRun"))
}

fn flow_runs(client: &Client, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &kind())
}

/// Creates the CRD of the scheduler, and waits until the API server serves it.
async fn create_kind(client: &Client) -> Result<()> {
    let name = format!("flowruns.{GROUP}");
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": name},
        "spec": {
            "group": GROUP, "scope": "Namespaced",
            "names": {"kind": "FlowRun", "plural": "flowruns", "singular": "flowrun"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true,
            }}}],
        },
    });
    let api = Api::<CustomResourceDefinition>::all(client.clone());
    api.create(&PostParams::default(), &serde_json::from_value(crd)?).await.context("create the CRD")?;
    let served = await_condition(api, &name, conditions::is_crd_established());
    tokio::time::timeout(LIMIT, served).await.context("the API server does not serve the CRD")??;
    Ok(())
}

/// The context of the controller.
struct Context {
    client: Client,
    namespace: String,
}

/// Runs the controller of the scheduler: it runs the steps of each `FlowRun` one after another, and tries
/// each twice.
async fn run_controller(tasks: &Namespace) {
    let client = tasks.client();
    let context = Context { client: client.clone(), namespace: tasks.name().to_owned() };
    let api = flow_runs(&client, tasks.name());
    Controller::new_with(api, watcher::Config::default(), kind())
        .owns(tasks.api::<Pod>(), watcher::Config::default())
        .run(reconcile, retry, Arc::new(context))
        .for_each(async |_| {})
        .await;
}

fn retry(_: Arc<DynamicObject>, error: &kube::Error, _: Arc<Context>) -> Action {
    eprintln!("the controller of the test failed: {error}");
    Action::requeue(Duration::from_secs(1))
}

async fn reconcile(run: Arc<DynamicObject>, context: Arc<Context>) -> Result<Action, kube::Error> {
    let pods = Api::<Pod>::namespaced(context.client.clone(), &context.namespace);
    let steps = run.data["spec"]["steps"].as_array().cloned().unwrap_or_default();
    for step in steps {
        let mut succeeded = false;
        for attempt in ["1", "2"] {
            let pod = pod(&run, &step, attempt);
            let Some(existing) = pods.get_opt(&pod.name_any()).await? else {
                // A refusal is an error, after which the controller tries again.
                pods.create(&PostParams::default(), &pod).await?;
                return Ok(Action::await_change());
            };
            match existing.status.and_then(|status| status.phase).as_deref() {
                Some("Succeeded") => {
                    succeeded = true;
                    break;
                }
                Some("Failed") => {}
                _ => return Ok(Action::await_change()),
            }
        }
        if !succeeded {
            break;
        }
    }
    Ok(Action::await_change())
}

/// The pod of an attempt, with the labels of the scheduler.
fn pod(run: &DynamicObject, step: &Value, attempt: &str) -> Pod {
    let step_name = step["name"].as_str().expect("a step has a name");
    let owner = json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": "FlowRun", "name": run.name_any(), "uid": run.uid(),
        "controller": true, "blockOwnerDeletion": true,
    });
    let pod = json!({
        "metadata": {
            "name": format!("{}-{step_name}-{attempt}", run.name_any()),
            "labels": {
                "nightshift.example.com/flow": run.data["spec"]["flow"],
                "nightshift.example.com/run": run.name_any(),
                "nightshift.example.com/step": step_name,
                "nightshift.example.com/try": attempt,
            },
            "annotations": step["annotations"], "ownerReferences": [owner],
        },
        "spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": BUSYBOX, "command": ["sh", "-c", step["script"]]}],
        },
    });
    serde_json::from_value(pod).expect("the pod is valid")
}
