//! Describes the outputs of an injected pod.

use serde_json::Value;

use super::render::{init_container, is_named};
use crate::command_error::CommandError;
use bootlace_core::names;
use bootlace_core::output::{DeclaredOutput, SidecarConfig};

/// Describes the sidecar of a pod: a summary, and a line for each output. `None` if the pod has no sidecar.
pub(super) fn describe(pod: &Value) -> Result<Option<(String, Vec<String>)>, CommandError> {
    let Some(sidecar) = init_container(pod, names::CONTAINER_PIPE) else { return Ok(None) };
    let env = sidecar.get("env").and_then(Value::as_array).into_iter().flatten();
    let value = env.into_iter().find(|variable| is_named(variable, names::ENV_PIPES));
    let value = value.and_then(|variable| variable.get("value")?.as_str());
    let invalid = |problem: String| CommandError::InjectedPod {
        part: format!("env {} of container {}", names::ENV_PIPES, names::CONTAINER_PIPE),
        problem,
    };
    let value = value.ok_or_else(|| invalid("not found".to_owned()))?;
    let spec: SidecarConfig<'_> = serde_json::from_str(value).map_err(|error| invalid(error.to_string()))?;
    let summary = format!(
        "sends the outputs of the task to the store, which keeps them for later tasks of the run, for {} if no object of the \
         run owns them:",
        duration(spec.time_to_live_seconds)
    );
    Ok(Some((summary, spec.outputs.iter().map(output).collect())))
}

fn output(output: &DeclaredOutput) -> String {
    let DeclaredOutput { key, kind, container, shared_file, optional, awaited } = output;
    let twice = if *awaited { ", twice, so that pods can wait for it" } else { "" };
    let kind = format!("{}{twice}", kind.as_str());
    let optional = if *optional { ", if the task writes it" } else { "" };
    match shared_file {
        None => format!(
            "{key} of container {container} becomes a {kind}{optional}: the launcher passes it to the sidecar after exit code 0, \
             and exits when it is stored"
        ),
        Some(file) => format!(
            "{key} of container {container} becomes a {kind}{optional}: the sidecar reads {file} when the task has exited. The task \
             does not wait for it"
        ),
    }
}

/// Seconds, in the largest unit without a remainder.
fn duration(seconds: u64) -> String {
    for (unit, name) in [(86_400, "d"), (3_600, "h"), (60, "min")] {
        if seconds > 0 && seconds.is_multiple_of(unit) {
            return format!("{} {name}", seconds / unit);
        }
    }
    format!("{seconds} s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_whole_units() {
        for (seconds, text) in
            [(604_800, "7 d"), (7_200, "2 h"), (90, "90 s"), (120, "2 min"), (0, "0 s"), (86_460, "1441 min")]
        {
            assert_eq!(duration(seconds), text);
        }
    }
}
