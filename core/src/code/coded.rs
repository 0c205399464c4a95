//! The code of each error of admission.

use super::Code;
use crate::input::InputError;
use crate::overlay::{OverlayError, OverlayProblem};
use crate::plan::{ContextLeftOut, HooksError, InitImageError, PipesError, PlanError};
use crate::profile::NoProfile;
use crate::profile::links::LinkLeftOut;

/// An error with a code.
pub trait Coded {
    /// The code of the message.
    fn code(&self) -> Code;
}

impl Coded for PlanError {
    fn code(&self) -> Code {
        match self {
            Self::NoContainers => Code::NoContainers,
            Self::TooManyContainers { .. } => Code::TooManyContainers,
            Self::UnknownContainer { .. } => Code::UnknownContainer,
            Self::InitContainer { .. } => Code::InitContainerNotAllowed,
            Self::NoContainerNamed => Code::NoContainerNamed,
            Self::NameTaken { .. } => Code::NameTaken,
            Self::Mounts { .. } => Code::MountConflict,
            Self::ReservedVolume { .. } => Code::ReservedVolumeMounted,
            Self::Architecture { .. } => Code::ArchitectureNotSupported,
            Self::Handler { .. } => Code::HandlerNotSupported,
            Self::PodMemory { .. } => Code::MemoryLimitTooLow,
            Self::TooOldForImageVolume { .. } => Code::ImageVolumeTooOld,
            Self::CommandUnknown { .. } => Code::CommandUnknown,
            Self::InitCommandUnknown { .. } => Code::InitCommandUnknown,
            Self::NoHook { .. } => Code::HookInInitContainer,
            Self::Entrypoint { .. } => Code::EntrypointInvalid,
            Self::EnvMode { .. } => Code::EnvModeInvalid,
            Self::TooOldForFile { .. } => Code::FileModeTooOld,
            Self::NoFileKeys { .. } => Code::FileKeysMissing,
            Self::NoStore { .. } => Code::StoreMissing,
            Self::NoReview { .. } => Code::SecretNeedsRequest,
            Self::NeedsHook { .. } => Code::HookDisabled,
            Self::CommandUnknownWithoutHook { .. } => Code::EnvNotVerified,
            Self::SpecTooLarge { .. } => Code::SpecTooLarge,
            Self::ImageLookupFailed { .. } => Code::ImageLookupFailed,
            Self::InjectedConfigInvalid { .. } => Code::InjectedSpecUnreadable,
            Self::InjectedConfigDiffers { .. } => Code::InjectedSpecDiffers,
            Self::WrongType(_) => Code::PodMalformed,
            Self::InitImage(error) => error.code(),
            Self::Pipes(error) => error.code(),
            Self::Hooks(error) => error.code(),
            Self::Template { .. } | Self::TaskInfo { .. } => Code::TemplateNotRendered,
            Self::InvalidTemplate(_) => Code::TemplateInvalid,
            Self::InvalidOverlay(_) => Code::OverlayInvalid,
            Self::Serialization(_) => Code::InternalError,
        }
    }
}

impl Coded for InitImageError {
    fn code(&self) -> Code {
        match self {
            Self::Empty => Code::InitImageEmpty,
            Self::NotAnImage { .. } => Code::InitImageInvalid,
            Self::NotAllowed { .. } => Code::InitImageNotAllowed,
        }
    }
}

impl Coded for PipesError {
    fn code(&self) -> Code {
        match self {
            Self::NotAList { .. } => Code::OutputsInvalid,
            Self::InvalidEntry { .. } => Code::OutputInvalid,
            Self::DuplicateKey { .. } => Code::OutputDuplicate,
            Self::NotATaskContainer { .. } => Code::OutputContainerUnknown,
            Self::InitContainer { .. } => Code::OutputInitContainer,
            Self::AmbiguousContainer { .. } => Code::OutputContainerAmbiguous,
            Self::TooMany { .. } => Code::TooManyOutputs,
            Self::NoRun { .. } => Code::OutputsNeedRun,
            Self::NoStore { .. } => Code::OutputsNeedStore,
            Self::TooOld { .. } => Code::OutputsTooOld,
            Self::NotShared { .. } => Code::OutputVolumeNotShared,
            Self::SubPathExpression { .. } => Code::OutputSubPathExpression,
            Self::WaitNoStore { .. } => Code::WaitNeedsStore,
            Self::WaitTooOld { .. } => Code::WaitTooOld,
            Self::TooLarge { .. } => Code::OutputsTooLarge,
        }
    }
}

impl Coded for HooksError {
    fn code(&self) -> Code {
        match self {
            Self::NotLaunched { .. } => Code::HooksNeedLauncher,
            Self::NoStore { .. } => Code::HooksNeedStore,
            Self::TooOld { .. } => Code::HooksTooOld,
            Self::TooLarge { .. } => Code::HooksTooLarge,
        }
    }
}

impl Coded for InputError {
    fn code(&self) -> Code {
        match self {
            Self::InvalidList { .. } => Code::InputsInvalid,
            Self::Entry { .. } => Code::InputInvalid,
            Self::PlaceholderNotAlone { .. } => Code::PlaceholderNotAlone,
            Self::InvalidPlaceholderKey { .. } => Code::PlaceholderKeyInvalid,
            Self::PlaceholderNotReplaced { .. } => Code::PlaceholderNotReplaced,
            Self::UnknownRun { .. } => Code::InputsNeedRun,
            Self::TooManyRuns { .. } => Code::TooManyRuns,
            Self::NotStored { .. } => Code::InputNotStored,
            Self::AmbiguousTask { .. } => Code::InputTaskAmbiguous,
            Self::AmbiguousIndex { .. } => Code::InputIndexAmbiguous,
            Self::WrongKind { .. } => Code::InputKindMismatch,
            Self::KindDiffers { .. } => Code::InputKindDiffers,
            Self::WhichFile { .. } => Code::InputFileAmbiguous,
            Self::NameTaken { .. } => Code::InputNameTaken,
            Self::LookupFailed { .. } => Code::InputLookupFailed,
        }
    }
}

impl Coded for OverlayError {
    fn code(&self) -> Code {
        let problem = match self {
            Self::NoneNamed | Self::NamedTwice { .. } => return Code::OverlaysInvalid,
            Self::Unknown { .. } => return Code::OverlayUnknown,
            Self::Overlay { problem, .. } => problem,
        };
        match **problem {
            OverlayProblem::Evaluate { .. } => Code::OverlayNotEvaluated,
            OverlayProblem::Label { .. } => Code::OverlayLabelInvalid,
            OverlayProblem::NameTaken { .. } => Code::OverlayNameTaken,
            OverlayProblem::UnknownContainer { .. } => Code::OverlayContainerUnknown,
            OverlayProblem::TypeDiffers { .. } => Code::OverlayTypeDiffers,
            OverlayProblem::PathNotFound { .. } => Code::OverlayPathNotFound,
            OverlayProblem::TestFailed { .. } => Code::OverlayTestFailed,
            OverlayProblem::TooLarge { .. } => Code::OverlaysTooLarge,
        }
    }
}

impl Coded for LinkLeftOut {
    fn code(&self) -> Code {
        Code::LinkLeftOut
    }
}

impl Coded for ContextLeftOut {
    fn code(&self) -> Code {
        Code::ContextLeftOut
    }
}

impl Coded for NoProfile {
    fn code(&self) -> Code {
        match self {
            Self::Unknown { .. } => Code::ProfileNotFound,
            Self::NotInForce { .. } => Code::ProfileNotActive,
        }
    }
}
