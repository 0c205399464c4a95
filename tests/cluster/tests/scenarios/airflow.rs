//! Pods of Airflow, from DAGs that do not mention Bootlace.

use anyhow::{Context as _, Result, anyhow};
use bootlace_cluster::airflow::{Airflow, DagRun};
use bootlace_cluster::scenario::{Namespace, Scenario, kubeconfig, scenario, state};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::schedulers::{endings, nothing_left};

const QUERY: &str = "select day, sum(amount) from sales group by day;\n";

/// A namespace that has opted in the pods of Airflow.
fn opted_in(name: &'static str) -> Scenario {
    scenario(name).label("bootlace.dev/schedulers", "enabled")
}

async fn run(namespace: &Namespace, dag: &str) -> Result<DagRun> {
    Airflow::new(&kubeconfig()?, namespace.name()).await?.run(dag, "2026-01-01").await
}

/// The pods of a task.
async fn pods(namespace: &Namespace, task: &str) -> Result<Vec<Pod>> {
    namespace.pods(&format!("kubernetes_pod_operator=True,task_id={task}")).await
}

/// The first line of the log of boot, which contains the identity of the task.
async fn boot_identity(namespace: &Namespace, pod: &Pod) -> Result<String> {
    let log = namespace.log(&pod.name_any(), "bootlace-boot").await?;
    Ok(log.lines().next().unwrap_or_default().to_owned())
}

fn containers(pod: &Pod) -> Vec<&str> {
    pod.spec.iter().flat_map(|spec| &spec.containers).map(|container| container.name.as_str()).collect()
}

fn injected(pod: &Pod) -> Option<Value> {
    pod.annotations()
        .get("bootlace.dev/injected")
        .map(|text| serde_json::from_str(text).expect("the annotation is JSON"))
}

#[tokio::test]
async fn every_task_of_a_dag_gets_env_files_and_a_secret() -> Result<()> {
    opted_in("airflow-etl")
        .run(async |namespace| {
            let secret = "{apiVersion: v1, kind: Secret, metadata: {name: warehouse-login},
                stringData: {PASSWORD: not-for-any-log}}";
            namespace.create(secret).await?;
            let run = run(namespace, "etl").await?;
            assert!(run.succeeded, "{}", run.log);
            // The log that users see in Airflow.
            for line in [
                "extracting for the analytics team",
                "select day, sum(amount)",
                "loading for the analytics team",
            ] {
                assert!(run.log.contains(line), "{line:?} is not in:\n{}", run.log);
            }
            assert!(!run.log.contains("not-for-any-log"));
            for (task, expected) in [
                ("extract", format!("extracting for the analytics team\n{QUERY}")),
                ("load", "loading for the analytics team\n1 /var/assets/query.sql\n".to_owned()),
            ] {
                let pods = pods(namespace, task).await?;
                let [pod] = &pods[..] else { panic!("task {task} has {} pods", pods.len()) };
                assert_eq!(namespace.log(&pod.name_any(), "base").await?, expected);
                let run_id = &pod.labels()["run_id"];
                let expected = format!("task {task} of etl, run {run_id}, attempt 1");
                let identity = boot_identity(namespace, pod).await?;
                assert!(identity.contains(&expected), "{expected:?} is not in {identity:?}");
                let boot = namespace.log(&pod.name_any(), "bootlace-boot").await?;
                assert!(
                    boot.contains("(Secret warehouse-login): 1 variable") && !boot.contains("not-for-any"),
                    "{boot}"
                );
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn what_a_task_returns_reaches_airflow_and_the_sidecar_is_left_alone() -> Result<()> {
    opted_in("airflow-xcom")
        .run(async |namespace| {
            let run = run(namespace, "xcom").await?;
            assert!(run.succeeded, "{}", run.log);
            assert!(run.log.contains("the task returned {'greeting': 'the analytics team'}"), "{}", run.log);
            let pods = pods(namespace, "answer").await?;
            let [pod] = &pods[..] else { panic!("{} pods", pods.len()) };
            assert_eq!(containers(pod), ["base", "airflow-xcom-sidecar"]);
            assert_eq!(injected(pod).expect("the pod was injected")["containers"], json!(["base"]));
            let sidecar = pod
                .spec
                .as_ref()
                .and_then(|spec| spec.containers.get(1))
                .expect("the pod has two containers");
            assert_eq!(sidecar.lifecycle, None);
            let mounts =
                sidecar.volume_mounts.iter().flatten().filter(|mount| mount.name.starts_with("bootlace"));
            assert_eq!(mounts.count(), 0);
            // Airflow ends the sidecar when it has read the return value of the task.
            let pod = namespace.container_ended(&pod.name_any(), "airflow-xcom-sidecar").await?;
            assert_eq!(state::ended(&pod, "airflow-xcom-sidecar")?.exit_code, 0);
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_task_that_fails_does_so_for_its_own_reason() -> Result<()> {
    opted_in("airflow-failing")
        .run(async |namespace| {
            let run = run(namespace, "failing").await?;
            assert!(!run.succeeded, "{}", run.log);
            assert!(run.log.contains("failing for the analytics team"), "{}", run.log);
            let pods = pods(namespace, "fails").await?;
            let [pod] = &pods[..] else { panic!("{} pods", pods.len()) };
            let ended = state::ended(pod, "base")?;
            assert_eq!((ended.exit_code, ended.message.as_deref()), (3, None));
            assert!(injected(pod).is_some());
            Ok(())
        })
        .await
}

#[tokio::test]
async fn each_part_of_a_mapped_task_knows_which_it_is() -> Result<()> {
    opted_in("airflow-mapped")
        .run(async |namespace| {
            let run = run(namespace, "mapped").await?;
            assert!(run.succeeded, "{}", run.log);
            let pods = pods(namespace, "each").await?;
            assert_eq!(pods.len(), 3);
            for pod in &pods {
                let index: usize = pod.labels()["map_index"].parse()?;
                let part = ["a", "b", "c"][index];
                let log = namespace.log(&pod.name_any(), "base").await?;
                assert_eq!(log, format!("part {part} for the analytics team\n"));
                let run_id = &pod.labels()["run_id"];
                let expected = format!("task each of mapped, run {run_id}, map index {index}, attempt 1");
                let identity = boot_identity(namespace, pod).await?;
                assert!(identity.contains(&expected), "{expected:?} is not in {identity:?}");
            }
            Ok(())
        })
        .await
}

/// A Secret of the profile with a value that a variable cannot have: it ends with a NUL byte.
const BAD_VALUE: &str = "{apiVersion: v1, kind: Secret, metadata: {name: warehouse-login},
    data: {user: bm90LWZvci1hbnktbG9nAA==}}";

/// Parts of the termination message of boot.
const BAD_VALUE_PARTS: [&str; 5] =
    ["bootlace: source \"warehouse\"", "Secret warehouse-login", "\"default\"", "\"WAREHOUSE_user\"", "NUL"];

/// The provider (10.25) follows only the log of `base`, even with `init_container_logs`, because it only
/// lists the init containers that it has created itself. For a pod that failed before `base`, it prints the
/// name of the pod and its manifest at creation. The message is only in the status of the pod, which the
/// operator keeps or deletes as configured in the DAG.
#[tokio::test]
async fn a_boot_that_fails_fails_the_task_and_the_pod_says_why() -> Result<()> {
    opted_in("airflow-boot")
        .run(async |namespace| {
            namespace.create(BAD_VALUE).await?;
            let run = run(namespace, "failing").await?;
            assert!(!run.succeeded, "{}", run.log);
            let pods = pods(namespace, "fails").await?;
            let [pod] = &pods[..] else { panic!("{} pods", pods.len()) };
            assert_eq!(state::ended(pod, "bootlace-boot")?.exit_code, 65);
            let message = state::message(pod, "bootlace-boot")?;
            for part in BAD_VALUE_PARTS {
                assert!(message.contains(part), "{part:?} is not in {message:?}");
            }
            assert!(!state::has_ended(pod, "base"), "the task ran");
            assert!(run.log.contains(&format!("Pod {} returned a failure", pod.name_any())), "{}", run.log);
            assert!(!run.log.contains("not-for-any-log"), "{}", run.log);
            Ok(())
        })
        .await
}

/// The log of the task in Airflow contains the cause: the provider (10.25) prints the Events of a pod that
/// has not started, every five seconds. It stops when the pod has failed, so it does not print that of the
/// monitor.
#[tokio::test]
async fn a_task_that_cannot_start_fails_with_the_cause_in_its_log() -> Result<()> {
    opted_in("airflow-launch")
        .run(async |namespace| {
            namespace.profile("{launch: {startSeconds: 20}}").await?;
            namespace.default_profile(namespace.name()).await?;
            let run = run(namespace, "never_starts").await?;
            assert!(!run.succeeded, "{}", run.log);
            for part in ["secret \"nowhere\" not found", "Pod has reached Failed phase before launch timeout"]
            {
                assert!(run.log.contains(part), "{part:?} is not in {}", run.log);
            }
            let pods = pods(namespace, "waits").await?;
            let [pod] = &pods[..] else { panic!("{} pods", pods.len()) };
            let message =
                pod.status.as_ref().and_then(|status| status.message.as_deref()).unwrap_or_default();
            for part in ["has not started 20 s after", "secret \"nowhere\" not found", "[BL6402]"] {
                assert!(message.contains(part), "{part:?} is not in {message:?}");
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_namespace_that_has_not_opted_in_is_left_alone() -> Result<()> {
    scenario("airflow-plain")
        .run(async |namespace| {
            let run = run(namespace, "xcom").await?;
            assert!(run.succeeded, "{}", run.log);
            assert!(run.log.contains("the task returned {'greeting': ''}"), "{}", run.log);
            let pods = pods(namespace, "answer").await?;
            let [pod] = &pods[..] else { panic!("{} pods", pods.len()) };
            assert_eq!(injected(pod), None);
            let spec = pod.spec.as_ref().expect("a pod has a spec");
            assert_eq!(spec.init_containers, None);
            Ok(())
        })
        .await
}

/// The operator deletes the pod. `crate::schedulers::airflow` sets a task to failed with the API of Airflow.
/// The outputs expire 90 seconds after they were stored, because no object is the run.
#[tokio::test]
async fn the_job_of_a_task_that_airflow_ends_is_cancelled_and_nothing_is_left() -> Result<()> {
    opted_in("airflow-ended")
        .run(async |namespace| {
            endings::start(namespace, &json!({"timeToLiveSeconds": 90})).await?;
            let airflow = Airflow::new(&kubeconfig()?, namespace.name()).await?;
            let (end, moment) = oneshot::channel();
            let run = airflow.run_and_end("ended", "2026-01-01", moment);
            let ended = endings::end(namespace, endings::CANCELLED, &["report"], async {
                endings::exist(namespace, [1, 1, 2]).await?;
                end.send(()).map_err(|()| anyhow!("Airflow has exited"))
            });
            let (run, ended) = tokio::join!(run, ended);
            let run = run?;
            ended.with_context(|| run.log.clone())?;
            endings::check(namespace, &["report"]).await?;
            nothing_left(namespace).await
        })
        .await
}
