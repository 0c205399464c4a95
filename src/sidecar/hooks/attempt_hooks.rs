//! Runs the hooks of one attempt.

use std::fmt::Write as _;

use tokio::time::Instant;

use super::{CompletedHooks, HookServices, PodHooks};
use crate::hook_request::HookError;
use crate::sidecar::OutputError;
use crate::store_client::protocol::EventKind;
use bootlace_core::abort::{HookEvent, RenderError, requests};
use bootlace_core::profile::hooks::OnFailure;
use bootlace_core::profile::templates::HookList;

/// The result of a list of hooks.
#[derive(Debug, Default)]
pub(super) struct ListResult {
    /// Names of the hooks that were sent, by this process or before it was restarted.
    sent: Vec<String>,
    /// The first failure that counts.
    failure: Option<OutputError>,
}

impl ListResult {
    /// Whether nothing is left to do.
    pub(super) fn is_success(&self) -> bool {
        self.failure.is_none()
    }

    /// The Event about it; `None` if there is nothing to tell. `ended` says how the task ended.
    pub(super) fn event(&self, list: HookList, container: &str, ended: &str) -> Option<(EventKind, String)> {
        let name = list.as_str();
        let mut note = format!("container {container}: the task {ended}");
        match (&self.failure, list) {
            (Some(failure), _) => {
                if !self.sent.is_empty() {
                    // Writing to a String cannot fail.
                    let _ = write!(note, "; {name} hooks sent: {}", self.sent.join(", "));
                }
                let kind =
                    if list == HookList::Abort { EventKind::AbortFailed } else { EventKind::HookFailed };
                Some((kind, format!("{note}; {}", failure.to_line())))
            }
            (None, HookList::Abort) if !self.sent.is_empty() => {
                Some((EventKind::Aborted, format!("{note}; {name} hooks sent: {}", self.sent.join(", "))))
            }
            (None, _) => None,
        }
    }
}

/// Runs the hooks of `list` that have not run, one after another, until `deadline`. A hook also runs after
/// another one has failed.
pub(super) async fn run(
    list: HookList,
    hooks: &PodHooks<'_>,
    event: &HookEvent,
    completed: &mut CompletedHooks<'_>,
    services: &impl HookServices,
    deadline: Instant,
) -> ListResult {
    let (steps, first) = hooks.config.list(list);
    let container = event.container.as_str();
    let mut result = ListResult::default();
    for (step, rendered) in requests(list, steps, first, event) {
        let name = step.name.as_str();
        if completed.has_run(list, name) {
            result.sent.push(name.to_owned());
            continue;
        }
        let sent = match rendered {
            Ok(hook) => services.send(&hook, deadline).await,
            Err(RenderError::NothingToAbort) => {
                tracing::info!(
                    container,
                    hook = name,
                    "the hook is not needed: the task left nothing for its abort"
                );
                continue;
            }
            Err(error) => Err(HookError::Render(error)),
        };
        match sent {
            Ok(()) => {
                tracing::info!(container, hook = name, "sent the {} hook", list.as_str());
                completed.ran(list, name);
                result.sent.push(name.to_owned());
            }
            Err(error) => {
                let failure = OutputError::new(&error).of_hook(list.as_str(), name);
                tracing::warn!(container, hook = name, "failed to send a hook: {}", failure.to_line());
                if step.on_failure == OnFailure::Fail {
                    result.failure.get_or_insert(failure);
                }
            }
        }
    }
    result
}
