//! The hooks in the configuration of the sidecar.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::profile::hooks::RequestHook;
use crate::profile::templates::HookList;

/// Content of `BOOTLACE_HOOKS`, written by the webhook. It contains no secrets, because it is visible in the
/// spec of the pod. Only the sidecar reads it, whose image is as new as the webhook.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct HooksConfig<'a> {
    /// The hooks that run when a task has ended.
    #[serde(skip_serializing_if = "<[RequestHook]>::is_empty")]
    pub post_kill: Cow<'a, [RequestHook]>,
    /// The hooks that run if a task is ended by others.
    #[serde(skip_serializing_if = "<[RequestHook]>::is_empty")]
    pub abort: Cow<'a, [RequestHook]>,
}

impl HooksConfig<'_> {
    /// The hooks of a list, and the position of the first of them among all hooks.
    #[must_use]
    pub fn list(&self, list: HookList) -> (&[RequestHook], usize) {
        match list {
            HookList::PostKill => (&self.post_kill, 0),
            HookList::Abort => (&self.abort, self.post_kill.len()),
        }
    }
}
