//! Spark on Kubernetes, by `spark-submit` and by the operator of Kubeflow. Drivers are tasks; executors only
//! with the pod label.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bootlace_cluster::clients::spark::{DRIVER, IMAGE, Spark, driver, ended};
use bootlace_cluster::scenario::{Namespace, scenario, state};
use bootlace_cluster::wait::until_async;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams};
use serde_json::{Value, json};

use super::Workflow;

const QUERY: &str = "select day, sum(amount) from sales group by day;\n";
/// The time within which an application of the operator must end. Each attempt starts two Java programs.
const ENDED: Duration = Duration::from_mins(5);

fn workflow(name: &'static str) -> Workflow {
    Workflow { scheduler: "Spark 4.3.0", name, namespace: "spark" }
}

/// Deletes the driver, which `spark-submit` keeps.
async fn delete_driver(namespace: &Namespace) -> Result<()> {
    let name = driver(namespace).await?.name_any();
    namespace.api::<Pod>().delete(&name, &DeleteParams::default()).await?;
    Ok(())
}

/// The identity of a driver, from its labels.
fn identity(pod: &Pod, workflow: &str) -> Value {
    let run = &pod.labels()["spark-app-selector"];
    json!({"scheduler": "spark", "workflow": workflow, "run": run, "task": "driver"})
}

/// The identity that a driver has printed.
fn printed_identity(log: &str) -> Result<Value> {
    let line = log.lines().find_map(|line| Some(&line[line.find("{\"task\"")?..]));
    let line = line.with_context(|| format!("no identity is in:\n{log}"))?;
    let file: Value = serde_json::from_str(line).with_context(|| format!("parse {line}"))?;
    Ok(file["task"].clone())
}

#[tokio::test]
async fn a_driver_gets_env_files_and_identity_and_its_executors_are_left_alone() -> Result<()> {
    workflow("a driver and an executor")
        .run(
            async |namespace| {
                Spark::new(namespace).await?.submit("daily-report", "report.py", &[]).await?;
                ended(namespace).await
            },
            async |namespace| {
                let pod = driver(namespace).await?;
                let log = namespace.log(&pod.name_any(), DRIVER).await?;
                for line in [
                    "driver for the analytics team",
                    &format!("/var/assets/query.sql {}", QUERY.trim_end()),
                    "rows: 4950",
                    "executors for nobody",
                ] {
                    assert!(log.lines().any(|printed| printed == line), "{line:?} is not in:\n{log}");
                }
                assert_eq!(printed_identity(&log)?, identity(&pod, "daily-report"));
                delete_driver(namespace).await
            },
        )
        .await
}

#[tokio::test]
async fn a_driver_that_fails_does_so_for_its_own_reason() -> Result<()> {
    workflow("a driver that fails")
        .run(
            async |namespace| {
                Spark::new(namespace).await?.submit("failing", "failing.py", &[]).await?;
                ended(namespace).await
            },
            async |namespace| {
                let pod = driver(namespace).await?;
                assert_eq!(state::ended(&pod, DRIVER)?.exit_code, 3);
                let log = namespace.log(&pod.name_any(), DRIVER).await?;
                assert!(log.contains("failing for the analytics team"), "{log}");
                delete_driver(namespace).await
            },
        )
        .await
}

#[tokio::test]
async fn executors_with_the_pod_label_get_env_too() -> Result<()> {
    scenario("spark-executors")
        .label("bootlace.dev/schedulers", "enabled")
        .run(async |namespace| {
            let label = "spark.kubernetes.executor.label.bootlace.dev/task=true".to_owned();
            let log = Spark::new(namespace).await?.submit("labeled", "report.py", &[label]).await?;
            assert_eq!(ended(namespace).await?, "Succeeded, exit code 0", "{log}");
            let log = namespace.log(&driver(namespace).await?.name_any(), DRIVER).await?;
            assert!(log.lines().any(|line| line == "executors for the analytics team"), "{log}");
            Ok(())
        })
        .await
}

/// The application `flaky`, with the settings of all jobs.
fn application(spark: &Spark) -> Result<Value> {
    let conf: Option<BTreeMap<_, _>> = spark
        .options()
        .iter()
        .map(|option| option.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())))
        .collect();
    let pod = json!({"cores": 1, "coreRequest": "100m", "memory": "512m", "instances": 1, "serviceAccount": "spark"});
    let mut driver = pod.clone();
    driver.as_object_mut().context("not an object")?.remove("instances");
    Ok(json!({
        "apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication", "metadata": {"name": "flaky"},
        "spec": {
            "type": "Python", "mode": "cluster", "pythonVersion": "3", "sparkVersion": "4.3.0",
            "image": IMAGE, "imagePullPolicy": "Never", "mainApplicationFile": "local:///jobs/flaky.py",
            "restartPolicy": {"type": "OnFailure", "onFailureRetries": 1, "onFailureRetryInterval": 1},
            "driver": driver, "executor": pod, "sparkConf": conf.context("an option has no value")?,
        },
    }))
}

fn applications(namespace: &Namespace) -> Api<DynamicObject> {
    namespace.custom_api("sparkoperator.k8s.io", "v1beta2", "SparkApplication")
}

/// Runs the application with an operator, and returns its final state and what its attempts wrote.
async fn run_application(namespace: &Namespace) -> Result<(String, String)> {
    let spark = Spark::new(namespace).await?;
    let mut operator = spark.operator().await?;
    namespace.create(&application(&spark)?.to_string()).await?;
    let state = until_async(ENDED, "the application has not ended", async || {
        if let Err(error) = operator.is_running() {
            return Ok(Err(error));
        }
        let application = applications(namespace).get("flaky").await?;
        let state = application.data.pointer("/status/applicationState/state").and_then(Value::as_str);
        let state = state.unwrap_or_default().to_owned();
        ensure!(["COMPLETED", "FAILED"].contains(&state.as_str()), "its state is {state:?}");
        Ok(Ok(state))
    })
    .await
    .and_then(|state| state)
    .with_context(|| operator.output().unwrap_or_default())?;
    let attempts = std::fs::read_to_string(spark.shared().join("attempts")).context("no driver has run")?;
    Ok((format!("{state} after {} attempts", attempts.lines().count()), attempts))
}

/// Each attempt is a new submission, so it is a new run. Its pod has the same name.
#[tokio::test]
async fn a_driver_that_the_operator_retries_gets_env_and_identity_in_each_attempt() -> Result<()> {
    let last = RefCell::new(String::new());
    let workflow = Workflow {
        scheduler: "Spark operator 2.3.0",
        name: "a driver that is retried",
        namespace: "spark-operator",
    };
    workflow
        .run(
            async |namespace| {
                let (state, attempts) = run_application(namespace).await?;
                last.replace(attempts);
                Ok(state)
            },
            async |namespace| {
                let attempts = last.take();
                let pod = driver(namespace).await?;
                let mut runs = BTreeSet::new();
                for attempt in attempts.lines() {
                    assert!(attempt.starts_with("the analytics team {"), "{attempts}");
                    let printed = printed_identity(attempt)?;
                    let run = printed["run"].as_str().context("the identity has no run")?.to_owned();
                    let expected =
                        json!({"scheduler": "spark", "workflow": "flaky", "run": run, "task": "driver"});
                    assert_eq!(printed, expected);
                    runs.insert(run);
                }
                assert_eq!(runs.len(), 2, "{attempts}");
                assert!(runs.contains(&pod.labels()["spark-app-selector"]), "{attempts}");
                applications(namespace).delete("flaky", &DeleteParams::background()).await?;
                namespace
                    .api::<Pod>()
                    .delete_collection(&DeleteParams::default(), &ListParams::default())
                    .await?;
                Ok(())
            },
        )
        .await
}
