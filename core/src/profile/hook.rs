//! Settings of the postStart hook in a profile.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The postStart hook, which verifies that the task process has the boot env.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Hook {
    /// Task containers with the hook: `Always` for all, `Auto` for those that need it, `Never` for none.
    /// Defaults to `Always`.
    pub when: HookWhen,
    /// Timeout for the verification and the postStart handler of the pod together, in seconds. Hooks of
    /// `hooks.postLaunch` have their own timeouts. Kubernetes has no timeout for hooks, and a hook that hangs
    /// blocks the deletion of the pod. Defaults to 30. At most 3600.
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_seconds: u32,
    /// What to do if the first process of the container cannot be read, so that the env cannot be verified,
    /// for example because it has changed its user: `Fail` or `Warn`. Defaults to `Fail`.
    pub unreadable: UnreadableProcess,
}

impl Default for Hook {
    fn default() -> Self {
        Self { when: HookWhen::default(), timeout_seconds: 30, unreadable: UnreadableProcess::default() }
    }
}

/// Task containers with the hook.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum HookWhen {
    /// All task containers. If a task exits before the hook has run, the kubelet records the events
    /// `FailedPostStartHook` and `Killing`.
    #[default]
    Always,
    /// Task containers that need the hook: the boot env is not loaded by the launcher, there are
    /// `hooks.postLaunch`, or the pod has a postStart handler.
    Auto,
    /// None. The postStart handler of the pod does not change.
    Never,
}

impl HookWhen {
    /// Whether it is the default.
    #[must_use]
    pub fn is_always(&self) -> bool {
        *self == Self::Always
    }

    /// The value as text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::Auto => "Auto",
            Self::Never => "Never",
        }
    }
}

/// What to do if the first process of a container cannot be read.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum UnreadableProcess {
    /// The container fails.
    #[default]
    Fail,
    /// The container continues, and its termination message reports it.
    Warn,
}
