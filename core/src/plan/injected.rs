//! The annotation that Bootlace adds to a pod.

use serde::{Deserialize, Serialize};

use super::{EnvDelivery, TaskContainer};
use crate::input::AwaitedOutput;
use crate::names;
use crate::profile::Profile;
use crate::profile::hook::HookWhen;
use crate::profile::launch::{Launch, OnSidecarFailure};
use crate::profile::spec::Position;

/// The content of the annotation `bootlace.dev/injected`.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct InjectedAnnotation {
    /// Name of the profile.
    pub profile: String,
    /// Generation of the profile.
    pub generation: i64,
    /// Version of Bootlace that injected the pod.
    pub version: String,
    /// Names of the task containers.
    pub containers: Vec<String>,
    /// How the boot env is delivered to them; if it differs between them, the weakest one.
    pub env_mode: EnvDelivery,
    /// Reason for `env_mode`; empty if an earlier version injected the pod.
    #[serde(default)]
    pub reason: String,
    /// The only Secret with boot env that the store may create for this pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_secret: Option<String>,
    /// Full reference of the boot image that the pod selects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_image: Option<String>,
    /// Whether the injected containers run before or after the init containers of the pod. The webhook
    /// configuration reads it: init containers that are added later are only moved with `Last`.
    #[serde(default)]
    pub position: Position,
    /// Outputs that the pod waits for before it boots.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub awaits: Vec<AwaitedPipe>,
    /// The overlays that were applied, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overlays: Vec<String>,
    /// Names of the links that Bootlace has added as annotations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<String>,
    /// Which task containers have the postStart hook.
    #[serde(default, skip_serializing_if = "HookWhen::is_always")]
    pub hook_when: HookWhen,
    /// Limits on the launch of the tasks, for the monitor.
    #[serde(default, skip_serializing_if = "Launch::is_default")]
    pub launch: Launch,
    /// What the monitor does when another container has failed.
    #[serde(default, skip_serializing_if = "OnSidecarFailure::is_ignore")]
    pub on_sidecar_failure: OnSidecarFailure,
}

impl InjectedAnnotation {
    /// The annotation without the parts that depend on the Secret, the boot image, inputs, overlays and
    /// links.
    pub(super) fn new(profile: &Profile, tasks: &[TaskContainer]) -> Self {
        let weakest = tasks.iter().max_by_key(|task| task.delivery);
        Self {
            profile: profile.name.clone(),
            generation: profile.generation,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            containers: tasks.iter().map(|task| task.name.clone()).collect(),
            env_mode: weakest.map_or(EnvDelivery::None, |task| task.delivery),
            reason: weakest.map(|task| task.reason.clone()).unwrap_or_default(),
            env_secret: None,
            init_image: None,
            position: profile.spec.boot.position,
            awaits: Vec::new(),
            overlays: Vec::new(),
            links: Vec::new(),
            hook_when: profile.spec.hook.when,
            launch: profile.spec.launch.clone(),
            on_sidecar_failure: profile.spec.on_sidecar_failure,
        }
    }

    /// The value of the label by which the monitor selects the pod; `None` if it need not watch the pod.
    #[must_use]
    pub fn monitor_label(&self) -> Option<&'static str> {
        match self.on_sidecar_failure {
            OnSidecarFailure::Fail => Some(names::MONITOR_SIDECARS),
            OnSidecarFailure::Ignore => self.launch.has_limit().then_some(names::MONITOR_LAUNCH),
        }
    }
}

/// An output that a pod waits for.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AwaitedPipe {
    /// Key that the earlier task declares.
    pub key: String,
    /// Name of the object in the spec of the pod.
    pub object: String,
    /// Maximum seconds that the pod waits.
    pub seconds: u32,
}

impl From<&AwaitedOutput> for AwaitedPipe {
    fn from(awaits: &AwaitedOutput) -> Self {
        let AwaitedOutput { key, object, seconds, .. } = awaits.clone();
        Self { key, object, seconds }
    }
}
