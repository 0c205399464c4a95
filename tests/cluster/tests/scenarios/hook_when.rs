//! `hook.when`: the pods with a postStart hook, the events of the kubelet, and the pod's own handler.

use anyhow::{Result, ensure};
use bootlace_cluster::images::BUSYBOX;
use bootlace_cluster::scenario::{LIMIT, Namespace, scenario, state};
use bootlace_cluster::wait::until_async;
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;
use serde_json::{Value, json};

/// A profile whose source sets `GREETING`.
fn profile(when: &str) -> String {
    let sources = json!([{"name": "settings", "inline": {"env": {"GREETING": "hello"}}}]);
    json!({"sources": sources, "hook": {"when": when}}).to_string()
}

fn pod(name: &str, profile: &str, command: &[&str]) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"bootlace.dev/task": profile}},
        "spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": BUSYBOX, "command": command}],
        },
    })
}

/// The pods for which the kubelet recorded that their hook failed or that it kills a container, with the
/// reason of the event.
async fn failure_events(namespace: &Namespace) -> Result<Vec<(String, String)>> {
    let events = namespace.api::<Event>().list(&ListParams::default()).await?.items;
    let pod_and_reason = |event: Event| Some((event.involved_object.name?, event.reason?));
    let is_failure = |(_, reason): &(String, String)| reason == "FailedPostStartHook" || reason == "Killing";
    Ok(events.into_iter().filter_map(pod_and_reason).filter(is_failure).collect())
}

#[tokio::test]
async fn a_task_that_ends_at_once_leaves_no_events_of_a_hook_with_auto() -> Result<()> {
    scenario("hook-when-short")
        .run(async |namespace| {
            let always = format!("{}-always", namespace.name());
            namespace.profile(&profile("Auto")).await?;
            namespace.profile_called(&always, &profile("Always")).await?;
            let names: Vec<_> = (1..=20).map(|number| format!("quiet-{number}")).collect();
            let ended = names.iter().map(|name| async move {
                // As short as `true`, which it executes only with the env.
                let command = ["sh", "-c", "test \"$GREETING\" = hello && exec true"];
                namespace.create(&pod(name, namespace.name(), &command).to_string()).await?;
                namespace.pod_succeeded(name).await
            });
            try_join_all(ended).await?;

            // The kubelet sends its events in order, so those of the pods above would arrive before this one.
            let mut number = 0;
            until_async(LIMIT, "no pod with hook.when Always has the event", async || {
                number += 1;
                let (name, exit) = (format!("told-{number}"), number % 2);
                let script = format!("exit {exit}");
                namespace.create(&pod(&name, &always, &["sh", "-c", &script]).to_string()).await?;
                let ended = namespace.container_ended(&name, "main").await?;
                assert_eq!(
                    state::ended(&ended, "main")?.exit_code,
                    exit,
                    "the exit code of the task changed"
                );
                let found = failure_events(namespace).await?;
                let has = |reason: &str| found.contains(&(name.clone(), reason.to_owned()));
                ensure!(has("FailedPostStartHook") && has("Killing"), "{name} has {found:?}");
                Ok(())
            })
            .await?;
            let found = failure_events(namespace).await?;
            let quiet: Vec<_> = found.iter().filter(|(pod, _)| pod.starts_with("quiet")).collect();
            assert!(quiet.is_empty(), "{quiet:?}");
            Ok(())
        })
        .await
}

/// With `Auto`, the hook runs the pod's handler with the boot env. With `Never`, the handler does not change.
#[tokio::test]
async fn the_pods_own_handler_runs_with_and_without_the_hook() -> Result<()> {
    scenario("hook-when-handler")
        .run(async |namespace| {
            let never = format!("{}-never", namespace.name());
            namespace.profile(&profile("Auto")).await?;
            namespace.profile_called(&never, &profile("Never")).await?;
            let wait = "until [ -e /tmp/done ]; do sleep 0.05; done; cat /tmp/said; echo \"task: $GREETING\"";
            let handler = "echo \"handler: $GREETING\" > /tmp/said; touch /tmp/done";
            for (name, profile, expected) in [
                ("auto", namespace.name(), "handler: hello\ntask: hello\n"),
                ("never", &*never, "handler: \ntask: hello\n"),
            ] {
                let mut pod = pod(name, profile, &["sh", "-c", wait]);
                pod["spec"]["containers"][0]["lifecycle"] =
                    json!({"postStart": {"exec": {"command": ["sh", "-c", handler]}}});
                namespace.create(&pod.to_string()).await?;
                namespace.pod_succeeded(name).await?;
                assert_eq!(namespace.log(name, "main").await?, expected);
            }
            Ok(())
        })
        .await
}

/// `baseline` does not allow a handler with which the kubelet would send a request to any host. The hook
/// sends the request from the container, so it is allowed. Handlers that the kubelet runs are refused as
/// without Bootlace.
#[tokio::test]
async fn a_request_to_a_host_is_the_containers_own_under_pod_security() -> Result<()> {
    scenario("hook-when-host")
        .label("pod-security.kubernetes.io/enforce", "baseline")
        .run(async |namespace| {
            let never = format!("{}-never", namespace.name());
            namespace.profile(&profile("Auto")).await?;
            namespace.profile_called(&never, &profile("Never")).await?;
            let with = |task: &str| {
                let mut pod = pod("task", task, &["true"]);
                let request = json!({"host": "127.0.0.1", "port": 8080});
                pod["spec"]["containers"][0]["lifecycle"] = json!({"postStart": {"httpGet": request}});
                pod.to_string()
            };
            namespace.dry_run(&with(namespace.name())).await?;
            for refused in [with("false"), with(&never)] {
                let error = namespace.dry_run(&refused).await.unwrap_err().to_string();
                ensure!(error.contains("probe or lifecycle host"), "{error}");
            }
            Ok(())
        })
        .await
}
