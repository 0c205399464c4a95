//! Kills the container runtime or the kubelet while the hook of a task runs. This tests two statements in
//! docs/reference.md, "When the kubelet kills a container because of its hook".

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::json;

use super::Victim;
use crate::images::BUSYBOX;
use crate::processes::{Node, Process};
use crate::scenario::{LIMIT, Namespace, state};
use crate::wait::until_async;

/// The last argument of the command of the hook, by which its process is found.
const MARKER: &str = "the-hook";

/// Kills each of the two once while a hook runs, and checks the task.
///
/// # Errors
/// If the task does not behave as documented.
pub async fn run(namespace: &Namespace) -> Result<()> {
    let node = Node::of_this_cluster()?;
    let profile = format!("{}-hook", namespace.name());
    let command = ["sh", "-c", "sleep 30; exit 0", MARKER];
    namespace
        .profile_called(
            &profile,
            &json!({"hooks": {"postLaunch": [{"name": "wait", "exec": command, "timeoutSeconds": 60}]}})
                .to_string(),
        )
        .await?;
    for victim in [Victim::Containerd, Victim::Kubelet] {
        let name = format!("hook-{victim}");
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "labels": {"bootlace.dev/task": profile}},
            "spec": {
                "restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
                "containers": [{"name": "main", "image": BUSYBOX, "command": ["sleep", "1000"]}],
            },
        });
        namespace.create(&pod.to_string()).await?;
        let uid = namespace.pod(&name, "created", |pod| pod.uid().is_some()).await?.uid().unwrap_or_default();
        let is_hook = |process: &Process| {
            process.is_in_pod(&uid) && process.argv.last().is_some_and(|last| last == MARKER)
        };
        until_async(LIMIT, "the hook does not run", async || {
            ensure!(!node.find(is_hook).is_empty(), "no process of the hook found");
            Ok(())
        })
        .await?;
        let is_victim = |process: &Process| victim.matches(process, &uid, &name);
        ensure!(node.kill(0, is_victim), "no process of {victim} found");
        let ended = |pod: &Pod| state::has_ended(pod, "main");
        let pod = namespace
            .pod(&name, "ready or ended", |pod| ended(pod) || is_ready(pod))
            .await
            .with_context(|| format!("{victim} was killed"))?;
        let result = if ended(&pod) {
            format!("exited with {}", state::ended(&pod, "main")?.exit_code)
        } else {
            "is still running".to_owned()
        };
        println!("{victim} killed while the hook ran: the task {result}");
        let expected = if victim == Victim::Kubelet { "is still running" } else { "exited with 137" };
        ensure!(result == expected, "the task {result}; expected: {expected}");
    }
    Ok(())
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
}
