//! The commands of the demo, which a user would type.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::file;
use crate::command::{command, output};
use crate::images;

/// The namespace of the tasks.
pub(super) const NAMESPACE: &str = "analytics";

pub(super) async fn explain(bootlace: &Path, pod: &Value) -> Result<String> {
    pipe_into(command(bootlace).arg("explain"), &serde_json::to_vec(pod)?).await
}

/// Applies a manifest of the demo.
pub(super) async fn apply(name: &str) -> Result<()> {
    let text = std::fs::read_to_string(file(name)).with_context(|| format!("read {name}"))?;
    let mut apply = command("kubectl");
    pipe_into(apply.args(["apply", "--filename", "-"]), images::with_registry(&text).as_bytes())
        .await
        .map(drop)
}

/// Runs a command that reads `input`, and returns what it prints.
async fn pipe_into(command: &mut Command, input: &[u8]) -> Result<String> {
    let program = command.as_std().get_program().display().to_string();
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().context("stdin is not a pipe")?;
    stdin.write_all(input).await.with_context(|| format!("write the input of {program}"))?;
    drop(stdin);
    let output = child.wait_with_output().await?;
    ensure!(output.status.success(), "{program} failed: {}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

pub(super) async fn kubectl(arguments: &[&str]) -> Result<String> {
    output(command("kubectl").args(arguments)).await
}

pub(super) async fn kubectl_here(arguments: &[&str]) -> Result<String> {
    output(command("kubectl").args(["--namespace", NAMESPACE]).args(arguments)).await
}

/// The log of a container, which `target` selects. Reads it again for up to 15 seconds until it contains one
/// of `parts`, because containerd may write the last lines after the container has ended. The caller checks
/// the content.
pub(super) async fn log(target: &[&str], parts: &[&str]) -> Result<String> {
    let arguments = [&["logs"], target].concat();
    let mut log = kubectl_here(&arguments).await?;
    for _ in 0..100 {
        if parts.iter().any(|part| log.contains(part)) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
        log = kubectl_here(&arguments).await?;
    }
    Ok(log)
}
