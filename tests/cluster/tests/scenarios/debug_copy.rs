//! `kubectl debug --copy-to` with another command: the copy has the hook and the init containers, but not the
//! launcher.

use anyhow::Result;
use bootlace_cluster::command::{command, output};
use bootlace_cluster::images::BUSYBOX;
use bootlace_cluster::scenario::{scenario, state};
use serde_json::json;

#[tokio::test]
async fn a_copy_with_another_command_runs_on_and_says_that_it_was_not_launched() -> Result<()> {
    scenario("debug-copy")
        .run(async |namespace| {
            let pod = json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "task", "labels": {"bootlace.dev/task": "true"}},
                "spec": {"restartPolicy": "Never", "containers": [
                    {"name": "main", "image": BUSYBOX, "command": ["sh", "-c", "sleep 1; exit 3"]},
                ]},
            });
            namespace.create(&pod.to_string()).await?;
            namespace.pod_failed("task").await?;
            let mut debug = command("kubectl");
            debug.args([
                "--namespace",
                namespace.name(),
                "debug",
                "task",
                "--copy-to=copy",
                "--container=main",
            ]);
            output(debug.args(["--", "sleep", "3600"])).await?;

            let copy = namespace.pod_ready("copy").await?;
            assert!(copy.metadata.labels.is_none_or(|labels| !labels.contains_key("bootlace.dev/task")));
            // The containers of such a copy share a PID namespace.
            let script = "for process in /proc/[0-9]*; do tr '\\0' ' ' < $process/cmdline; echo; done; \
                          cat /dev/termination-log /var/assets/query.sql";
            let output = namespace.exec("copy", "main", &["sh", "-c", script]).await?;
            let output = String::from_utf8(output.stdout)?;
            for part in
                ["\nsleep 3600 \n", "bootlace: container \"main\": warning: ", "[BL7304]", "select day"]
            {
                assert!(output.contains(part), "{part:?} is not in {output}");
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_task_that_drops_its_env_fails_as_ever() -> Result<()> {
    scenario("debug-copy-dropped")
        .run(async |namespace| {
            let pod = json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "task", "labels": {"bootlace.dev/task": "true"}},
                "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [
                    {"name": "main", "image": BUSYBOX, "command": ["env", "-i", "sh", "-c", "exec env -i /bin/sleep 1000"]},
                ]},
            });
            namespace.create(&pod.to_string()).await?;
            let pod = namespace.container_ended("task", "main").await?;
            let message = state::message(&pod, "main")?;
            let is_expected =
                message.starts_with("bootlace: container \"main\": ") && message.contains("[BL7301]");
            assert!(is_expected, "{message}");
            Ok(())
        })
        .await
}
