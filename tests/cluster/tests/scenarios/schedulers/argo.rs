//! Workflows of Argo, run by its controller.

use anyhow::{Context as _, Result, ensure};
use bootlace_cluster::abort::Remote;
use bootlace_cluster::clients::argo::{Argo, Ended, TITLE};
use bootlace_cluster::scenario::{Namespace, scenario, servers, state};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::{Workflow, endings, with_pod_label};
use crate::pipes::{pipes, stored};

const ENDED: &str = include_str!("../../../schedulers/argo/workflows/ended.yaml");
/// The workflows in `ENDED`, and the strategies with which they are shut down.
const SHUT_DOWN: [(&str, &str); 2] = [("stop", "Stop"), ("terminate", "Terminate")];
/// The jobs of their last steps.
const JOBS: [&str; 2] = ["stop-report", "terminate-report"];
/// The file that each task prints.
const QUERY: &str = "select day, sum(amount) from sales group by day;";
/// The secret access key of the object store.
const KEY: &str = "not-for-any-log";

/// Runs the workflow in the file `name` with and without Bootlace, and calls `check` afterwards. Then deletes
/// the workflow, with which Kubernetes deletes its outputs.
async fn run(
    workflow: &Workflow,
    file: &str,
    start: impl AsyncFn(&Namespace) -> Result<Argo>,
    check: impl AsyncFnOnce(&Namespace, &Ended) -> Result<()>,
) -> Result<()> {
    let run = async |namespace: &Namespace, argo: &mut Argo| argo.run(namespace, file).await;
    let check = async |namespace: &Namespace, argo: &mut Argo, ended: &Ended| {
        check(namespace, ended).await?;
        for pipe in pipes(namespace).await? {
            let owners = serde_json::to_value(&pipe.metadata.owner_references)?;
            assert_eq!((&owners[0]["kind"], &owners[0]["name"]), (&json!("Workflow"), &json!(ended.name)));
        }
        argo.delete(&ended.name).await
    };
    workflow.run_with(start, run, check).await
}

/// A controller with the default configuration.
async fn controller(namespace: &Namespace) -> Result<Argo> {
    Argo::start(namespace, &json!({})).await
}

/// The pod of a node of the workflow, by the name of the node without that of the workflow. Checks that only
/// `containers` are injected, and no container of Argo.
async fn pod(namespace: &Namespace, ended: &Ended, node: &str, containers: &[&str]) -> Result<Pod> {
    let pods = namespace.pods(&format!("workflows.argoproj.io/workflow={}", ended.name)).await?;
    let name = format!("{}{node}", ended.name);
    let of_node = |pod: &&Pod| pod.annotations().get("workflows.argoproj.io/node-name") == Some(&name);
    let pod = pods.iter().find(of_node).with_context(|| format!("node {name} has no pod"))?;
    let injected: Value = serde_json::from_str(&pod.annotations()["bootlace.dev/injected"])?;
    assert_eq!(injected["containers"], json!(containers));
    Ok(pod.clone())
}

/// What a task has printed, without the messages of Argo's executor, which runs it.
async fn lines(namespace: &Namespace, pod: &Pod, container: &str) -> Result<Vec<String>> {
    let log = namespace.log(&pod.name_any(), container).await?;
    // The executor logs, and prints how the command has failed.
    let of_executor = |line: &&str| line.starts_with("time=") || line.starts_with("Error: exit status ");
    Ok(log.lines().filter(|line| !of_executor(line)).map(str::to_owned).collect())
}

/// Checks that a task has printed the file of its profile, its identity and the lines `rest`, in any order,
/// because a script prints the first two on standard error.
async fn printed(
    namespace: &Namespace,
    pod: &Pod,
    container: &str,
    task: &Value,
    rest: &[&str],
) -> Result<()> {
    let mut lines = lines(namespace, pod, container).await?;
    let task_json = lines.iter().position(|line| line.starts_with('{'));
    let task_json =
        lines.remove(task_json.with_context(|| format!("{container} has not printed task.json: {lines:?}"))?);
    let task_json: Value = serde_json::from_str(&task_json).context("parse task.json")?;
    assert_eq!(&task_json["task"], task);
    let mut expected = [&[QUERY], rest].concat();
    expected.sort_unstable();
    lines.sort_unstable();
    assert_eq!(lines, expected);
    Ok(())
}

#[tokio::test]
async fn a_dag_passes_on_a_parameter_a_result_and_a_pipe() -> Result<()> {
    let workflow =
        Workflow { scheduler: TITLE, name: "a DAG of containers and a script", namespace: "argo-etl" };
    run(&workflow, "etl", controller, async |namespace, ended| {
        assert_eq!(ended.phase, "Succeeded");
        let task = |name| json!({"scheduler": "argo", "run": ended.name, "task": name});
        for (node, rest) in [
            ("extract", &["extracting for the analytics team"][..]),
            ("transform", &["2 rows for the analytics team"]),
            ("load", &["loading 2 rows for the analytics team", "variable: 2,pears", "volume: 1,apples"]),
        ] {
            let pod = pod(namespace, ended, &format!(".{node}"), &["main"]).await?;
            printed(namespace, &pod, "main", &task(node), rest).await?;
        }
        assert_eq!(stored(namespace).await?, ["Rows ConfigMap by extract"]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_retried_item_knows_its_attempt_and_its_last_output_is_read() -> Result<()> {
    let workflow =
        Workflow { scheduler: TITLE, name: "steps, one of which is retried", namespace: "argo-retried" };
    run(&workflow, "retried", controller, async |namespace, ended| {
        assert_eq!(ended.phase, "Succeeded");
        for (node, index, part, attempt, exit_code) in [
            ("[0].write(0:a)(0)", "0", "a", "0", 0),
            ("[0].write(1:b)(0)", "1", "b", "0", 1),
            ("[0].write(1:b)(1)", "1", "b", "1", 0),
        ] {
            let pod = pod(namespace, ended, node, &["main"]).await?;
            let task = json!({
                "scheduler": "argo", "run": ended.name, "task": "write", "mapIndex": index, "attempt": attempt,
            });
            let rest = format!("writing part {part} for the analytics team");
            printed(namespace, &pod, "main", &task, &[&rest]).await?;
            assert_eq!(state::ended(&pod, "main")?.exit_code, exit_code, "{node}");
        }
        let pod = pod(namespace, ended, "[1].collect", &["main"]).await?;
        let task = json!({"scheduler": "argo", "run": ended.name, "task": "collect"});
        let rest = ["collecting for the analytics team", "part a of attempt 0 and part b of attempt 1"];
        printed(namespace, &pod, "main", &task, &rest).await?;
        // The output of the failed attempt was discarded.
        assert_eq!(stored(namespace).await?, ["Part Secret by write"; 2]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn every_container_of_a_container_set_is_a_task() -> Result<()> {
    let workflow = Workflow { scheduler: TITLE, name: "a containerSet", namespace: "argo-container-set" };
    run(&workflow, "container-set", controller, async |namespace, ended| {
        assert_eq!(ended.phase, "Succeeded");
        let task = |name| json!({"scheduler": "argo", "run": ended.name, "task": name});
        let prepare = pod(namespace, ended, ".prepare", &["count", "report"]).await?;
        for (container, line) in [("count", "counting"), ("report", "reporting")] {
            let line = format!("{line} for the analytics team");
            printed(namespace, &prepare, container, &task("prepare"), &[&line]).await?;
        }
        let publish = pod(namespace, ended, ".publish", &["main"]).await?;
        let rest = ["publishing for the analytics team", "report: 2 rows"];
        printed(namespace, &publish, "main", &task("publish"), &rest).await?;
        assert_eq!(stored(namespace).await?, ["Report ConfigMap by prepare"]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn artifacts_are_loaded_and_saved() -> Result<()> {
    let workflow = Workflow { scheduler: TITLE, name: "artifacts in S3", namespace: "argo-artifacts" };
    let start = async |namespace: &Namespace| {
        servers::s3(namespace, KEY, &json!({"orders.csv": "2,pears\n1,apples\n"})).await?;
        let repository = json!({"s3": {
            "endpoint": "store", "bucket": "assets", "insecure": true, "region": "us-east-1",
            "accessKeySecret": {"name": "s3", "key": "AWS_ACCESS_KEY_ID"},
            "secretKeySecret": {"name": "s3", "key": "AWS_SECRET_ACCESS_KEY"},
        }});
        Argo::start(namespace, &json!({"artifactRepository": repository})).await
    };
    run(&workflow, "artifacts", start, async |namespace, ended| {
        assert_eq!(ended.phase, "Succeeded");
        for (node, rest) in [
            ("sort", &["sorting for the analytics team"][..]),
            ("publish", &["publishing for the analytics team", "1,apples", "2,pears"]),
        ] {
            let pod = pod(namespace, ended, &format!(".{node}"), &["main"]).await?;
            let task = json!({"scheduler": "argo", "run": ended.name, "task": node});
            printed(namespace, &pod, "main", &task, rest).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_failed_task_fails_for_its_own_reason_and_the_exit_handler_runs() -> Result<()> {
    let workflow = Workflow {
        scheduler: TITLE,
        name: "a task that fails, and an exit handler",
        namespace: "argo-failing",
    };
    run(&workflow, "failing", controller, async |namespace, ended| {
        assert_eq!(ended.to_string(), "Failed (main: Error (exit code 3))");
        for (node, task, line) in [
            // The workflow consists of one template, so the node has the name of the workflow.
            ("", "fail", "failing for the analytics team"),
            (".onExit", "onExit", "the workflow is Failed, for the analytics team"),
        ] {
            let pod = pod(namespace, ended, node, &["main"]).await?;
            let task = json!({"scheduler": "argo", "run": ended.name, "task": task});
            printed(namespace, &pod, "main", &task, &[line]).await?;
        }
        Ok(())
    })
    .await
}

/// A Secret of the profile with a value that a variable cannot have: it ends with a NUL byte.
const BAD_VALUE: &str = "{apiVersion: v1, kind: Secret, metadata: {name: warehouse-login},
    data: {user: bm90LWZvci1hbnktbG9nAA==}}";

#[tokio::test]
async fn a_boot_that_fails_is_the_message_of_the_node() -> Result<()> {
    scenario("argo-boot")
        .label("bootlace.dev/schedulers", "enabled")
        .run(async |namespace| {
            namespace.create(BAD_VALUE).await?;
            let ended = controller(namespace).await?.run(namespace, "failing").await?;
            let [phase, message] = &ended.nodes[""];
            assert_eq!(phase, "Failed");
            for part in [
                "bootlace-boot: Error (exit code 65): bootlace: source \"warehouse\"",
                "Secret warehouse-login",
                "\"WAREHOUSE_user\"",
                "NUL",
            ] {
                assert!(message.contains(part), "{part:?} is not in {message:?}");
            }
            assert!(!message.contains(KEY), "{message}");
            let pod = pod(namespace, &ended, "", &["main"]).await?;
            assert!(!state::has_ended(&pod, "main"), "the task ran");
            Ok(())
        })
        .await
}

/// The monitor fails the pods of a task that cannot start. Argo tries again as its strategy says.
#[tokio::test]
async fn a_task_that_cannot_start_fails_with_the_cause_and_is_retried() -> Result<()> {
    scenario("argo-launch")
        .label("bootlace.dev/schedulers", "enabled")
        .run(async |namespace| {
            namespace.profile("{launch: {startSeconds: 20}}").await?;
            namespace.default_profile(namespace.name()).await?;
            let ended = controller(namespace).await?.run(namespace, "unpullable").await?;
            assert_eq!(ended.phase, "Failed");
            for attempt in ["(0)", "(1)"] {
                let [phase, message] = &ended.nodes[attempt];
                assert_eq!(phase, "Failed", "{message}");
                for part in ["has not started 20 s after", "localhost/nowhere:1", "[BL6402]"] {
                    assert!(message.contains(part), "{part:?} is not in {message:?}");
                }
            }
            Ok(())
        })
        .await
}

/// Runs two workflows until their last step works, and shuts them down. Returns how both have ended.
async fn shut_down(namespace: &Namespace, argo: &mut Argo) -> Result<String> {
    let text = with_pod_label(namespace, ENDED).await?;
    let text = text.replace("REMOTE", &Remote::started(namespace).url());
    for (name, _) in SHUT_DOWN {
        namespace.create(&text.replace("NAME", name)).await?;
    }
    endings::end(namespace, endings::CANCELLED, &JOBS, async {
        for (name, strategy) in SHUT_DOWN {
            argo.shut_down(name, strategy).await?;
        }
        Ok(())
    })
    .await?;
    let mut states = Vec::new();
    for (name, _) in SHUT_DOWN {
        let ended = argo.ended(name).await?;
        let phase = |node| ended.nodes.get(node).map_or("none", |[phase, _]| phase.as_str());
        let phases = ["[0].count", "[1].report", ".onExit"].map(phase);
        let handler = if name == "stop" { "Succeeded" } else { "none" };
        ensure!(phases == ["Succeeded", "Failed", handler], "{name}: {:?}", ended.nodes);
        states.push(ended.to_string());
    }
    Ok(states.join(", "))
}

/// Argo signals the containers of a step, and does not delete its pod.
#[tokio::test]
async fn the_job_of_a_step_that_is_stopped_or_terminated_is_cancelled_and_nothing_is_left() -> Result<()> {
    Workflow { scheduler: TITLE, name: "two workflows that are shut down", namespace: "argo-ended" }
        .run_with(
            async |namespace| {
                endings::start(namespace, &json!({})).await?;
                controller(namespace).await
            },
            shut_down,
            async |namespace, argo, _| {
                endings::check(namespace, &JOBS).await?;
                endings::exist(namespace, [3, 2, 4]).await?;
                for (name, _) in SHUT_DOWN {
                    argo.delete(name).await?;
                }
                Ok(())
            },
        )
        .await
}
