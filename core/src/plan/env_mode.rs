//! How the boot env is delivered to the task containers of a pod.

use std::sync::Arc;

use super::entrypoint::{CommandSource, ContainerCommand};
use super::{EnvDelivery, PlanError, PreparedProfile, Version};
use crate::identity::Scheduler;
use crate::names;
use crate::pod::{Container, Pod};
use crate::profile::Profile;
use crate::profile::env::EnvMode;
use crate::profile::spec::Layout;

/// Why Auto selects a Secret for schedulers that start the task with exec.
const BY_EXEC: &str = "its scheduler starts the task with exec, which only inherits the env of the container";

/// The env mode in the pod or in the profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RequestedMode {
    pub(super) mode: EnvMode,
    source: ModeSource,
    /// Whether the scheduler starts the task with exec, and such a process does not inherit the env of the
    /// launcher.
    pub(super) by_exec: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ModeSource {
    Profile,
    Annotation,
}

impl RequestedMode {
    /// The mode in the annotation of the pod, otherwise in the profile.
    pub(super) fn new(
        pod: &Pod<'_>,
        profile: &Profile,
        scheduler: Option<&Arc<Scheduler>>,
    ) -> Result<Self, PlanError> {
        let by_exec = scheduler.is_some_and(|scheduler| scheduler.uses_exec());
        let Some(text) = pod.annotations.get(names::ANNOTATION_ENV_MODE) else {
            return Ok(Self { mode: profile.spec.env.mode, source: ModeSource::Profile, by_exec });
        };
        let mode = EnvMode::ALL.into_iter().find(|mode| mode.as_str().eq_ignore_ascii_case(text));
        let mode = mode.ok_or_else(|| PlanError::EnvMode { value: text.to_owned() })?;
        Ok(Self { mode, source: ModeSource::Annotation, by_exec })
    }

    /// The mode and its source, for messages.
    pub(super) fn describe(self, prepared: &PreparedProfile) -> String {
        match self.source {
            ModeSource::Profile => {
                format!("env.mode of BootProfile {:?} is {}", prepared.profile.name, self.mode.as_str())
            }
            ModeSource::Annotation => {
                format!("annotation {} is {}", names::ANNOTATION_ENV_MODE, self.mode.as_str())
            }
        }
    }

    /// Why the env is delivered in a Secret, and how to avoid it.
    pub(super) fn why_secret(self, prepared: &PreparedProfile) -> (String, &'static str) {
        match self.mode {
            EnvMode::Secret => (
                self.describe(prepared),
                "set env.mode to Auto and the image's entrypoint as `command` of each task container that has none",
            ),
            _ if self.by_exec => {
                (BY_EXEC.to_owned(), "set env.mode to Launch if the scheduler runs no script with exec")
            }
            _ => (
                "a task container has no command".to_owned(),
                "set the image's entrypoint as `command` of each task container that has none",
            ),
        }
    }

    /// Whether the delivery depends on the commands of containers, so that it is worth a query to a registry.
    pub(super) fn needs_command(self, prepared: &PreparedProfile) -> bool {
        match self.mode {
            EnvMode::Launch => true,
            EnvMode::Auto => {
                prepared.profile.spec.hooks.need_launcher()
                    || (!prepared.env_names.is_empty() && !self.selects_secret(prepared))
            }
            EnvMode::Secret | EnvMode::File | EnvMode::Hook => false,
        }
    }

    /// Whether Auto means Secret, whatever the commands are.
    fn selects_secret(self, prepared: &PreparedProfile) -> bool {
        self.mode == EnvMode::Auto
            && self.by_exec
            && prepared.store.is_some()
            && !prepared.env_names.is_empty()
    }

    /// The delivery to a container with this command, and the reason for it.
    pub(super) fn resolve(
        self,
        container: &Container<'_>,
        command: &ContainerCommand,
        prepared: &PreparedProfile,
    ) -> Result<(EnvDelivery, String), PlanError> {
        match (self.mode, command) {
            (EnvMode::Auto, _) if self.selects_secret(prepared) => {
                Ok((EnvDelivery::Secret, BY_EXEC.to_owned()))
            }
            (EnvMode::Auto | EnvMode::Launch, ContainerCommand::Spec) => {
                Ok((EnvDelivery::Launch, "its command is set in the pod".to_owned()))
            }
            (EnvMode::Auto | EnvMode::Launch, ContainerCommand::Image { source, .. }) => Ok((
                EnvDelivery::Launch,
                format!("the entrypoint of its image is known from {}", describe(*source)),
            )),
            (EnvMode::Auto, ContainerCommand::Unknown { .. } | ContainerCommand::Lookup)
                if prepared.profile.spec.assets.layout == Layout::Optimus =>
            {
                Ok((EnvDelivery::Sourced, "images for layout Optimus source it".to_owned()))
            }
            (EnvMode::Auto, ContainerCommand::Unknown { .. } | ContainerCommand::Lookup)
                if prepared.store.is_some() =>
            {
                Ok((EnvDelivery::Secret, format!("its command is unknown{}", command.why_unknown())))
            }
            (EnvMode::Secret, _) if prepared.store.is_none() => {
                Err(PlanError::NoStore { mode: self.describe(prepared) })
            }
            (EnvMode::Secret, _) => Ok((EnvDelivery::Secret, self.describe(prepared))),
            (EnvMode::Auto, ContainerCommand::Unknown { .. } | ContainerCommand::Lookup) => {
                Ok((EnvDelivery::None, format!("its command is unknown{}", command.why_unknown())))
            }
            (EnvMode::Launch, ContainerCommand::Unknown { .. } | ContainerCommand::Lookup) => Err(command
                .required(container, |reason| {
                    let (container, mode) = (container.name.to_owned(), self.describe(prepared));
                    PlanError::CommandUnknown { container, reason, mode }
                })),
            (EnvMode::File, _) => {
                self.check_file(prepared)?;
                Ok((EnvDelivery::File, self.describe(prepared)))
            }
            (EnvMode::Hook, _) => Ok((EnvDelivery::Hook, self.describe(prepared))),
        }
    }

    fn check_file(self, prepared: &PreparedProfile) -> Result<(), PlanError> {
        if let Some(version) = prepared.kubernetes.filter(|version| *version < Version::FILE_KEY_REF) {
            return Err(PlanError::TooOldForFile { mode: self.describe(prepared), version });
        }
        if prepared.profile.spec.env.file.keys.is_empty() {
            let profile = prepared.profile.name.clone();
            return Err(PlanError::NoFileKeys { mode: self.describe(prepared), profile });
        }
        Ok(())
    }
}

fn describe(source: CommandSource) -> String {
    match source {
        CommandSource::Annotation => format!("annotation {}", names::ANNOTATION_ENTRYPOINT),
        CommandSource::Profile => "env.images of the BootProfile".to_owned(),
        CommandSource::Registry => "the registry".to_owned(),
    }
}
