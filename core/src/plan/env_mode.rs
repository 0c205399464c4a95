//! Which way the boot env takes into the task containers of a pod.

use super::entrypoint::{CommandSource, ContainerCommand};
use super::{EnvDelivery, PlanError, PreparedProfile, Version};
use crate::names;
use crate::pod::{Container, Pod};
use crate::profile::spec::{EnvMode, Layout};

/// Why Auto selects a Secret for schedulers that start the task with exec.
const BY_EXEC: &str = "its scheduler starts the task with exec, which only inherits the env of the container";

/// The mode that somebody asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RequestedMode {
    pub(super) mode: EnvMode,
    by: ModeSource,
    /// Whether the scheduler starts the task with exec, and such a process does not inherit the env of the launcher.
    pub(super) by_exec: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ModeSource {
    Profile,
    Annotation,
}

impl RequestedMode {
    /// What the pod's annotation asks for, else the profile.
    pub(super) fn by(pod: &Pod<'_>, recipe: &PreparedProfile) -> Result<Self, PlanError> {
        let by_exec = recipe.schedulers.detect(pod).is_some_and(|scheduler| scheduler.uses_exec());
        let Some(text) = pod.annotations.get(names::ANNOTATION_ENV_MODE) else {
            return Ok(Self { mode: recipe.profile.spec.env.mode, by: ModeSource::Profile, by_exec });
        };
        let mode = EnvMode::ALL.into_iter().find(|mode| mode.as_str().eq_ignore_ascii_case(text));
        let mode = mode.ok_or_else(|| PlanError::EnvMode { says: text.to_owned() })?;
        Ok(Self { mode, by: ModeSource::Annotation, by_exec })
    }

    /// Who asks, for messages.
    pub(super) fn asks(self, recipe: &PreparedProfile) -> String {
        match self.by {
            ModeSource::Profile => {
                format!("env.mode of BootProfile {:?} is {}", recipe.profile.name, self.mode.as_str())
            }
            ModeSource::Annotation => {
                format!("annotation {} is {}", names::ANNOTATION_ENV_MODE, self.mode.as_str())
            }
        }
    }

    /// Why a pod takes its env from a Secret, and how it need not.
    pub(super) fn why_secret(self, recipe: &PreparedProfile) -> (String, &'static str) {
        match self.mode {
            EnvMode::Secret => (
                self.asks(recipe),
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

    /// Whether it matters what a container runs, and it is worth asking a registry.
    pub(super) fn asks_registry(self, recipe: &PreparedProfile) -> bool {
        match self.mode {
            EnvMode::Launch => true,
            EnvMode::Auto => !recipe.given.is_empty() && !self.selects_secret(recipe),
            EnvMode::Secret | EnvMode::File | EnvMode::Hook => false,
        }
    }

    /// Whether Auto means Secret, whatever the commands are.
    fn selects_secret(self, recipe: &PreparedProfile) -> bool {
        self.mode == EnvMode::Auto && self.by_exec && recipe.store.is_some() && !recipe.given.is_empty()
    }

    /// The way into a container that runs `runs`, and why it is that one.
    pub(super) fn resolve(
        self,
        container: &Container<'_>,
        runs: &ContainerCommand,
        recipe: &PreparedProfile,
    ) -> Result<(EnvDelivery, String), PlanError> {
        match (self.mode, runs) {
            (EnvMode::Auto, _) if self.selects_secret(recipe) => {
                Ok((EnvDelivery::Secret, BY_EXEC.to_owned()))
            }
            (EnvMode::Auto | EnvMode::Launch, ContainerCommand::Spec) => {
                Ok((EnvDelivery::Launch, "its command is set in the pod".to_owned()))
            }
            (EnvMode::Auto | EnvMode::Launch, ContainerCommand::Image { told_by, .. }) => Ok((
                EnvDelivery::Launch,
                format!("the entrypoint of its image is known from {}", source(*told_by)),
            )),
            (EnvMode::Auto, ContainerCommand::Unknown { .. } | ContainerCommand::Ask)
                if recipe.profile.spec.assets.layout == Layout::Optimus =>
            {
                Ok((EnvDelivery::Sourced, "images for layout Optimus source it".to_owned()))
            }
            (EnvMode::Auto, ContainerCommand::Unknown { .. } | ContainerCommand::Ask)
                if recipe.store.is_some() =>
            {
                Ok((EnvDelivery::Secret, format!("its command is unknown{}", runs.why_unknown())))
            }
            (EnvMode::Secret, _) if recipe.store.is_none() => {
                Err(PlanError::NoStore { asks: self.asks(recipe) })
            }
            (EnvMode::Secret, _) => Ok((EnvDelivery::Secret, self.asks(recipe))),
            (EnvMode::Auto, ContainerCommand::Unknown { .. } | ContainerCommand::Ask) => {
                Ok((EnvDelivery::None, format!("its command is unknown{}", runs.why_unknown())))
            }
            (EnvMode::Launch, ContainerCommand::Unknown { .. } | ContainerCommand::Ask) => {
                let (container, asks) = (container.name.to_owned(), self.asks(recipe));
                Err(PlanError::CommandUnknown { container, because: runs.why_unknown(), asks })
            }
            (EnvMode::File, _) => {
                self.check_file(recipe)?;
                Ok((EnvDelivery::File, self.asks(recipe)))
            }
            (EnvMode::Hook, _) => Ok((EnvDelivery::Hook, self.asks(recipe))),
        }
    }

    fn check_file(self, recipe: &PreparedProfile) -> Result<(), PlanError> {
        if let Some(version) = recipe.kubernetes.filter(|version| *version < Version::FILE_KEY_REF) {
            return Err(PlanError::TooOldForFile { asks: self.asks(recipe), version });
        }
        if recipe.profile.spec.env.file.keys.is_empty() {
            let profile = recipe.profile.name.clone();
            return Err(PlanError::NoFileKeys { asks: self.asks(recipe), profile });
        }
        Ok(())
    }
}

fn source(told_by: CommandSource) -> String {
    match told_by {
        CommandSource::Annotation => format!("annotation {}", names::ANNOTATION_ENTRYPOINT),
        CommandSource::Profile => "env.images of the BootProfile".to_owned(),
        CommandSource::Registry => "the registry".to_owned(),
    }
}
