//! The profile's words for the postStart hook.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;

/// The postStart hook, which proves that the env arrived.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-kubernetes-validations" = rules::cel(rules::HOOK)))]
pub struct Hook {
    /// Whether all task containers have the hook (`Always`), those in which it has something to do (`Auto`), or none
    /// (`Never`).
    pub when: HookWhen,
    /// Seconds that the proof, the commands and the pod's own postStart handler together may take. Kubernetes itself
    /// sets no limit, and a hook that hangs blocks the pod's deletion.
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_seconds: u32,
    /// Commands to run in each task container, one after another, after the proof and before the pod's own handler:
    /// the program and its arguments, without a shell.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 64), inner(length(max = 4096))))]
    pub commands: Vec<Vec<String>>,
    /// What becomes of a container whose first process may not be read, so that nothing is proven: it switched its
    /// user, or is not dumpable.
    pub unreadable: UnreadableProcess,
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

/// Which task containers have the hook.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum HookWhen {
    /// All of them. For a task that ends before the hook has run, the kubelet writes the events
    /// `FailedPostStartHook` and `Killing`.
    #[default]
    Always,
    /// Those in which the hook has something to do: boot may give env that something other than the launcher loads,
    /// there are `commands`, or the pod has a postStart handler of its own.
    Auto,
    /// None. The pod's own postStart handler stays as the pod's author wrote it.
    Never,
}

impl HookWhen {
    /// Whether it is the default.
    #[must_use]
    pub fn is_always(&self) -> bool {
        *self == Self::Always
    }

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::Auto => "Auto",
            Self::Never => "Never",
        }
    }
}

/// What becomes of a container whose first process may not be read.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum UnreadableProcess {
    /// It fails.
    #[default]
    Fail,
    /// It runs on, and its termination message says so.
    Warn,
}
