//! Jobs and `CronJob`s. Namespaces do not opt them in, because most of them are not tasks, so their pods have
//! the pod label in the namespace with Bootlace.

use std::time::Duration;

use anyhow::{Context as _, Result};
use bootlace_cluster::abort::Remote;
use bootlace_cluster::clients::job::TITLE;
use bootlace_cluster::scenario::{LIMIT, Namespace};
use bootlace_cluster::wait::until_async;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::{Workflow, endings, with_pod_label};

const INDEXED: &str = include_str!("../../../schedulers/job/indexed.yaml");
const CRON_JOB: &str = include_str!("../../../schedulers/job/cronjob.yaml");
const ENDED: &str = include_str!("../../../schedulers/job/ended.yaml");

/// Creates the objects, whose pods have the label `bootlace.dev/task` if the namespace has opted in.
async fn create(namespace: &Namespace, yaml: &str) -> Result<()> {
    namespace.create(&with_pod_label(namespace, yaml).await?).await.map(drop)
}

/// How the Job has ended: its conditions that are true, and the number of pods that failed.
async fn ended(namespace: &Namespace, job: &str) -> Result<String> {
    until_async(LIMIT, "the Job has not ended", async || {
        let job = namespace.api::<Job>().get(job).await?;
        let status = job.status.context("the Job has no status")?;
        let conditions = status.conditions.unwrap_or_default();
        let met: Vec<_> = conditions.iter().filter(|condition| condition.status == "True").collect();
        let is_over = met.iter().any(|condition| matches!(condition.type_.as_str(), "Complete" | "Failed"));
        anyhow::ensure!(is_over, "Job {} is running", job.metadata.name.unwrap_or_default());
        let met: Vec<_> = met.iter().map(|condition| condition.type_.as_str()).collect();
        Ok(format!("{}; {} pods failed", met.join(", "), status.failed.unwrap_or_default()))
    })
    .await
}

/// The identity of the task and the rest of the log of a pod, whose first line is `task.json`.
async fn identity(namespace: &Namespace, pod: &core::Pod) -> Result<(Value, String)> {
    let log = namespace.log(&pod.name_any(), "main").await?;
    let (task, rest) = log.split_once('\n').unwrap_or((&log, ""));
    let mut task: Value = serde_json::from_str(task).with_context(|| format!("parse {task:?}"))?;
    Ok((task["task"].take(), rest.to_owned()))
}

#[tokio::test]
async fn each_index_of_a_job_and_its_second_attempt_know_which_they_are() -> Result<()> {
    Workflow { scheduler: TITLE, name: "an indexed Job with a retry", namespace: "scheduler-job" }
        .run(
            async |namespace| {
                create(namespace, INDEXED).await?;
                ended(namespace, "parts").await
            },
            async |namespace| {
                let mut tasks = Vec::new();
                for pod in namespace.pods("batch.kubernetes.io/job-name=parts").await? {
                    let (mut task, log) = identity(namespace, &pod).await?;
                    assert_eq!(task["run"].take(), pod.labels()["batch.kubernetes.io/controller-uid"]);
                    tasks.push((log, task));
                }
                tasks.sort_by(|(one, _), (other, _)| one.cmp(other));
                let expected = [("0", "0"), ("1", "0"), ("1", "1")].map(|(index, attempt)| {
                    let task = json!({
                        "scheduler": "job", "workflow": "parts", "run": null, "mapIndex": index,
                        "attempt": attempt,
                    });
                    (format!("part {index} after {attempt} failures for the analytics team\n"), task)
                });
                assert_eq!(tasks, expected);
                let maps = namespace.api::<core::ConfigMap>().list(&super::managed()).await?.items;
                let mut outputs: Vec<_> =
                    maps.into_iter().map(|map| map.data.unwrap_or_default()["part"].clone()).collect();
                outputs.sort();
                assert_eq!(outputs, ["0 of attempt 0", "1 of attempt 1"]);
                namespace.api::<Job>().delete("parts", &DeleteParams::background()).await?;
                Ok(())
            },
        )
        .await
}

/// Makes the controller start the Job of the last full minute: it starts those that were missed since the
/// last schedule. Otherwise the scenario would wait for the next minute.
async fn miss_a_schedule(namespace: &Namespace, cron_job: &str) -> Result<()> {
    let api = namespace.api::<CronJob>();
    let last = Timestamp::now() - Duration::from_mins(2);
    let last = json!({"status": {"lastScheduleTime": last.strftime("%Y-%m-%dT%H:%M:00Z").to_string()}});
    api.patch_status(cron_job, &PatchParams::default(), &Patch::Merge(last)).await?;
    let resume = Patch::Merge(json!({"spec": {"suspend": false}}));
    api.patch(cron_job, &PatchParams::default(), &resume).await.map(drop).context("resume the CronJob")
}

#[tokio::test]
async fn a_task_of_a_cron_job_knows_its_minute() -> Result<()> {
    Workflow { scheduler: TITLE, name: "a CronJob", namespace: "scheduler-cronjob" }
        .run(
            async |namespace| {
                create(namespace, CRON_JOB).await?;
                miss_a_schedule(namespace, "report").await?;
                let job = until_async(LIMIT, "the CronJob has no Job", async || {
                    let jobs = namespace.api::<Job>().list(&ListParams::default()).await?.items;
                    jobs.first().map(ResourceExt::name_any).context("no Job found")
                });
                ended(namespace, &job.await?).await
            },
            async |namespace| {
                let pods = namespace.pods("batch.kubernetes.io/job-name").await?;
                let pod = pods.first().context("the Job has no pod")?;
                let job = &pod.labels()["batch.kubernetes.io/job-name"];
                let minute: i64 = job.strip_prefix("report-").context("another name")?.parse()?;
                let time = Timestamp::from_second(minute * 60)?.to_string();
                let (task, log) = identity(namespace, pod).await?;
                let expected = json!({
                    "scheduler": "cronjob", "workflow": "report", "run": job, "scheduledTime": time,
                });
                assert_eq!((task, log.as_str()), (expected, "report for the analytics team\n"));
                namespace.api::<CronJob>().delete("report", &DeleteParams::background()).await?;
                Ok(())
            },
        )
        .await
}

/// `crate::abort` ends Jobs in the other ways.
#[tokio::test]
async fn the_job_of_a_job_that_is_suspended_is_cancelled_and_nothing_is_left() -> Result<()> {
    Workflow { scheduler: TITLE, name: "a Job that is suspended", namespace: "scheduler-suspended" }
        .run_with(
            async |namespace| endings::start(namespace, &json!({})).await,
            async |namespace, ()| {
                let remote = Remote::started(namespace).url();
                create(namespace, &ENDED.replace("REMOTE", &remote)).await?;
                let states = [ended(namespace, "count").await?, ended(namespace, "told").await?];
                endings::end(namespace, endings::CANCELLED, &["report"], async {
                    let suspend = Patch::Merge(json!({"spec": {"suspend": true}}));
                    namespace.api::<Job>().patch("report", &PatchParams::default(), &suspend).await?;
                    Ok(())
                })
                .await?;
                Ok(states.join(", "))
            },
            async |namespace, (), _| {
                endings::check(namespace, &["report"]).await?;
                endings::exist(namespace, [2, 1, 2]).await?;
                let (delete, all) = (DeleteParams::background(), ListParams::default());
                namespace.api::<Job>().delete_collection(&delete, &all).await?;
                Ok(())
            },
        )
        .await
}
