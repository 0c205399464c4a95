//! What becomes of a task whose hook is under way when the container runtime or the kubelet is killed: two rows of the table
//! in docs/reference.md, "When the kubelet kills a container because of its hook".

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::json;

use super::Victim;
use crate::images::BUSYBOX;
use crate::processes::{Node, Process};
use crate::scenario::{LIMIT, Namespace, state};
use crate::wait::until_async;

/// The last word of the hook's command, by which its process is found.
const WORD: &str = "the-hook";

/// Kills each of the two once while a hook runs, and looks at the task.
///
/// # Errors
/// Where the task ends, or lives on, otherwise than the docs say.
pub async fn run(namespace: &Namespace) -> Result<()> {
    let node = Node::of_this_cluster()?;
    let profile = format!("{}-hook", namespace.name());
    let command = ["sh", "-c", "sleep 30; exit 0", WORD];
    namespace
        .profile_called(&profile, &json!({"hook": {"timeoutSeconds": 60, "commands": [command]}}).to_string())
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
        let uid = namespace.pod(&name, "there", |pod| pod.uid().is_some()).await?.uid().unwrap_or_default();
        let is_hook = |process: &Process| {
            process.is_in_pod(&uid) && process.argv.last().is_some_and(|last| last == WORD)
        };
        until_async(LIMIT, "the hook does not run", async || {
            ensure!(!node.find(is_hook).is_empty(), "there is no such process");
            Ok(())
        })
        .await?;
        ensure!(node.kill(0, |process| victim.is(process, &uid, &name)), "there is no {victim}");
        let ended = |pod: &Pod| state::has_ended(pod, "main");
        let pod = namespace
            .pod(&name, "told of since", |pod| ended(pod) || is_ready(pod))
            .await
            .with_context(|| format!("{victim} was killed"))?;
        let came = if ended(&pod) {
            format!("ended with {}", state::ended(&pod, "main")?.exit_code)
        } else {
            "runs on".to_owned()
        };
        println!("{victim} killed while a hook runs: the task {came}");
        let expected = if victim == Victim::Kubelet { "runs on" } else { "ended with 137" };
        ensure!(came == expected, "it should have been: {expected}");
    }
    Ok(())
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
}
