//! Describes the outputs that an injected pod waits for.

use serde_json::Value;

use super::render::{init_container, is_named};
use crate::command_error::CommandError;
use bootlace_core::input::{AwaitedOutput, WaitSpec};
use bootlace_core::names;

/// Describes each output that a pod waits for.
pub(super) fn describe(pod: &Value) -> Result<Vec<String>, CommandError> {
    let Some(wait) = init_container(pod, names::CONTAINER_WAIT) else { return Ok(Vec::new()) };
    let env = wait.get("env").and_then(Value::as_array).into_iter().flatten();
    let variable = env.into_iter().find(|variable| is_named(variable, names::ENV_WAIT));
    let value = variable.and_then(|variable| variable.get("value")?.as_str());
    let invalid = |problem: String| CommandError::InjectedPod {
        part: format!("env {} of container {}", names::ENV_WAIT, names::CONTAINER_WAIT),
        problem,
    };
    let value = value.ok_or_else(|| invalid("not found".to_owned()))?;
    let spec: WaitSpec<'_> = serde_json::from_str(value).map_err(|error| invalid(error.to_string()))?;
    Ok(spec.awaits.iter().map(line).collect())
}

fn line(awaits: &AwaitedOutput) -> String {
    let AwaitedOutput { kind, object, seconds, .. } = awaits;
    format!("{}, as {kind} {object}, with a timeout of {seconds} s", awaits.words())
}
