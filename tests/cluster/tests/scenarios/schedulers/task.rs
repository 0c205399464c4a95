//! What the tasks of workflows print, and how scenarios let them exit.

use anyhow::{Context as _, Result, ensure};
use bootlace_cluster::scenario::{LIMIT, Namespace};
use bootlace_cluster::wait::until_async;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::Value;

/// What follows `word` in the first line of `log` that starts with it.
pub(super) fn value_in_log<'l>(log: &'l str, word: &str) -> Result<&'l str> {
    let value = |line: &'l str| match line.strip_prefix(word)? {
        "" => Some(""),
        rest => rest.strip_prefix(' '),
    };
    let rest = log.lines().find_map(value);
    rest.with_context(|| format!("no line starts with {word:?} in:\n{log}"))
}

/// The identity of the task, as `task.json` contains it, from a log with a line `task JSON`.
pub(super) fn identity(log: &str) -> Result<Value> {
    let text = value_in_log(log, "task")?;
    let json: Value = serde_json::from_str(text).with_context(|| format!("{text:?} is not JSON"))?;
    Ok(json["task"].clone())
}

/// Waits until the container of the only pod that matches `selector` has printed a line that starts with
/// `word`. Returns the pod and the log. Pods with the UID `before` are ignored.
pub(super) async fn waiting(
    namespace: &Namespace,
    selector: &str,
    container: &str,
    word: &str,
    before: Option<&str>,
) -> Result<(Pod, String)> {
    until_async(LIMIT, &format!("no pod with {selector} has printed {word:?}"), async || {
        let mut pods = namespace.pods(selector).await?;
        pods.retain(|pod| pod.uid().as_deref() != before && pod.metadata.deletion_timestamp.is_none());
        let [pod] = &pods[..] else { anyhow::bail!("{} pods", pods.len()) };
        let log = namespace.log(&pod.name_any(), container).await?;
        value_in_log(&log, word)?;
        Ok((pod.clone(), log))
    })
    .await
}

/// Lets the task in a container exit: it waits for the file `/tmp/exit`, which contains its exit code.
pub(super) async fn exit(namespace: &Namespace, pod: &Pod, container: &str, code: u8) -> Result<()> {
    let script = format!("echo {code} > /tmp/code && mv /tmp/code /tmp/exit");
    let output = namespace.exec(&pod.name_any(), container, &["sh", "-c", &script]).await?;
    ensure!(output.succeeded, "the exit code cannot be written: {}", output.stderr);
    Ok(())
}
