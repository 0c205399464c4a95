//! What an injected pod waits for, in words.

use anyhow::Context as _;
use serde_json::Value;

use super::render::{init_container, is_named};
use bootlace_core::input::{AwaitedOutput, WaitSpec};
use bootlace_core::names;

/// What a pod waits for, a line each; nothing where it waits for nothing.
pub(super) fn describe(pod: &Value) -> anyhow::Result<Vec<String>> {
    let Some(wait) = init_container(pod, names::CONTAINER_WAIT) else { return Ok(Vec::new()) };
    let env = wait.get("env").and_then(Value::as_array).into_iter().flatten();
    let told = env.into_iter().find(|variable| is_named(variable, names::ENV_WAIT));
    let told = told.and_then(|variable| variable.get("value")?.as_str());
    let told = told.context("the container that waits has no env")?;
    let spec: WaitSpec<'_> = serde_json::from_str(told)
        .with_context(|| format!("the env {} of the container that waits cannot be read", names::ENV_WAIT))?;
    Ok(spec.awaits.iter().map(line).collect())
}

fn line(awaits: &AwaitedOutput) -> String {
    let AwaitedOutput { kind, object, seconds, .. } = awaits;
    format!("{}, as {kind} {object}, for {seconds} s at most", awaits.words())
}
