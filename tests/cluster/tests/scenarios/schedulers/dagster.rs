//! Dagster with `K8sRunLauncher`: steps as pods, `k8s_job_op`, and Dagster Pipes.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use bootlace_cluster::clients::dagster::{self, Run};
use bootlace_cluster::scenario::Namespace;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::{Workflow, delete_pipes};
use crate::pipes::stored;

const QUERY: &str = "select day, sum(amount) from sales group by day;";

fn workflow(name: &'static str, namespace: &'static str) -> Workflow {
    Workflow { scheduler: "Dagster 1.13.27", name, namespace }
}

/// Installs Dagster, runs the job, and returns the state of the run.
async fn run(namespace: &Namespace, job: &str) -> Result<String> {
    dagster::install(namespace, dagster::JOBS).await?;
    Ok(dagster::run(namespace, job).await?.state)
}

/// The pods of a run, except those of Dagster Pipes, which have no label with the run.
async fn pods(namespace: &Namespace, run: &Run) -> Result<Vec<Pod>> {
    namespace.pods(&format!("dagster/run-id={}", run.id)).await
}

/// The pod of a step or op.
async fn pod_of(namespace: &Namespace, run: &Run, step: &str) -> Result<String> {
    let pods = namespace.pods(&format!("dagster/run-id={},dagster/op={step}", run.id)).await?;
    let [pod] = &pods[..] else { anyhow::bail!("step {step} has {} pods", pods.len()) };
    Ok(pod.name_any())
}

/// What a task has got, from its log: the greeting from the env, the file, and the identity of the task.
fn seen(log: &str) -> Result<(String, String, Value)> {
    let value = |key: &str| {
        let line = log.lines().find_map(|line| line.strip_prefix(key));
        line.map(str::to_owned).with_context(|| format!("no line starts with {key:?} in:\n{log}"))
    };
    let task: Value = serde_json::from_str(&value("/bootlace/task.json: ")?)?;
    Ok((value("greeting: ")?, value("/var/assets/query.sql: ")?, task["task"].clone()))
}

/// Checks that the task has got the env and the file of the profile, and returns its identity: scheduler,
/// workflow, run, task, attempt and map index, as far as they are known.
fn identity(log: &str) -> Result<String> {
    let (greeting, query, task) = seen(log)?;
    ensure!((greeting.as_str(), query.as_str()) == ("the analytics team", QUERY), "{greeting:?} {query:?}");
    let fields = ["scheduler", "workflow", "run", "task", "attempt", "mapIndex"];
    Ok(fields.map(|field| task[field].as_str().unwrap_or("-")).join(" "))
}

#[tokio::test]
async fn each_step_and_attempt_knows_which_it_is() -> Result<()> {
    workflow("steps, of which two are dynamic and one is retried", "dagster-steps")
        .run(
            async |namespace| run(namespace, "sales").await,
            async |namespace| {
                let run = dagster::ended(namespace, "sales").await?;
                let mut found = BTreeSet::new();
                for pod in pods(namespace, &run).await? {
                    let log = namespace.log(&pod.name_any(), "dagster").await?;
                    // The code of a job does not run in the run worker. Only its boot shows that it was
                    // injected.
                    if pod.labels()["app.kubernetes.io/component"] == "run_worker" {
                        let boot = namespace.log(&pod.name_any(), "bootlace-boot").await?;
                        let expected = format!("sales, run {}, attempt 0", run.id);
                        ensure!(boot.contains(&expected), "{expected:?} is not in {boot:?}");
                        continue;
                    }
                    found.insert(identity(&log)?);
                }
                let expected = ["extract 0 -", "load 0 east", "load 0 west", "check 0 -", "check 1 -"];
                let expected = expected.map(|task| format!("dagster sales {} {task}", run.id));
                assert_eq!(found, BTreeSet::from(expected));
                Ok(())
            },
        )
        .await
}

#[tokio::test]
async fn a_step_that_fails_fails_the_run() -> Result<()> {
    workflow("a step that fails", "dagster-failing")
        .run(
            async |namespace| {
                let state = run(namespace, "failing").await?;
                ensure!(state.starts_with("FAILURE"), "the run ended as {state}");
                Ok(state)
            },
            async |namespace| {
                let run = dagster::ended(namespace, "failing").await?;
                let log = namespace.log(&pod_of(namespace, &run, "fail").await?, "dagster").await?;
                identity(&log).map(drop)
            },
        )
        .await
}

/// The run worker creates the Job of the second step as soon as the first one has written its result to the
/// database. The output is stored after that, and until then the webhook refuses the pod, which the Job
/// controller creates again.
#[tokio::test]
async fn a_step_takes_the_output_of_the_step_before_it() -> Result<()> {
    workflow("a step with an output, and one that reads it", "dagster-pipe")
        .run(
            async |namespace| run(namespace, "handover").await,
            async |namespace| {
                let run = dagster::ended(namespace, "handover").await?;
                let log = namespace.log(&pod_of(namespace, &run, "read").await?, "dagster").await?;
                ensure!(log.contains("report: written by write"), "{log}");
                assert_eq!(stored(namespace).await?, ["Report ConfigMap by write"]);
                delete_pipes(namespace).await
            },
        )
        .await
}

/// `k8s_job_op` deletes the Job of a failed attempt, so that only the pod of the second one is left.
#[tokio::test]
async fn an_op_that_runs_another_image_knows_its_attempt() -> Result<()> {
    workflow("k8s_job_op, retried", "dagster-job-op")
        .run(
            async |namespace| run(namespace, "job_op").await,
            async |namespace| {
                let run = dagster::ended(namespace, "job_op").await?;
                let pod = pod_of(namespace, &run, "query").await?;
                let expected = format!("dagster job_op {} query 1 -", run.id);
                assert_eq!(identity(&namespace.log(&pod, "dagster").await?)?, expected);
                warns_about_outputs(namespace, &pod).await
            },
        )
        .await
}

/// Checks that the same pod with an output has a warning with the remedy, which the next scenario uses.
async fn warns_about_outputs(namespace: &Namespace, pod: &str) -> Result<()> {
    let pod = namespace.api::<Pod>().get(pod).await?;
    let mut labels = pod.labels().clone();
    labels.retain(|key, _| !key.contains("controller-uid"));
    let copy = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "with-an-output", "labels": labels,
            "annotations": {"bootlace.dev/pipe-out": "[{key: Report, file: /tmp/report.txt, kind: ConfigMap}]"},
        },
        "spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "dagster", "image": bootlace_cluster::images::BUSYBOX, "command": ["true"]}],
        },
    });
    let created = namespace.dry_run(&copy.to_string()).await?;
    let warnings = created.first().context("no pod was created")?.warnings.join("\n");
    ensure!(warnings.contains("set restart_policy to OnFailure in pod_spec_config"), "{warnings:?}");
    Ok(())
}

#[tokio::test]
async fn an_op_with_an_output_works_if_its_pod_may_be_restarted() -> Result<()> {
    workflow("k8s_job_op with an output", "dagster-job-op-pipe")
        .run(
            async |namespace| run(namespace, "job_op_with_output").await,
            async |namespace| {
                let run = dagster::ended(namespace, "job_op_with_output").await?;
                let pod = pod_of(namespace, &run, "read_file").await?;
                assert_eq!(namespace.log(&pod, "dagster").await?, "report: written by an op\n");
                assert_eq!(stored(namespace).await?, ["Report ConfigMap by write_file"]);
                delete_pipes(namespace).await
            },
        )
        .await
}

/// Dagster Pipes deletes a pod as soon as its containers have ended. The log of the run worker contains the
/// logs of its pods.
#[tokio::test]
async fn dagster_pipes_gets_messages_and_outputs() -> Result<()> {
    workflow("Dagster Pipes with an output", "dagster-pipes")
        .run(
            async |namespace| run(namespace, "pipes").await,
            async |namespace| {
                let run = dagster::ended(namespace, "pipes").await?;
                let pods = pods(namespace, &run).await?;
                let [worker] = &pods[..] else { anyhow::bail!("the run has {} pods", pods.len()) };
                let log = namespace.log(&worker.name_any(), "dagster").await?;
                for expected in ["messages: a message from pipes", "report: written through Pipes"] {
                    ensure!(log.contains(expected), "{expected:?} is not in:\n{log}");
                }
                assert_eq!(identity(&log)?, format!("annotation - {} read-by-pipes - -", run.id));
                assert_eq!(stored(namespace).await?, ["Report ConfigMap by write-by-pipes"]);
                delete_pipes(namespace).await
            },
        )
        .await
}
