//! Tests the table in docs/reference.md, "When the kubelet kills a container because of its hook". The rows
//! for a restarted runtime or kubelet are part of `bootlace-cluster kill`, because no other scenario can run
//! at the same time.

use anyhow::{Context as _, Result, ensure};
use bootlace_cluster::images::BUSYBOX;
use bootlace_cluster::scenario::{LIMIT, Namespace, scenario, state};
use bootlace_cluster::wait::until_async;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::ListParams;
use serde_json::{Value, json};

/// A profile whose hook runs `command`.
fn profile(command: &[&str]) -> String {
    let sources = json!([{"name": "settings", "inline": {"env": {"GREETING": "hello"}}}]);
    let hook = json!({"name": "check", "exec": command, "timeoutSeconds": 60});
    json!({"sources": sources, "hook": {"timeoutSeconds": 60}, "hooks": {"postLaunch": [hook]}}).to_string()
}

fn pod(name: &str, profile: &str, script: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"bootlace.dev/task": profile}},
        "spec": {
            "restartPolicy": "Never",
            // `sleep` as the first process ignores SIGTERM.
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "main", "image": BUSYBOX, "command": ["sh", "-c", script]}],
        },
    })
}

/// Waits until the kubelet has recorded an event with this reason for the pod, and returns its message.
async fn event(namespace: &Namespace, pod: &str, reason: &str) -> Result<String> {
    let selector = ListParams::default().fields(&format!("involvedObject.name={pod},reason={reason}"));
    until_async(LIMIT, "the kubelet recorded no event", async || {
        let events = namespace.api::<Event>().list(&selector).await?.items;
        let event = events.into_iter().next().with_context(|| format!("pod {pod} has no event {reason}"))?;
        Ok(event.message.unwrap_or_default())
    })
    .await
}

/// The exit code and the termination message of the container.
fn end(pod: &Pod) -> Result<(i32, &str)> {
    Ok((state::ended(pod, "main")?.exit_code, state::message(pod, "main")?.trim_end()))
}

#[tokio::test]
async fn a_task_that_ends_while_its_hook_runs_keeps_its_own_result() -> Result<()> {
    scenario("hook-outlived")
        .run(async |namespace| {
            namespace.profile(&profile(&["sleep", "50"])).await?;
            for (name, code, phase) in [("succeeds", 0, "Succeeded"), ("fails", 3, "Failed")] {
                namespace
                    .create(&pod(name, namespace.name(), &format!("sleep 1; exit {code}")).to_string())
                    .await?;
                let ended = namespace.container_ended(name, "main").await?;
                assert_eq!(end(&ended)?, (code, ""), "{name}");
                assert_eq!(state::restarts(&ended, "main"), 0, "{name}");
                let ended = namespace.pod(name, phase, |pod| {
                    pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some(phase)
                });
                ended.await?;
                event(namespace, name, "FailedPostStartHook").await?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_killed_hook_ends_the_task_without_a_message() -> Result<()> {
    scenario("hook-killed")
        .run(async |namespace| {
            // The parent of the command is the hook.
            namespace.profile(&profile(&["sh", "-c", "kill -9 $PPID"])).await?;
            namespace.create(&pod("task", namespace.name(), "exec sleep 1000").to_string()).await?;
            let ended = namespace.container_ended("task", "main").await?;
            assert_eq!(end(&ended)?, (137, ""));
            let message = event(namespace, "task", "FailedPostStartHook").await?;
            event(namespace, "task", "Killing").await?;
            // The event does not contain the output of the hook, because more users can read events than
            // logs.
            assert!(!message.contains("hello"), "{message}");
            Ok(())
        })
        .await
}

/// The kernel kills a program of the hook: with cgroup v1 only that program, with v2 all processes of the
/// container.
#[tokio::test]
async fn a_hook_that_exceeds_the_memory_limit_ends_the_task() -> Result<()> {
    scenario("hook-memory")
        .run(async |namespace| {
            namespace.profile(&profile(&["sh", "-c", "head -c 200000000 /dev/zero | tail"])).await?;
            let mut pod = pod("task", namespace.name(), "exec sleep 1000");
            pod["spec"]["containers"][0]["resources"] = json!({"limits": {"memory": "64Mi"}});
            namespace.create(&pod.to_string()).await?;
            let ended = namespace.container_ended("task", "main").await?;
            let (code, message) = end(&ended)?;
            assert_eq!(code, 137);
            // If the hook was not killed, the message contains the reason.
            assert!(
                message.is_empty() || message.contains("137") || message.contains("signal 9"),
                "{message}"
            );
            event(namespace, "task", "FailedPostStartHook").await?;
            Ok(())
        })
        .await
}

/// Uses the handler of the pod, which the kubelet runs with `Never`, in place of a launcher that cannot be
/// started.
#[tokio::test]
async fn a_hook_that_cannot_start_is_reported_while_the_container_waits() -> Result<()> {
    scenario("hook-missing")
        .run(async |namespace| {
            let sources = json!([{"name": "settings", "inline": {"env": {"GREETING": "hello"}}}]);
            namespace.profile(&json!({"sources": sources, "hook": {"when": "Never"}}).to_string()).await?;
            let mut pod = pod("task", namespace.name(), "exec sleep 1000");
            pod["spec"]["restartPolicy"] = json!("Always");
            pod["spec"]["containers"][0]["lifecycle"] =
                json!({"postStart": {"exec": {"command": ["/not-there"]}}});
            namespace.create(&pod.to_string()).await?;
            event(namespace, "task", "FailedPostStartHook").await?;
            let waits = |pod: &Pod| {
                let status = pod.status.as_ref()?.container_statuses.as_ref()?.first()?.clone();
                status.state?.waiting?.message.filter(|message| message.contains("/not-there"))
            };
            let waiting = namespace
                .pod("task", "waiting with the error of the runtime", |pod| waits(pod).is_some())
                .await?;
            let message = waits(&waiting).context("the container has no waiting state")?;
            ensure!(message.contains("no such file"), "{message}");
            assert_eq!(state::ended(&waiting, "main")?.exit_code, 137);
            assert_eq!(state::message(&waiting, "main")?, "");
            Ok(())
        })
        .await
}
