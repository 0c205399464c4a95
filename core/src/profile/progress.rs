//! Settings of the progress of tasks in a profile.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The progress that tasks report.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Progress {
    /// Whether tasks can report their progress: the last line of the file `$BOOTLACE_PROGRESS` becomes the
    /// annotation `bootlace.dev/progress` of the pod. Adds a sidecar to the pod. The installation must allow
    /// it (`progress.enabled` of the chart). Defaults to false.
    pub enabled: bool,
}

impl Progress {
    /// Whether it is the default.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
