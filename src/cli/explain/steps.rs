//! The changes to a pod, step by step: each overlay, then boot. Each change is shown like a hunk of a unified
//! diff, with its field as the heading, because the pod around it can be long.

use std::fmt::Write as _;

use bootlace_core::admission::AppliedOverlay;
use bootlace_core::pod::{Op, Operation};
use json_patch::PatchOperation;
use serde_json::Value;

/// Maximum characters of a value in a summary.
const MAX_VALUE: usize = 100;

/// An overlay with its changes in one line each.
#[derive(Debug, PartialEq)]
pub(super) struct OverlaySummary {
    pub(super) name: String,
    pub(super) changes: Vec<String>,
}

/// The operations of each overlay, and the remaining ones.
fn split<'p>(
    overlays: &'p [AppliedOverlay],
    patch: &'p [Operation],
) -> (Vec<(&'p AppliedOverlay, &'p [Operation])>, &'p [Operation]) {
    let mut rest = patch;
    let mut steps = Vec::new();
    for overlay in overlays {
        let (own, others) = rest.split_at(overlay.operations.min(rest.len()));
        steps.push((overlay, own));
        rest = others;
    }
    (steps, rest)
}

/// Summarizes the changes of each overlay.
pub(super) fn summarize(overlays: &[AppliedOverlay], patch: &[Operation]) -> Vec<OverlaySummary> {
    let change = |operation: &Operation| {
        let (verb, value) = match &operation.op {
            Op::Add(value) => ("adds", value),
            Op::Replace(value) => ("replaces", value),
            // Overlays move nothing.
            Op::Move(from) => return format!("moves {from}"),
        };
        let value = value.to_string();
        let short: String = value.chars().take(MAX_VALUE).collect();
        let end = if short.len() < value.len() { "…" } else { "" };
        format!("{verb} {}: {short}{end}", operation.path)
    };
    let summary = |(overlay, operations): (&AppliedOverlay, &[Operation])| {
        let kept = overlay.kept.iter().map(|path| format!("keeps {path}, which is already set"));
        OverlaySummary {
            name: overlay.name.clone(),
            changes: operations.iter().map(change).chain(kept).collect(),
        }
    };
    split(overlays, patch).0.into_iter().map(summary).collect()
}

/// Describes the changes of each step. `pod` is the original pod.
pub(super) fn describe(
    pod: &Value,
    overlays: &[AppliedOverlay],
    patch: &[Operation],
) -> anyhow::Result<String> {
    let mut pod = pod.clone();
    let mut out = String::new();
    let (steps, rest) = split(overlays, patch);
    let overlays =
        steps.iter().map(|(overlay, operations)| (format!("overlay {}", overlay.name), *operations));
    for (number, (title, operations)) in overlays.chain([("boot".to_owned(), rest)]).enumerate() {
        writeln!(out, "step {}: {title}", number + 1)?;
        if operations.is_empty() {
            writeln!(out, "no change")?;
        }
        for operation in operations {
            hunk(&mut out, &pod, operation)?;
            json_patch::patch_unsafe(&mut pod, &[PatchOperation::from(operation)])?;
        }
    }
    Ok(out)
}

fn hunk(out: &mut String, pod: &Value, operation: &Operation) -> anyhow::Result<()> {
    let Operation { path, op } = operation;
    writeln!(out, "@@ {path}")?;
    match op {
        Op::Add(value) => lines(out, '+', value),
        Op::Replace(value) => {
            let before = pod.pointer(path.as_str());
            before.map_or(Ok(()), |before| lines(out, '-', before))?;
            lines(out, '+', value)
        }
        Op::Move(from) => {
            writeln!(out, " moved from {from}")?;
            Ok(())
        }
    }
}

/// Writes a value as lines of YAML that begin with `sign`.
fn lines(out: &mut String, sign: char, value: &Value) -> anyhow::Result<()> {
    let yaml = serde_saphyr::to_string(value)?;
    for line in yaml.trim_end().lines() {
        writeln!(out, "{sign} {line}")?;
    }
    Ok(())
}
