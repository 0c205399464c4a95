//! Sends the hooks of an Abort, if it is still left.
//!
//! The order loses nothing if the replica is killed: the Abort is removed last, and the next leader sends its
//! hooks again. They are sent at least once.

use std::path::Path;
use std::time::Duration;

use bootlace_core::abort::{Abort, RenderError, requests};
use bootlace_core::code::{Code, Coded};
use bootlace_core::profile::Profile;
use bootlace_core::profile::hooks::{OnFailure, RequestHook};
use bootlace_core::profile::spec::BootProfile;
use bootlace_core::profile::templates::HookList;
use kube::{Api, ResourceExt as _};
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::AbortMonitor;
use super::report::{MAX_MESSAGE_BYTES, Outcome};
use crate::hook_request::{self, HookError};
use crate::server::liveness::{self, Heartbeat};
use crate::server::watch_errors::describe_api_error;

/// How long the hooks of an Abort can take in a pass, all of them together.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// The monitor mounts no objects, and sends no hook that needs one.
const NO_MOUNTS: &str = "/nonexistent";

/// Why the monitor cannot send what is left.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Left {
    #[error(
        "BootProfile {0:?} with the abort hooks of the task not found: cancel its work manually, and delete the Abort"
    )]
    NoProfile(String),
    #[error(
        "BootProfile {name:?} with the abort hooks of the task has no valid version ({problem}): cancel its work manually, and delete the Abort"
    )]
    InvalidProfile { name: String, problem: String },
    #[error(
        "abort hook {hook:?} of BootProfile {profile:?} needs {needs}, to which the monitor has no access: cancel the work of the task manually, and delete the Abort"
    )]
    Needs { hook: String, profile: String, needs: String },
    #[error("abort hook {hook:?} of BootProfile {profile:?}: {error}")]
    Hook { hook: String, profile: String, error: HookError },
}

impl Coded for Left {
    fn code(&self) -> Code {
        match self {
            Self::Hook { error, .. } => error.code(),
            Self::NoProfile(_) | Self::InvalidProfile { .. } | Self::Needs { .. } => Code::AbortLeft,
        }
    }
}

impl Left {
    fn into_outcome(self) -> Outcome {
        let is_temporary = matches!(&self, Self::Hook { error, .. } if error.is_temporary());
        let message = self.code().append_to(&self.to_string(), MAX_MESSAGE_BYTES);
        Outcome::Failed { message, is_temporary }
    }
}

impl AbortMonitor {
    /// Reads an Abort whose pod has ended again, and sends its hooks. A failure is logged, and the next pass
    /// tries again.
    pub(super) async fn send_if_left(&self, abort: &Abort, heartbeat: &Heartbeat) {
        let sending = async {
            if let Err(error) = self.attempt(abort).await {
                let namespace = abort.namespace().unwrap_or_default();
                let problem = format!("failed to send Abort {namespace}/{}", abort.name_any());
                warn!("{}; retrying", describe_api_error(&problem, &error));
                self.0.metrics.action_failed();
            }
        };
        let mut sending = std::pin::pin!(sending);
        while timeout(liveness::EVERY, &mut sending).await.is_err() {
            heartbeat.now();
        }
    }

    async fn attempt(&self, abort: &Abort) -> Result<(), kube::Error> {
        let aborts: Api<Abort> =
            Api::namespaced(self.0.client.clone(), &abort.namespace().unwrap_or_default());
        // The sidecar may have removed it before its pod ended.
        let Some(abort) = aborts.get_opt(&abort.name_any()).await? else { return Ok(()) };
        if !self.0.leadership.is_steady(self.0.settle) {
            return Ok(());
        }
        let outcome = self.send(&abort).await?;
        self.report(&aborts, &abort, outcome).await
    }

    /// Sends the hooks of the profile as it is now: the version that the pod was injected with is gone.
    async fn send(&self, abort: &Abort) -> Result<Outcome, kube::Error> {
        let name = &abort.spec.profile.name;
        let profiles: Api<BootProfile> = Api::all(self.0.client.clone());
        let Some(profile) = profiles.get_opt(name).await? else {
            return Ok(Left::NoProfile(name.clone()).into_outcome());
        };
        let profile = match Profile::try_from(profile) {
            Ok(profile) => profile,
            Err(error) => {
                let left = Left::InvalidProfile { name: name.clone(), problem: error.to_string() };
                return Ok(left.into_outcome());
            }
        };
        Ok(send_all(abort, &profile.name, &profile.spec.hooks.abort).await)
    }
}

/// Sends all hooks. One also runs after another one has failed, as in the sidecar.
async fn send_all(abort: &Abort, profile: &str, hooks: &[RequestHook]) -> Outcome {
    let deadline = Instant::now() + SEND_TIMEOUT;
    let (mut sent, mut failure) = (Vec::new(), None);
    for (hook, rendered) in requests(HookList::Abort, hooks, 0, &abort.event()) {
        let names = || (hook.name.clone(), profile.to_owned());
        let result = match rendered {
            Err(RenderError::NothingToAbort) => continue,
            Ok(rendered) if !rendered.needs.is_empty() => {
                let (hook, profile) = names();
                Err(Left::Needs { hook, profile, needs: rendered.needs.join(" and ") })
            }
            Ok(rendered) => {
                hook_request::send(&rendered, Path::new(NO_MOUNTS), deadline).await.map_err(not_sent(names()))
            }
            Err(error) => Err(not_sent(names())(HookError::Render(error))),
        };
        match result {
            Ok(()) => sent.push(hook.name.clone()),
            Err(error) => {
                warn!(abort = abort.name_any(), hook = hook.name, "{error}");
                if hook.on_failure == OnFailure::Fail {
                    failure.get_or_insert(error);
                }
            }
        }
    }
    failure.map_or(Outcome::Sent(sent), Left::into_outcome)
}

/// A hook of a profile that was not sent.
fn not_sent((hook, profile): (String, String)) -> impl FnOnce(HookError) -> Left {
    move |error| Left::Hook { hook, profile, error }
}
