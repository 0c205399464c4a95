//! The mark that Bootlace leaves on a pod.

use serde::{Deserialize, Serialize};

use super::TaskContainer;
use crate::input::AwaitedOutput;
use crate::profile::Profile;
use crate::profile::hook::HookWhen;
use crate::profile::spec::Position;

/// The content of the annotation `bootlace.dev/injected`.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct InjectedAnnotation {
    /// The profile's name.
    pub profile: String,
    /// Its generation.
    pub generation: i64,
    /// The version of Bootlace that injected.
    pub version: String,
    /// The task containers.
    pub containers: Vec<String>,
    /// The way that env takes into them; where it differs from one to another, the weakest.
    pub env_mode: EnvDelivery,
    /// Why it is that one; empty in what earlier versions left.
    #[serde(default)]
    pub because: String,
    /// The Secret that the store may create for this pod, and no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_secret: Option<String>,
    /// The boot image of the pod's own, in full, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_image: Option<String>,
    /// Before or after the pod's own init containers. The API server looks at it: what comes behind is put right only with
    /// `Last`.
    #[serde(default)]
    pub position: Position,
    /// What the pod waits for before it boots.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub awaits: Vec<AwaitedPipe>,
    /// Which task containers have the postStart hook.
    #[serde(default, skip_serializing_if = "HookWhen::is_always")]
    pub hook_when: HookWhen,
}

impl InjectedAnnotation {
    /// What profile and tasks say of it.
    pub(super) fn by(profile: &Profile, tasks: &[TaskContainer]) -> Self {
        let weakest = tasks.iter().max_by_key(|task| task.way);
        Self {
            profile: profile.name.clone(),
            generation: profile.generation,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            containers: tasks.iter().map(|task| task.name.clone()).collect(),
            env_mode: weakest.map_or(EnvDelivery::None, |task| task.way),
            because: weakest.map(|task| task.because.clone()).unwrap_or_default(),
            env_secret: None,
            init_image: None,
            position: profile.spec.boot.position,
            awaits: Vec::new(),
            hook_when: profile.spec.hook.when,
        }
    }
}

/// What a pod waits for.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AwaitedPipe {
    /// The key that an earlier task declared.
    pub key: String,
    /// The object that the pod names.
    pub object: String,
    /// Seconds that it waits at most.
    pub seconds: u32,
}

impl From<&AwaitedOutput> for AwaitedPipe {
    fn from(awaits: &AwaitedOutput) -> Self {
        let AwaitedOutput { key, object, seconds, .. } = awaits.clone();
        Self { key, object, seconds }
    }
}

/// The way that the boot env takes into a pod's task containers.
///
/// From the strongest to the weakest: the launcher leaves a task no chance to run without its env.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
pub enum EnvDelivery {
    /// The launcher in front of their commands.
    Launch,
    /// A Secret that the store creates, for at least one of them.
    Secret,
    /// The kubelet reads it from a file.
    File,
    /// The entrypoint of at least one image sources it, as the layout of Optimus has it.
    Sourced,
    /// An entrypoint sources what the hook writes to its home.
    Hook,
    /// None, for at least one of them: its command is not known.
    None,
}

impl EnvDelivery {
    /// The word for it in the annotation.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Launch => "launch",
            Self::Secret => "secret",
            Self::File => "file",
            Self::Sourced => "sourced",
            Self::Hook => "hook",
            Self::None => "none",
        }
    }
}
