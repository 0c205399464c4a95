//! Which way the boot env takes into the task containers of a pod.

use super::entrypoint::{Runs, ToldBy};
use super::{EnvWay, PlanError, Recipe, Version};
use crate::names;
use crate::pod::{Container, Pod};
use crate::profile::spec::{EnvMode, Layout};

/// The mode that somebody asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) mode: EnvMode,
    by: AskedBy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AskedBy {
    Profile,
    Annotation,
}

impl Wanted {
    /// What the pod's annotation asks for, else the profile.
    pub(super) fn by(pod: &Pod<'_>, recipe: &Recipe) -> Result<Self, PlanError> {
        let Some(text) = pod.annotations.get(names::ANNOTATION_ENV_MODE) else {
            return Ok(Self { mode: recipe.profile.spec.env.mode, by: AskedBy::Profile });
        };
        let mode = EnvMode::ALL.into_iter().find(|mode| mode.as_str().eq_ignore_ascii_case(text));
        let mode = mode.ok_or_else(|| PlanError::EnvMode { says: text.to_owned() })?;
        Ok(Self { mode, by: AskedBy::Annotation })
    }

    /// Who asks, for messages.
    pub(super) fn asks(self, recipe: &Recipe) -> String {
        match self.by {
            AskedBy::Profile => {
                format!("BootProfile {:?} has env.mode {}", recipe.profile.name, self.mode.as_str())
            }
            AskedBy::Annotation => {
                format!("the annotation {} is {}", names::ANNOTATION_ENV_MODE, self.mode.as_str())
            }
        }
    }

    /// Why a pod takes its env from a Secret, and how it need not.
    pub(super) fn why_secret(self, recipe: &Recipe) -> (String, &'static str) {
        match self.mode {
            EnvMode::Secret => (
                self.asks(recipe),
                "set the mode to Auto and add the image's entrypoint as `command` to each task container that has none",
            ),
            _ => (
                "a task container has no command, so no launcher can load it".to_owned(),
                "add the image's entrypoint as `command` to each task container that has none",
            ),
        }
    }

    /// Whether it matters what a container runs, and it is worth asking a registry.
    pub(super) fn asks_registry(self, recipe: &Recipe) -> bool {
        match self.mode {
            EnvMode::Launch => true,
            EnvMode::Auto => !recipe.given.is_empty(),
            EnvMode::Secret | EnvMode::File | EnvMode::Hook => false,
        }
    }

    /// The way into a container that runs `runs`, and why it is that one.
    pub(super) fn way(
        self,
        container: &Container<'_>,
        runs: &Runs,
        recipe: &Recipe,
    ) -> Result<(EnvWay, String), PlanError> {
        match (self.mode, runs) {
            (EnvMode::Auto | EnvMode::Launch, Runs::Spec) => {
                Ok((EnvWay::Launch, "the spec names its command".to_owned()))
            }
            (EnvMode::Auto | EnvMode::Launch, Runs::Image { told_by, .. }) => {
                Ok((EnvWay::Launch, format!("its image's entrypoint is known from {}", source(*told_by))))
            }
            (EnvMode::Auto, Runs::Unknown { .. } | Runs::Ask)
                if recipe.profile.spec.assets.layout == Layout::Optimus =>
            {
                Ok((EnvWay::Sourced, "images of the layout Optimus source it".to_owned()))
            }
            (EnvMode::Auto, Runs::Unknown { .. } | Runs::Ask) if recipe.store.is_some() => {
                Ok((EnvWay::Secret, format!("its command is not known{}", runs.why_unknown())))
            }
            (EnvMode::Secret, _) if recipe.store.is_none() => {
                Err(PlanError::NoStore { asks: self.asks(recipe) })
            }
            (EnvMode::Secret, _) => Ok((EnvWay::Secret, self.asks(recipe))),
            (EnvMode::Auto, Runs::Unknown { .. } | Runs::Ask) => {
                Ok((EnvWay::None, format!("its command is not known{}", runs.why_unknown())))
            }
            (EnvMode::Launch, Runs::Unknown { .. } | Runs::Ask) => {
                let (container, asks) = (container.name.to_owned(), self.asks(recipe));
                Err(PlanError::CommandUnknown { container, because: runs.why_unknown(), asks })
            }
            (EnvMode::File, _) => {
                self.check_file(recipe)?;
                Ok((EnvWay::File, self.asks(recipe)))
            }
            (EnvMode::Hook, _) => Ok((EnvWay::Hook, self.asks(recipe))),
        }
    }

    fn check_file(self, recipe: &Recipe) -> Result<(), PlanError> {
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

fn source(told_by: ToldBy) -> String {
    match told_by {
        ToldBy::Annotation => format!("the annotation {}", names::ANNOTATION_ENTRYPOINT),
        ToldBy::Profile => "the profile's env.images".to_owned(),
        ToldBy::Registry => "its registry".to_owned(),
    }
}
