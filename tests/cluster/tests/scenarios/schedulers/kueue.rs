//! Jobs and pods in queues of Kueue, whose webhook changes the same pods as that of Bootlace.

use anyhow::{Context as _, Result, ensure};
use bootlace_cluster::clients::controller::{Controller, Order};
use bootlace_cluster::clients::kueue::{MANAGED, QUEUE, TITLE, add_queue, finished, start, workloads};
use bootlace_cluster::scenario::{LIMIT, Namespace};
use bootlace_cluster::wait::until_async;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};
use serde_json::json;

use super::task::{exit, identity, value_in_log, waiting};
use super::{Workflow, delete_pipes};

const LOAD: &str = include_str!("../../../schedulers/kueue/load.yaml");
const REPORT: &str = include_str!("../../../schedulers/kueue/report.yaml");
const RETRIED: &str = include_str!("../../../schedulers/kueue/retried.yaml");
const POD: &str = include_str!("../../../schedulers/kueue/pod.yaml");
const GROUP: &str = include_str!("../../../schedulers/kueue/group.yaml");
const DEFAULT_QUEUE: &str = include_str!("../../../schedulers/kueue/default-queue.yaml");
const UNLABELED: &str = include_str!("../../../schedulers/kueue/unlabeled.yaml");

/// Creates the queue of the namespace, and `tasks` in it.
async fn queue(controller: &Controller, namespace: &Namespace, order: Order, tasks: &str) -> Result<()> {
    add_queue(controller, namespace, order).await?;
    namespace.create(tasks).await.map(drop)
}

async fn delete_jobs(namespace: &Namespace) -> Result<()> {
    let jobs = namespace.api::<Job>();
    jobs.delete_collection(&DeleteParams::background(), &ListParams::default()).await?;
    Ok(())
}

async fn log_of_job(namespace: &Namespace, job: &str) -> Result<(Pod, String)> {
    let mut pods = namespace.job_completed(job).await?;
    let pod = pods.pop().context("the Job has no pod")?;
    ensure!(pods.is_empty(), "Job {job} has several pods");
    let log = namespace.log(&pod.name_any(), "main").await?;
    Ok((pod, log))
}

#[tokio::test]
async fn a_queued_job_reads_the_output_of_the_one_before_it() -> Result<()> {
    let workflow =
        Workflow { scheduler: TITLE, name: "two Jobs one after another", namespace: "kueue-turns" };
    let controller = start().await?;
    let result = workflow.run(
        async |namespace| {
            queue(&controller, namespace, Order::AfterBootlace, LOAD).await?;
            // Kueue admits Jobs in the order of their creation, which has only seconds.
            until_async(LIMIT, "the first Job is not admitted", async || {
                let job = namespace.api::<Job>().get("load").await?;
                ensure!(job.spec.and_then(|spec| spec.suspend) == Some(false), "it is suspended");
                Ok(())
            })
            .await?;
            namespace.create(REPORT).await?;
            finished(namespace, 2).await
        },
        async |namespace| {
            // The annotation names the run, whatever the scheduler.
            let expected = |task: &str| {
                json!({"scheduler": "annotation", "workflow": "daily-report", "run": "2026-01-01", "task": task})
            };
            let (_, log) = log_of_job(namespace, "load").await?;
            assert_eq!(identity(&log)?, expected("load"));
            assert_eq!(value_in_log(&log, "greeting")?, "the analytics team");
            assert!(value_in_log(&log, "query")?.starts_with("select day, sum(amount)"), "{log}");
            let (_, log) = log_of_job(namespace, "report").await?;
            assert_eq!(identity(&log)?, expected("report"));
            assert_eq!(value_in_log(&log, "input")?, "42");
            delete_jobs(namespace).await?;
            delete_pipes(namespace).await
        },
    );
    let result = Box::pin(result).await;
    controller.stop(result).await
}

#[tokio::test]
async fn a_retried_pod_of_a_queued_job_is_the_same_task() -> Result<()> {
    let workflow = Workflow { scheduler: TITLE, name: "a Job with a retry", namespace: "kueue-retried" };
    let controller = start().await?;
    let result = workflow.run(
        async |namespace| {
            queue(&controller, namespace, Order::AfterBootlace, RETRIED).await?;
            let first = attempt(namespace, None).await?;
            exit(namespace, &first, "main", 1).await?;
            namespace.pod_failed(&first.name_any()).await?;
            let second = attempt(namespace, Some(&first)).await?;
            exit(namespace, &second, "main", 0).await?;
            finished(namespace, 1).await
        },
        delete_jobs,
    );
    let result = Box::pin(result).await;
    controller.stop(result).await
}

/// Waits until a pod of the Job `load` waits for its exit code, and checks what it has printed in a namespace
/// with Bootlace.
async fn attempt(namespace: &Namespace, before: Option<&Pod>) -> Result<Pod> {
    let before = before.and_then(ResourceExt::uid);
    let job = "batch.kubernetes.io/job-name=load";
    let (pod, log) = waiting(namespace, job, "main", "task", before.as_deref()).await?;
    if pod.annotations().contains_key("bootlace.dev/injected") {
        let run = &pod.labels()["batch.kubernetes.io/controller-uid"];
        assert_eq!(identity(&log)?, json!({"scheduler": "kueue", "workflow": "load", "run": run}));
        assert_eq!(value_in_log(&log, "greeting")?, "the analytics team");
    } else {
        assert_eq!(value_in_log(&log, "greeting")?, "nobody");
    }
    Ok(pod)
}

#[tokio::test]
async fn a_queued_pod_boots_if_kueue_changes_it_first() -> Result<()> {
    queued_pod("a pod, Kueue's webhook first", "kueue-pod-first", Order::BeforeBootlace).await
}

#[tokio::test]
async fn a_queued_pod_boots_if_kueue_changes_it_last() -> Result<()> {
    queued_pod("a pod, Kueue's webhook last", "kueue-pod-last", Order::AfterBootlace).await
}

async fn queued_pod(name: &'static str, namespace: &'static str, order: Order) -> Result<()> {
    let controller = start().await?;
    let workflow = Workflow { scheduler: TITLE, name, namespace };
    let result = workflow.run(
        async |namespace| {
            queue(&controller, namespace, order, POD).await?;
            let pod = namespace.pod_succeeded("load").await?;
            ensure!(pod.labels().contains_key(MANAGED), "Kueue has not changed the pod");
            finished(namespace, 1).await
        },
        async |namespace| {
            let log = namespace.log("load", "main").await?;
            assert_eq!(identity(&log)?, json!({"scheduler": "kueue", "task": "load"}));
            assert_eq!(value_in_log(&log, "greeting")?, "the analytics team");
            assert!(value_in_log(&log, "query")?.starts_with("select day, sum(amount)"), "{log}");
            Ok(())
        },
    );
    let result = Box::pin(result).await;
    controller.stop(result).await
}

#[tokio::test]
async fn a_pod_of_a_group_waits_for_the_output_of_another() -> Result<()> {
    let workflow = Workflow { scheduler: TITLE, name: "a group of pods", namespace: "kueue-group" };
    let controller = start().await?;
    let result = workflow.run(
        async |namespace| {
            queue(&controller, namespace, Order::AfterBootlace, GROUP).await?;
            finished(namespace, 1).await
        },
        async |namespace| {
            for (task, word, value) in [("load", "greeting", "the analytics team"), ("report", "input", "42")]
            {
                let log = namespace.log(task, "main").await?;
                let expected = json!({"scheduler": "kueue", "run": "daily-report", "task": task});
                assert_eq!(identity(&log)?, expected);
                assert_eq!(value_in_log(&log, word)?, value);
            }
            // Each pod requests 50m and 32Mi. The sidecar of the one with an output requests 5m and 16Mi.
            let workloads = workloads(namespace).list(&ListParams::default()).await?.items;
            let assignments = workloads[0].data["status"]["admission"]["podSetAssignments"].as_array();
            let mut usage: Vec<_> =
                assignments.into_iter().flatten().map(|set| &set["resourceUsage"]).collect();
            usage.sort_by_key(ToString::to_string);
            assert_eq!(
                usage,
                [&json!({"cpu": "50m", "memory": "32Mi"}), &json!({"cpu": "55m", "memory": "48Mi"})]
            );
            delete_pipes(namespace).await
        },
    );
    let result = Box::pin(result).await;
    controller.stop(result).await
}

#[tokio::test]
async fn a_default_queue_makes_a_task_of_a_job_but_not_of_a_pod() -> Result<()> {
    let workflow = Workflow { scheduler: TITLE, name: "a default queue", namespace: "kueue-default" };
    let controller = start().await?;
    let result = workflow.run(
        async |namespace| {
            let queue = DEFAULT_QUEUE.replace("NAMESPACE", namespace.name());
            add_queue(&controller, namespace, Order::AfterBootlace).await?;
            namespace.create(&queue).await?;
            until_async(LIMIT, "Kueue does not use the default queue", async || {
                let created = namespace.dry_run(UNLABELED).await?;
                let queued = created.iter().all(|created| created.object.labels().contains_key(QUEUE));
                ensure!(queued, "an object has no label {QUEUE}");
                Ok(())
            })
            .await?;
            namespace.create(UNLABELED).await?;
            finished(namespace, 2).await
        },
        async |namespace| {
            let (_, log) = log_of_job(namespace, "load").await?;
            assert_eq!(value_in_log(&log, "greeting")?, "the analytics team");
            // Kueue sets the label of a pod after Bootlace has seen it.
            let log = namespace.log("report", "main").await?;
            assert_eq!(value_in_log(&log, "greeting")?, "nobody");
            delete_jobs(namespace).await
        },
    );
    let result = Box::pin(result).await;
    controller.stop(result).await
}
