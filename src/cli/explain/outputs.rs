//! The outputs of an injected pod, in words.

use anyhow::Context as _;
use serde_json::Value;

use super::render::{init_container, is_named};
use bootlace_core::names;
use bootlace_core::output::{DeclaredOutput, SidecarConfig};

/// What the sidecar of a pod does: a summary, and a line for each output. Nothing where the pod has none.
pub(super) fn describe(pod: &Value) -> anyhow::Result<Option<(String, Vec<String>)>> {
    let Some(sidecar) = init_container(pod, names::CONTAINER_PIPE) else { return Ok(None) };
    let env = sidecar.get("env").and_then(Value::as_array).into_iter().flatten();
    let value = env.into_iter().find(|variable| is_named(variable, names::ENV_PIPES));
    let value =
        value.and_then(|variable| variable.get("value")?.as_str()).context("the sidecar has no env")?;
    let spec: SidecarConfig<'_> = serde_json::from_str(value)
        .with_context(|| format!("the sidecar's env {} cannot be read", names::ENV_PIPES))?;
    let summary = format!(
        "runs beside the task, and has the store keep its outputs for later tasks of the run, for {} where no object of \
         the run owns them:",
        duration(spec.time_to_live_seconds)
    );
    Ok(Some((summary, spec.outputs.iter().map(output).collect())))
}

fn output(output: &DeclaredOutput) -> String {
    let DeclaredOutput { key, kind, container, shared_file, optional, awaited } = output;
    let twice = if *awaited { ", twice, so that pods can wait for it" } else { "" };
    let kind = format!("{}{twice}", kind.as_str());
    let optional = if *optional { ", where it is written" } else { "" };
    match shared_file {
        None => format!(
            "{key} of container {container} becomes a {kind}{optional}: the launcher hands it over after exit 0 and ends \
             once it is stored"
        ),
        Some(file) => format!(
            "{key} of container {container} becomes a {kind}{optional}: read at {file} once the task has ended, which \
             nothing makes the task wait for"
        ),
    }
}

/// Seconds, in the largest unit that has no rest.
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
    fn durations_are_told_in_whole_units() {
        for (seconds, words) in
            [(604_800, "7 d"), (7_200, "2 h"), (90, "90 s"), (120, "2 min"), (0, "0 s"), (86_460, "1441 min")]
        {
            assert_eq!(duration(seconds), words);
        }
    }
}
