//! The progress of tasks: from the file that a task writes to the annotation of its pod.

use anyhow::{Context, Result, ensure};
use bootlace_cluster::images::BUSYBOX;
use bootlace_cluster::scenario::{Namespace, scenario};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

fn pod(namespace: &Namespace, name: &str, command: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"bootlace.dev/task": namespace.name()}},
        "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 5, "containers": [
            {"name": "main", "image": BUSYBOX, "command": ["sh", "-ec", command]},
        ]},
    })
}

fn progress(pod: &Pod) -> Option<&str> {
    pod.metadata.annotations.as_ref()?.get("bootlace.dev/progress").map(String::as_str)
}

/// Waits until a pod reports this progress.
async fn reports(namespace: &Namespace, name: &str, line: &str) -> Result<()> {
    let state = format!("reporting the progress {line:?}");
    namespace.pod(name, &state, |pod| progress(pod) == Some(line)).await.map(drop)
}

#[tokio::test]
async fn a_task_reports_its_progress_whatever_it_writes() -> Result<()> {
    scenario("progress")
        .run(async |namespace| {
            namespace.profile("{progress: {enabled: true}}").await?;
            // A million lines by a user that is not the sidecar's, with a strict umask, and then a last one.
            let flood = "umask 077; seq 1000000 | sed 's,$,/1000000,' >> $BOOTLACE_PROGRESS || true
                echo '1000000/1000000 done' > $BOOTLACE_PROGRESS";
            let mut flooding = pod(namespace, "floods", flood);
            flooding["spec"]["containers"][0]["securityContext"] = json!({"runAsUser": 1234});
            namespace.create(&flooding.to_string()).await?;
            let rubbish = "head -c 100000 /dev/urandom > $BOOTLACE_PROGRESS; printf '\\n\\033[2J\\001 1/2 \\377\\n' >> $BOOTLACE_PROGRESS";
            namespace.create(&pod(namespace, "rubbish", rubbish).to_string()).await?;
            namespace.create(&pod(namespace, "silent", "true").to_string()).await?;
            // A task that links its file to the token of the sidecar.
            let link = "ln -sf /bootlace-store/token $BOOTLACE_PROGRESS; sleep 7; rm $BOOTLACE_PROGRESS; echo clean > $BOOTLACE_PROGRESS";
            namespace.create(&pod(namespace, "links", link).to_string()).await?;

            namespace.pod_succeeded("floods").await?;
            reports(namespace, "floods", "1000000/1000000 done").await?;
            reports(namespace, "rubbish", "[2J 1/2 \u{fffd}").await?;
            reports(namespace, "links", "clean").await?;
            let silent = namespace.pod_succeeded("silent").await?;
            ensure!(progress(&silent).is_none(), "{silent:?}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn progress_is_shown_while_the_task_runs() -> Result<()> {
    scenario("progress-runs")
        .run(async |namespace| {
            namespace.profile("{progress: {enabled: true}}").await?;
            let command = "echo '1/3 first' > $BOOTLACE_PROGRESS; until [ -e /tmp/next ]; do sleep 0.1; done
                echo '2/3 second' >> $BOOTLACE_PROGRESS; sleep 3600";
            namespace.create(&pod(namespace, "task", command).to_string()).await?;
            reports(namespace, "task", "1/3 first").await?;
            namespace.exec("task", "main", &["touch", "/tmp/next"]).await?;
            reports(namespace, "task", "2/3 second").await?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn the_progress_file_of_argo_is_read() -> Result<()> {
    scenario("progress-argo")
        .run(async |namespace| {
            namespace.profile("{progress: {enabled: true}}").await?;
            let command = "echo 40/100 > $ARGO_PROGRESS_FILE; sleep 3600";
            let mut task = pod(namespace, "task", command);
            let spec = task["spec"].as_object_mut().context("a spec")?;
            spec.insert("volumes".to_owned(), json!([{"name": "var-run-argo", "emptyDir": {}}]));
            let container = &mut spec["containers"][0];
            container["env"] = json!([{"name": "ARGO_PROGRESS_FILE", "value": "/var/run/argo/progress"}]);
            container["volumeMounts"] = json!([{"name": "var-run-argo", "mountPath": "/var/run/argo"}]);
            namespace.create(&task.to_string()).await?;
            reports(namespace, "task", "40/100").await
        })
        .await
}
