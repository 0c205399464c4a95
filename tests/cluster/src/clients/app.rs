//! The code that a client runs in a pod: it comes from a `ConfigMap`, and prints its results as lines `KEY
//! VALUE`.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::json;

use crate::scenario::Namespace;

/// A `ConfigMap` with these files.
#[must_use]
pub fn config_map<'f>(name: &str, files: impl IntoIterator<Item = (&'f str, &'f str)>) -> String {
    let data: BTreeMap<_, _> = files.into_iter().collect();
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}).to_string()
}

/// Waits until the pod `name` has succeeded, and returns the value of the last line `KEY VALUE` in the log of
/// its container `container`.
///
/// # Errors
/// If it does not succeed in time, or has printed no such line.
pub async fn result(namespace: &Namespace, name: &str, container: &str, key: &str) -> Result<String> {
    namespace.workflow_succeeded(name).await?;
    let log = namespace.log(name, container).await?;
    value(&log, key).with_context(|| format!("the log of pod {name} has no line {key:?}:\n{log}"))
}

/// The value of the last line `KEY VALUE` of a log.
#[must_use]
pub fn value(log: &str, key: &str) -> Option<String> {
    let value = |line: &str| line.strip_prefix(key)?.strip_prefix(' ').map(str::to_owned);
    log.lines().rev().find_map(value)
}
