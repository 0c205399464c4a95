//! A `DaskJob`: its runner is the task. The scheduler and the workers of its cluster are tasks only with the
//! pod label.

use anyhow::{Context as _, Result, ensure};
use bootlace_cluster::clients::dask::{Dask, api, job};
use bootlace_cluster::scenario::{Namespace, scenario};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use super::task::{identity, value_in_log};
use super::{Workflow, delete_pipes};
use crate::pipes::stored;

const SCHEDULER: &str = "dask-kubernetes 2026.3.0";
/// The name of the `DaskJob`.
const NAME: &str = "daily-report";

/// Runs one `DaskJob` with and without Bootlace. `check` gets the log of its runner and the expected
/// identity. Then deletes the `DaskJob`, with its runner.
async fn run(
    workflow: Workflow,
    job: &Value,
    check: impl AsyncFnOnce(&Namespace, &str, Value) -> Result<()>,
) -> Result<()> {
    workflow
        .run_with(
            Dask::start,
            async |namespace, dask| dask.run(namespace, job).await,
            async |namespace, _, _| {
                let jobs = api(namespace, "DaskJob");
                let uid = jobs.get(NAME).await?.uid();
                let identity =
                    json!({"scheduler": "dask", "workflow": NAME, "run": uid, "task": "job-runner"});
                check(namespace, &log(namespace, NAME).await?, identity).await?;
                jobs.delete(NAME, &DeleteParams::background()).await?;
                Ok(())
            },
        )
        .await
}

async fn log(namespace: &Namespace, job: &str) -> Result<String> {
    namespace.log(&format!("{job}-runner"), "job").await
}

/// The pods of the cluster are deleted with it, so that only the worker itself can say what it has got. The
/// command of the runner is unknown, so it gets its env from a Secret.
#[tokio::test]
async fn a_runner_gets_env_files_and_identity_and_its_workers_are_left_alone() -> Result<()> {
    let workflow = Workflow { scheduler: SCHEDULER, name: "a DaskJob", namespace: "dask" };
    run(workflow, &job(NAME, "report.py")?, async |_, log, expected| {
        assert_eq!(value_in_log(log, "rows")?, "285");
        assert_eq!(value_in_log(log, "greeting")?, "the analytics team");
        assert_eq!(value_in_log(log, "query")?, "select day, sum(amount) from sales group by day;");
        assert_eq!(identity(log)?, expected);
        assert_eq!(value_in_log(log, "worker")?, "nobody");
        Ok(())
    })
    .await
}

/// Runners are restarted in the same pod, which is the default of the operator.
#[tokio::test]
async fn a_runner_that_is_restarted_gets_env_and_identity_in_each_attempt() -> Result<()> {
    let workflow =
        Workflow { scheduler: SCHEDULER, name: "a runner that is restarted", namespace: "dask-restarted" };
    run(workflow, &job(NAME, "flaky.py")?, async |_, log, expected| {
        let lines: Vec<_> = log.lines().collect();
        let [greeting, task, second @ ..] = &lines[..] else { anyhow::bail!("{log}") };
        for attempt in [format!("{greeting}\n{task}\n"), second.join("\n")] {
            assert_eq!(value_in_log(&attempt, "greeting")?, "the analytics team");
            assert_eq!(identity(&attempt)?, expected);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_runner_that_fails_fails_the_job() -> Result<()> {
    let workflow = Workflow { scheduler: SCHEDULER, name: "a runner that fails", namespace: "dask-failing" };
    let mut job = job(NAME, "failing.py")?;
    job["spec"]["job"]["spec"]["restartPolicy"] = json!("Never");
    run(workflow, &job, async |_, log, _| {
        assert_eq!(log, "failing for the analytics team\n");
        Ok(())
    })
    .await
}

/// The operator does not order jobs. Here, a client creates the second one when the first one has ended, and
/// both name the run.
#[tokio::test]
async fn an_output_reaches_the_next_job_of_the_run() -> Result<()> {
    let with = |name: &str, program: &str, annotation: &str, value: &str| {
        let mut job = job(name, program)?;
        job["spec"]["job"]["metadata"] = json!({"annotations": {
            "bootlace.dev/run": "2026-01-02", "bootlace.dev/workflow": "nightly", annotation: value,
        }});
        anyhow::Ok(job)
    };
    let output = "[{key: Report, file: /out/report.txt, kind: ConfigMap}]";
    let write = with("write", "write.py", "bootlace.dev/pipe-out", output)?;
    let read = with("read", "read.py", "bootlace.dev/pipe-in", "[{key: Report, mountPath: /in}]")?;
    let workflow =
        Workflow { scheduler: SCHEDULER, name: "an output for the next DaskJob", namespace: "dask-pipe" };
    workflow
        .run_with(
            Dask::start,
            async |namespace, dask| {
                let first = dask.run(namespace, &write).await?;
                Ok(format!("{first}, {}", dask.run(namespace, &read).await?))
            },
            async |namespace, _, _| {
                assert_eq!(log(namespace, "read").await?, "report written by a runner\n");
                assert_eq!(stored(namespace).await?, ["Report ConfigMap by job-runner"]);
                for job in ["write", "read"] {
                    api(namespace, "DaskJob").delete(job, &DeleteParams::background()).await?;
                }
                delete_pipes(namespace).await
            },
        )
        .await
}

/// The `DaskJob` owns an output if its runner does not name another run.
#[tokio::test]
async fn an_output_is_deleted_with_its_job() -> Result<()> {
    let workflow =
        Workflow { scheduler: SCHEDULER, name: "a runner with an output", namespace: "dask-output" };
    let mut job = job(NAME, "write.py")?;
    job["spec"]["job"]["metadata"] = json!({"annotations": {
        "bootlace.dev/pipe-out": "[{key: Report, file: /out/report.txt, kind: ConfigMap}]",
    }});
    run(workflow, &job, async |namespace, _, _| {
        assert_eq!(stored(namespace).await?, ["Report ConfigMap by job-runner"]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn workers_with_the_pod_label_get_env_too() -> Result<()> {
    scenario("dask-workers")
        .label("bootlace.dev/schedulers", "enabled")
        .run(async |namespace| {
            let mut job = job(NAME, "report.py")?;
            job["spec"]["cluster"]["spec"]["worker"]["metadata"] =
                json!({"labels": {"bootlace.dev/task": "true"}});
            let mut dask = Dask::start(namespace).await?;
            assert_eq!(dask.run(namespace, &job).await?, "Successful");
            assert_eq!(value_in_log(&log(namespace, NAME).await?, "worker")?, "the analytics team");
            let runner = namespace.api::<Pod>().get(&format!("{NAME}-runner")).await;
            let runner = runner.context("the runner was deleted")?;
            ensure!(
                runner.annotations().contains_key("bootlace.dev/injected"),
                "the runner was not injected"
            );
            Ok(())
        })
        .await
}
