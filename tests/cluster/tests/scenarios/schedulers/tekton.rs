//! Tekton Pipelines: steps, results, workspaces, retries, failures and sidecars.

use std::cell::RefCell;

use anyhow::{Context as _, Result};
use bootlace_cluster::abort::Remote;
use bootlace_cluster::clients::tekton::{TITLE, Tekton, api};
use bootlace_cluster::scenario::{Namespace, state};
use k8s_openapi::api::core::v1 as core;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::{Resource as _, ResourceExt};
use serde_json::{Value, json};

use super::{Workflow, endings, with_pod_label};

const QUERY: &str = "select day, sum(amount) from sales group by day;\n";
const ROWS: &str = "monday,4\ntuesday,7\n";

const PIPELINE: &str = include_str!("../../../schedulers/tekton/pipeline.yaml");
const RETRY: &str = include_str!("../../../schedulers/tekton/retry.yaml");
const FAILING: &str = include_str!("../../../schedulers/tekton/failing.yaml");
const RESULTS: &str = include_str!("../../../schedulers/tekton/results.yaml");
const SIDECARS: &str = include_str!("../../../schedulers/tekton/sidecars.yaml");
const CANCELLED: &str = include_str!("../../../schedulers/tekton/cancelled.yaml");
/// The runs in `CANCELLED`, and the values of `spec.status` with which they are cancelled.
const STATUSES: [(&str, &str); 2] =
    [("cancelled", "Cancelled"), ("cancelled-run-finally", "CancelledRunFinally")];
/// The jobs of their last tasks.
const JOBS: [&str; 2] = ["cancelled-report", "cancelled-run-finally-report"];

fn workflow(name: &'static str, namespace: &'static str) -> Workflow {
    Workflow { scheduler: TITLE, name, namespace }
}

/// Starts a controller with the default feature flags.
async fn start(namespace: &Namespace) -> Result<Tekton> {
    Tekton::start(namespace, &[]).await
}

/// The log of a step of the only pod of a task in a pipeline.
async fn log(namespace: &Namespace, task: &str, step: &str) -> Result<String> {
    let pods = namespace.pods(&format!("tekton.dev/pipelineTask={task}")).await?;
    let [pod] = &pods[..] else { panic!("task {task} has {} pods", pods.len()) };
    namespace.log(&pod.name_any(), &format!("step-{step}")).await
}

/// The identity in the log of a step that prints `task.json`.
fn identity(log: &str) -> Result<Value> {
    let mut task: Value = serde_json::from_str(log).with_context(|| format!("parse {log:?}"))?;
    Ok(task["task"].take())
}

/// Deletes a run. Its pods and outputs are deleted with it.
async fn delete(namespace: &Namespace, kind: &str, run: &str) -> Result<()> {
    api(namespace, kind).delete(run, &DeleteParams::background()).await.map(drop).context("delete the run")
}

/// Creates the volume of the workspace `shared`, a folder of the node.
async fn create_workspace(namespace: &Namespace) -> Result<()> {
    let name = namespace.name();
    let owner = Api::<core::Namespace>::all(namespace.client()).get(name).await?;
    let size = json!({"storage": "1Mi"});
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": name, "ownerReferences": [owner.owner_ref(&())]},
        "spec": {
            "capacity": size, "accessModes": ["ReadWriteOnce"],
            "hostPath": {"path": format!("/var/lib/{name}"), "type": "DirectoryOrCreate"},
            "claimRef": {"namespace": name, "name": "shared"},
        },
    });
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "shared"},
        "spec": {
            "storageClassName": "", "volumeName": name, "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": size},
        },
    });
    namespace.create(&volume.to_string()).await?;
    namespace.create(&claim.to_string()).await.map(drop)
}

#[tokio::test]
async fn each_step_is_booted_and_results_workspaces_and_outputs_reach_the_next_task() -> Result<()> {
    workflow("a pipeline with steps, a result and a workspace", "tekton-pipeline")
        .run_with(
            start,
            async |namespace, tekton| {
                create_workspace(namespace).await?;
                namespace.create(PIPELINE).await?;
                tekton.ended(namespace, "PipelineRun", "monday").await
            },
            async |namespace, _, _| {
                assert_eq!(
                    log(namespace, "extract", "query").await?,
                    format!("extracting for the analytics team\n{QUERY}")
                );
                assert_eq!(log(namespace, "extract", "write").await?, "writing for the analytics team\n");
                assert_eq!(
                    log(namespace, "load", "load").await?,
                    format!("loading 2 rows for the analytics team\n{ROWS}{ROWS}")
                );
                for task in ["extract", "load"] {
                    assert_eq!(
                        identity(&log(namespace, task, "identity").await?)?,
                        json!({
                            "scheduler": "tekton", "workflow": "daily-report", "run": "monday", "task": task,
                            "attempt": "0",
                        })
                    );
                }
                delete(namespace, "PipelineRun", "monday").await
            },
        )
        .await
}

#[tokio::test]
async fn attempts_and_elements_of_a_matrix_know_which_they_are() -> Result<()> {
    workflow("a pipeline with a task that is retried, and a matrix", "tekton-retry")
        .run_with(
            start,
            async |namespace, tekton| {
                namespace.create(RETRY).await?;
                tekton.ended(namespace, "PipelineRun", "flaky").await
            },
            async |namespace, _, _| {
                let pods = namespace.pods("tekton.dev/pipelineTask=unstable").await?;
                let names: Vec<_> = pods.iter().map(ResourceExt::name_any).collect();
                assert_eq!(names, ["flaky-unstable-pod", "flaky-unstable-pod-retry1"]);
                for (pod, attempt) in names.iter().zip(["0", "1"]) {
                    assert_eq!(
                        identity(&namespace.log(pod, "step-try").await?)?,
                        json!({
                            "scheduler": "tekton", "workflow": "flaky", "run": "flaky", "task": "unstable",
                            "attempt": attempt,
                        })
                    );
                }
                for index in ["0", "1"] {
                    let log = namespace.log(&format!("flaky-part-{index}-pod"), "step-write").await?;
                    assert_eq!(
                        identity(&log)?,
                        json!({
                            "scheduler": "tekton", "workflow": "flaky", "run": "flaky", "task": "part",
                            "mapIndex": index, "attempt": "0",
                        })
                    );
                }
                assert_eq!(
                    log(namespace, "read", "read").await?,
                    "read attempt 1 and part a for the analytics team\n"
                );
                delete(namespace, "PipelineRun", "flaky").await
            },
        )
        .await
}

/// The message of a failed step that Tekton shows (`tkn taskrun describe`).
async fn message_of_step(namespace: &Namespace, run: &str) -> Result<String> {
    let run = api(namespace, "TaskRun").get(run).await?;
    let message = run.data.pointer("/status/steps/0/terminated/message").and_then(Value::as_str);
    Ok(message.unwrap_or_default().to_owned())
}

/// A `TaskRun` with one step and, in its annotation, an output.
fn forgets() -> Value {
    json!({
        "apiVersion": "tekton.dev/v1", "kind": "TaskRun",
        "metadata": {"name": "forgets", "annotations": {
            "bootlace.dev/pipe-out": "- {key: Word, file: /tmp/word, kind: Secret}",
        }},
        "spec": {"taskSpec": {"steps": [
            {"name": "forgets", "image": bootlace_cluster::images::BUSYBOX, "script": "true"},
        ]}},
    })
}

#[tokio::test]
async fn a_task_fails_for_its_own_reason_and_tekton_shows_the_reasons_of_bootlace() -> Result<()> {
    workflow("a task with a step that fails", "tekton-failing")
        .run_with(
            start,
            async |namespace, tekton| {
                namespace.create(FAILING).await?;
                tekton.ended(namespace, "TaskRun", "failing").await
            },
            async |namespace, tekton, _| {
                let log = namespace.log("failing-pod", "step-fails").await?;
                assert_eq!(log, "failing for the analytics team\n");
                assert_eq!(
                    identity(&namespace.log("failing-pod", "step-starts").await?)?,
                    json!({"scheduler": "tekton", "run": "failing", "attempt": "0"})
                );

                namespace.create(&forgets().to_string()).await?;
                let ended = tekton.ended(namespace, "TaskRun", "forgets").await?;
                assert_eq!(ended.message, "\"step-forgets\" exited with code 74: Error");
                let message = message_of_step(namespace, "forgets").await?;
                assert!(message.contains("\"/tmp/word\"") && message.contains("[BL7502]"), "{message:?}");

                // Boot fails: a variable cannot have this value, which ends with a NUL byte.
                let secret = "{apiVersion: v1, kind: Secret, metadata: {name: warehouse-login},
                    data: {user: bm90LWZvci1hbnktbG9nAA==}}";
                namespace.create(secret).await?;
                delete(namespace, "TaskRun", "failing").await?;
                namespace.create(&FAILING.replace("name: failing", "name: unbooted")).await?;
                let ended = tekton.ended(namespace, "TaskRun", "unbooted").await?;
                assert_eq!(
                    ended.message,
                    "init container failed, \"bootlace-boot\" exited with code 65: Error"
                );
                let pod = namespace.api::<core::Pod>().get("unbooted-pod").await?;
                assert!(state::message(&pod, "bootlace-boot")?.contains("\"WAREHOUSE_user\""));
                Ok(())
            },
        )
        .await
}

/// Each container that Bootlace adds leaves less for the results of the others.
#[tokio::test]
async fn a_result_arrives_unless_the_kubelet_cuts_the_message_that_contains_it() -> Result<()> {
    let above = RefCell::new(Vec::new());
    workflow("a task with a result of 2900 bytes", "tekton-results")
        .run_with(
            start,
            async |namespace, tekton| {
                namespace.create(RESULTS).await?;
                let below = tekton.ended(namespace, "TaskRun", "below").await?;
                assert_eq!(below.results["report"].len(), 2900);
                let ended = tekton.ended(namespace, "TaskRun", "above").await?;
                above.borrow_mut().push(ended);
                Ok(below)
            },
            async |namespace, _, _| {
                let pod = namespace.api::<core::Pod>().get("above-pod").await?;
                assert_eq!(state::message(&pod, "step-write")?.len(), 12288 / 4);
                Ok(())
            },
        )
        .await?;
    let above = above.into_inner();
    let [without, with] = &above[..] else { panic!("{above:?}") };
    assert_eq!(without.results["report"].len(), 3400);
    // Tekton does not report that it could not parse the message.
    assert_eq!(with.reason, "Succeeded");
    assert!(with.results.is_empty(), "{with}");
    Ok(())
}

/// With these feature flags, Tekton waits until all init containers have ended, and results have up to 4096
/// bytes, however many containers the pod has.
#[tokio::test]
async fn results_from_sidecars_are_complete_and_native_sidecars_end() -> Result<()> {
    workflow("a task with native sidecars and a result in their logs", "tekton-sidecars")
        .run_with(
            async |namespace| {
                let flags = [("results-from", "sidecar-logs"), ("enable-kubernetes-sidecar", "true")];
                Tekton::start(namespace, &flags).await
            },
            async |namespace, tekton| {
                namespace.create(SIDECARS).await?;
                let ended = tekton.ended(namespace, "TaskRun", "large").await?;
                assert_eq!(ended.results["report"].len(), 3400);
                Ok(ended)
            },
            async |namespace, _, _| {
                let log = namespace.log("large-pod", "step-write").await?;
                assert_eq!(log, "writing for the analytics team\n");
                let maps = namespace.api::<core::ConfigMap>().list(&super::managed()).await?;
                let [map] = &maps.items[..] else { panic!("{} outputs", maps.items.len()) };
                assert_eq!(map.data.as_ref().context("the output is empty")?["size"], "3400");
                delete(namespace, "TaskRun", "large").await
            },
        )
        .await
}

/// Runs two pipelines until their last tasks work, and cancels them. Returns how both have ended.
async fn cancel(namespace: &Namespace, tekton: &mut Tekton) -> Result<String> {
    let text = with_pod_label(namespace, CANCELLED).await?;
    let text = text.replace("REMOTE", &Remote::started(namespace).url());
    for (name, _) in STATUSES {
        namespace.create(&text.replace("NAME", name)).await?;
    }
    let runs = api(namespace, "PipelineRun");
    endings::end(namespace, endings::CANCELLED, &JOBS, async {
        for (name, status) in STATUSES {
            let patch = Patch::Merge(json!({"spec": {"status": status}}));
            runs.patch(name, &PatchParams::default(), &patch).await?;
        }
        Ok(())
    })
    .await?;
    let mut states = Vec::new();
    for (name, _) in STATUSES {
        states.push(tekton.ended(namespace, "PipelineRun", name).await?.to_string());
    }
    Ok(states.join("; "))
}

/// Tekton deletes the pod of the task.
#[tokio::test]
async fn the_job_of_a_task_that_is_cancelled_is_cancelled_and_nothing_is_left() -> Result<()> {
    workflow("two pipelines that are cancelled", "tekton-cancelled")
        .run_with(
            async |namespace| {
                endings::start(namespace, &json!({})).await?;
                start(namespace).await
            },
            cancel,
            async |namespace, _, _| {
                endings::check(namespace, &JOBS).await?;
                endings::exist(namespace, [3, 2, 4]).await?;
                for (name, _) in STATUSES {
                    delete(namespace, "PipelineRun", name).await?;
                }
                Ok(())
            },
        )
        .await
}
