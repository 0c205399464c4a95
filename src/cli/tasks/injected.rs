//! What Bootlace has written to a pod.

use serde::Deserialize;

/// What the annotation of Bootlace says. Another version can have written it, and anyone can have changed it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Injected {
    pub(super) profile: String,
    pub(super) containers: Vec<String>,
    pub(super) awaits: Vec<Awaited>,
    pub(super) links: Vec<String>,
}

/// An output that the pod waits for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Awaited {
    pub(super) key: String,
}
