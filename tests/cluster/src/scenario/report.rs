//! The report of a failed scenario: the pods in its namespace, their events and their logs.

use std::fmt::Write;

use anyhow::Result;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Event, Pod};
use kube::api::{Api, ListParams, LogParams};
use kube::{Client, ResourceExt};

/// The number of lines of the log of each container.
const LOG_LINES: i64 = 50;

/// Prints the report to standard error. If a part cannot be read, the report contains the error instead.
pub(super) async fn print(scenario: &str, client: &Client, namespace: &str) {
    let text =
        describe(client, namespace).await.unwrap_or_else(|error| format!("failed to read it: {error:#}\n"));
    eprintln!("---- scenario {scenario} failed. Content of its namespace {namespace}:\n{text}----");
}

async fn describe(client: &Client, namespace: &str) -> Result<String> {
    let mut text = String::new();
    let pods = Api::<Pod>::namespaced(client.clone(), namespace);
    for pod in pods.list(&ListParams::default()).await? {
        describe_pod(&mut text, &pods, &pod).await?;
    }
    let events = Api::<Event>::namespaced(client.clone(), namespace);
    for event in events.list(&ListParams::default()).await? {
        let object = &event.involved_object;
        let (kind, name) =
            (object.kind.as_deref().unwrap_or_default(), object.name.as_deref().unwrap_or_default());
        let reason = event.reason.unwrap_or_default();
        writeln!(text, "event of {kind} {name}: {reason}: {}", event.message.unwrap_or_default())?;
    }
    if text.is_empty() {
        text.push_str("no pods and no events\n");
    }
    Ok(text)
}

async fn describe_pod(text: &mut String, pods: &Api<Pod>, pod: &Pod) -> Result<()> {
    let name = pod.name_any();
    let status = pod.status.clone().unwrap_or_default();
    writeln!(
        text,
        "pod {name}: {} {}",
        status.phase.unwrap_or_default(),
        status.message.unwrap_or_default()
    )?;
    for condition in
        status.conditions.unwrap_or_default().iter().filter(|condition| condition.status != "True")
    {
        let (reason, message) = (condition.reason.as_deref(), condition.message.as_deref());
        let (reason, message) = (reason.unwrap_or_default(), message.unwrap_or_default());
        writeln!(text, "  condition {} is {}: {reason} {message}", condition.type_, condition.status)?;
    }
    let containers = [status.init_container_statuses, status.container_statuses];
    for container in containers.into_iter().flatten().flatten() {
        writeln!(text, "  container {}: {}", container.name, state(&container))?;
        let params = LogParams {
            container: Some(container.name),
            tail_lines: Some(LOG_LINES),
            ..LogParams::default()
        };
        match pods.logs(&name, &params).await {
            Ok(log) => log.lines().try_for_each(|line| writeln!(text, "    | {line}"))?,
            Err(error) => writeln!(text, "    failed to read the log: {error}")?,
        }
    }
    Ok(())
}

/// The current and the previous state of a container, in one line.
fn state(container: &ContainerStatus) -> String {
    let describe = |state: Option<&ContainerState>| {
        let state = state?;
        if let Some(waiting) = &state.waiting {
            let (reason, message) = (waiting.reason.as_deref(), waiting.message.as_deref());
            return Some(format!("waiting: {} {}", reason.unwrap_or_default(), message.unwrap_or_default()));
        }
        if let Some(ended) = &state.terminated {
            let (reason, message) = (ended.reason.as_deref(), ended.message.as_deref());
            let (reason, message) = (reason.unwrap_or_default(), message.unwrap_or_default());
            return Some(format!("exited with {}: {reason} {message}", ended.exit_code));
        }
        state.running.is_some().then(|| "running".to_owned())
    };
    let current = describe(container.state.as_ref()).unwrap_or_else(|| "unknown".to_owned());
    let previous = describe(container.last_state.as_ref()).map(|state| format!("; previously: {state}"));
    format!("{current}{}", previous.unwrap_or_default())
}
