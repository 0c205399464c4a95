//! Settings of the postStart hook in a profile.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::{self, CelRule, Validated};

/// The postStart hook, which verifies that the task process has the boot env.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-kubernetes-validations" = rule::cel::<Hook>()))]
pub struct Hook {
    /// Task containers with the hook: `Always` for all, `Auto` for those that need it, `Never` for none.
    /// Defaults to `Always`.
    pub when: HookWhen,
    /// Timeout for the verification, the commands and the postStart handler of the pod together, in seconds.
    /// Kubernetes has no timeout for hooks, and a hook that hangs blocks the deletion of the pod. Defaults to
    /// 30. At most 3600.
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_seconds: u32,
    /// Commands to run in each task container, in order, after the verification and before the postStart
    /// handler of the pod. Each is a program with its arguments, without a shell. At most 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 64), inner(length(max = 4096))))]
    pub commands: Vec<Vec<String>>,
    /// What to do if the first process of the container cannot be read, so that the env cannot be verified,
    /// for example because it has changed its user: `Fail` or `Warn`. Defaults to `Fail`.
    pub unreadable: UnreadableProcess,
}

impl Validated for Hook {
    const RULES: &'static [CelRule<Self>] = &[CelRule {
        cel: "self.when != 'Never' || !has(self.commands) || self.commands.size() == 0",
        message: "commands require the postStart hook, but when is Never: remove commands, or set when to Auto",
        is_met: |part| part.when != HookWhen::Never || part.commands.is_empty(),
    }];
}

impl Default for Hook {
    fn default() -> Self {
        Self {
            when: HookWhen::default(),
            timeout_seconds: 30,
            commands: Vec::new(),
            unreadable: UnreadableProcess::default(),
        }
    }
}

/// Task containers with the hook.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum HookWhen {
    /// All task containers. If a task exits before the hook has run, the kubelet records the events
    /// `FailedPostStartHook` and `Killing`.
    #[default]
    Always,
    /// Task containers that need the hook: the boot env is not loaded by the launcher, there are `commands`,
    /// or the pod has a postStart handler.
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
