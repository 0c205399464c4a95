//! Limits on the launch of tasks, which the monitor enforces.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long the launch of a task may take. The monitor fails pods that take longer, so that their scheduler
/// sees a failed task with its cause. Without the monitor, the limits have no effect.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Launch {
    /// Maximum seconds until the pod has a node. Time behind scheduling gates, for example those of Kueue,
    /// does not count. By default, there is no limit. At most 604800 (a week).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 604_800))]
    pub schedule_seconds: Option<u32>,
    /// Maximum seconds from then until all task containers have started. Includes image pulls, volumes, the
    /// wait for outputs of earlier tasks, and boot. By default, there is no limit. At most 604800 (a week).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 604_800))]
    pub start_seconds: Option<u32>,
    /// Seconds for which the monitor keeps what it saw (states of the containers, events and node) in a
    /// ConfigMap in its own namespace. With 0, it is only in an annotation of the pod. Defaults to 86400 (a
    /// day). At most 2592000 (30 days).
    #[schemars(range(max = 2_592_000))]
    pub diagnosis_seconds: u32,
}

/// The maximum of [`Launch::schedule_seconds`] and [`Launch::start_seconds`].
pub const MAX_LAUNCH_SECONDS: u32 = 604_800;
/// The maximum of [`Launch::diagnosis_seconds`].
pub const MAX_DIAGNOSIS_SECONDS: u32 = 2_592_000;
/// The default of [`Launch::diagnosis_seconds`].
pub const DEFAULT_DIAGNOSIS_SECONDS: u32 = 86_400;

impl Default for Launch {
    fn default() -> Self {
        Self { schedule_seconds: None, start_seconds: None, diagnosis_seconds: DEFAULT_DIAGNOSIS_SECONDS }
    }
}

impl Launch {
    /// Whether it is the default.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it has a limit.
    #[must_use]
    pub fn has_limit(&self) -> bool {
        self.schedule_seconds.is_some() || self.start_seconds.is_some()
    }
}

/// What the monitor does when another container of the pod has failed while a task has not ended.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum OnSidecarFailure {
    /// Fail the pod if a sidecar restarts again and again, or another container has ended with an error.
    Fail,
    /// Nothing.
    #[default]
    Ignore,
}

impl OnSidecarFailure {
    /// Whether it is the default.
    #[must_use]
    pub fn is_ignore(&self) -> bool {
        *self == Self::Ignore
    }
}
