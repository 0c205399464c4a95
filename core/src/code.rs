//! The stable codes of the messages that users see: `BL1203` at the end of a refusal, a termination message or a log line
//! leads to the section of that name in docs/troubleshooting.md, whatever the wording of the message becomes.
//!
//! A code is never reused for another meaning. `tests/messages` checks that each code has a message and a section.

use std::fmt;

use crate::input::InputError;
use crate::plan::{InitImageError, PipesError, PlanError};
use crate::profile::NoProfile;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal,)+) => {
        /// The code of a message.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Code {
            /// All codes, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The code as messages show it, such as `BL1203`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)+
                }
            }

            /// The meaning of the code: the title of its section in the docs.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+).trim_ascii_start(),)+
                }
            }

            /// `message` with the code at its end, in `max_bytes` bytes: a longer message is shortened, and keeps its code.
            #[must_use]
            pub fn append_to(self, message: &str, max_bytes: usize) -> String {
                let end = format!(" [{self}]");
                let cut = message.floor_char_boundary(max_bytes.saturating_sub(end.len()));
                message.get(..cut).unwrap_or(message).to_owned() + &end
            }
        }
    };
}

codes! {
    // Admission: the request, the pod (10xx), profiles (11xx), containers (12xx), env and commands (13xx), pods that are injected
    // already (14xx), boot images (15xx), outputs (16xx), inputs (17xx).
    /// The admission review cannot be parsed.
    ReviewMalformed = "BL1001",
    /// A field of the pod has the wrong type.
    PodMalformed = "BL1002",
    /// Bootlace has a bug: please report it.
    InternalError = "BL1003",
    /// A lookup that the pod needs is unavailable.
    LookupUnavailable = "BL1004",
    /// The pod names a BootProfile that does not exist.
    ProfileNotFound = "BL1101",
    /// The pod names a BootProfile of which no version is valid.
    ProfileNotActive = "BL1102",
    /// A template of a BootProfile is invalid.
    TemplateInvalid = "BL1104",
    /// A template of a BootProfile cannot be rendered for the pod.
    TemplateNotRendered = "BL1105",
    /// The pod has no containers.
    NoContainers = "BL1201",
    /// The pod has too many containers.
    TooManyContainers = "BL1202",
    /// The containers annotation names a container that does not exist.
    UnknownContainer = "BL1203",
    /// The containers annotation names an init container that runs before boot.
    InitContainerNotAllowed = "BL1204",
    /// The containers annotation is empty.
    NoContainerNamed = "BL1205",
    /// The pod uses a name that is reserved for Bootlace.
    NameTaken = "BL1206",
    /// A mount of the pod conflicts with one that Bootlace adds.
    MountConflict = "BL1207",
    /// A container mounts a volume that is reserved for Bootlace.
    ReservedVolumeMounted = "BL1208",
    /// The pod requires an architecture that the boot image does not support.
    ArchitectureNotSupported = "BL1209",
    /// The container has a postStart handler that Bootlace cannot run.
    HandlerNotSupported = "BL1210",
    /// The memory limit of the pod is too low to boot.
    MemoryLimitTooLow = "BL1211",
    /// The command of a container is unknown.
    CommandUnknown = "BL1301",
    /// The command of an init container is unknown.
    InitCommandUnknown = "BL1302",
    /// An init container cannot get the boot env from a hook.
    HookInInitContainer = "BL1303",
    /// The entrypoint annotation is invalid.
    EntrypointInvalid = "BL1304",
    /// The env mode annotation is invalid.
    EnvModeInvalid = "BL1305",
    /// The Kubernetes version does not support env mode File.
    FileModeTooOld = "BL1306",
    /// Env mode File needs env.file.keys.
    FileKeysMissing = "BL1307",
    /// Env mode Secret needs the store.
    StoreMissing = "BL1308",
    /// Env mode Secret needs an admission request.
    SecretNeedsRequest = "BL1309",
    /// The env mode needs the postStart hook, which the profile disables.
    HookDisabled = "BL1310",
    /// The task would run without the boot env, unnoticed.
    EnvNotVerified = "BL1311",
    /// The boot configuration is too large.
    SpecTooLarge = "BL1312",
    /// The configuration in a pod that is already injected cannot be parsed.
    InjectedSpecUnreadable = "BL1401",
    /// A pod that is already injected differs from what Bootlace would inject.
    InjectedSpecDiffers = "BL1402",
    /// The boot image annotation is empty.
    InitImageEmpty = "BL1501",
    /// The boot image annotation is not an image reference.
    InitImageInvalid = "BL1502",
    /// The profile does not allow the boot image.
    InitImageNotAllowed = "BL1503",
    /// The pipe-out annotation is not a YAML list.
    OutputsInvalid = "BL1601",
    /// An output is invalid.
    OutputInvalid = "BL1602",
    /// Two outputs have the same key.
    OutputDuplicate = "BL1603",
    /// An output names a container that is not a task.
    OutputContainerUnknown = "BL1604",
    /// An output names an init container.
    OutputInitContainer = "BL1605",
    /// An output does not name its container.
    OutputContainerAmbiguous = "BL1606",
    /// The pod has too many outputs.
    TooManyOutputs = "BL1607",
    /// The run of a pod with outputs is unknown.
    OutputsNeedRun = "BL1608",
    /// Outputs need the store.
    OutputsNeedStore = "BL1609",
    /// The Kubernetes version does not support outputs.
    OutputsTooOld = "BL1610",
    /// An output is not in a volume that the sidecar can share.
    OutputVolumeNotShared = "BL1611",
    /// An output is in a mount with subPathExpr.
    OutputSubPathExpression = "BL1612",
    /// Waiting for an output needs the store.
    WaitNeedsStore = "BL1613",
    /// The Kubernetes version does not support waiting for an output.
    WaitTooOld = "BL1614",
    /// The configuration of the outputs is too large.
    OutputsTooLarge = "BL1615",
    /// The pipe-in annotation is not a YAML list.
    InputsInvalid = "BL1701",
    /// An input is invalid.
    InputInvalid = "BL1702",
    /// A field contains more than the name of a pipe.
    PlaceholderNotAlone = "BL1703",
    /// A placeholder has an invalid key.
    PlaceholderKeyInvalid = "BL1704",
    /// A placeholder is in a field that Bootlace does not replace.
    PlaceholderNotReplaced = "BL1705",
    /// The run of a pod with inputs is unknown.
    InputsNeedRun = "BL1706",
    /// The pod reads from too many runs.
    TooManyRuns = "BL1707",
    /// An input is not stored yet.
    InputNotStored = "BL1708",
    /// Several tasks stored an input under the same key.
    InputTaskAmbiguous = "BL1709",
    /// Several map indexes stored an input under the same key.
    InputIndexAmbiguous = "BL1710",
    /// An input is not of the kind that the field needs.
    InputKindMismatch = "BL1711",
    /// An input is not of the kind that the annotation names.
    InputKindDiffers = "BL1712",
    /// An input has several files, and a variable needs one.
    InputFileAmbiguous = "BL1713",
    /// A volume of the pod has a name that is reserved for Bootlace.
    InputNameTaken = "BL1714",
    /// An input cannot be looked up.
    InputLookupFailed = "BL1715",
    // Boot: its container (20xx), sources (21xx), servers (22xx), content (23xx), delivery of the env (24xx), the volume (25xx).
    /// The boot container has no configuration.
    BootSpecMissing = "BL2001",
    /// The configuration of the boot container is invalid.
    BootSpecInvalid = "BL2002",
    /// The boot image has no launcher.
    LauncherMissing = "BL2003",
    /// The boot process cannot start.
    BootNotStarted = "BL2004",
    /// A source does not exist.
    SourceNotFound = "BL2101",
    /// A mounted file of a source cannot be read.
    SourceUnreadable = "BL2102",
    /// A source was not fetched in time.
    SourceTimedOut = "BL2103",
    /// The settings of a source are invalid.
    SourceSettingsInvalid = "BL2104",
    /// The name of a server cannot be resolved.
    ServerNotResolved = "BL2201",
    /// A server cannot be reached.
    ServerUnreachable = "BL2202",
    /// The certificate of a server is not valid.
    ServerCertificateInvalid = "BL2203",
    /// A server denies access.
    ServerDeniedAccess = "BL2204",
    /// A server responds with an error.
    ServerError = "BL2205",
    /// A redirect is refused.
    RedirectRefused = "BL2206",
    /// The checksum of a source is wrong.
    ChecksumMismatch = "BL2301",
    /// The content of a source is invalid.
    ContentInvalid = "BL2302",
    /// An archive cannot be unpacked.
    ArchiveInvalid = "BL2303",
    /// A source is too large.
    SourceTooLarge = "BL2304",
    /// A variable of a source is not allowed.
    VariableNotAllowed = "BL2305",
    /// A file path of a source is not allowed.
    PathNotAllowed = "BL2306",
    /// Two entries of sources conflict.
    EntriesConflict = "BL2307",
    /// A variable is not listed in env.file.keys.
    FileKeyNotListed = "BL2401",
    /// A variable cannot be delivered to the task.
    VariableNotDeliverable = "BL2402",
    /// The boot env is too large for a Secret.
    EnvTooLargeForSecret = "BL2403",
    /// The Secret for the boot env belongs to another pod.
    EnvSecretTaken = "BL2404",
    /// The store did not store the boot env.
    EnvNotStored = "BL2405",
    /// The boot volume is not mounted correctly.
    VolumeNotMounted = "BL2501",
    /// The boot volume is full.
    VolumeFull = "BL2502",
    /// The memory limit of boot is too low.
    BootMemoryTooLow = "BL2503",
    /// The boot volume cannot be written.
    VolumeNotWritable = "BL2504",
    // The containers that wait for an output: the container (30xx), the output (31xx).
    /// The waiting container has no configuration.
    WaitSpecMissing = "BL3001",
    /// The configuration of the waiting container is invalid.
    WaitSpecInvalid = "BL3002",
    /// The waiting process cannot start.
    WaitNotStarted = "BL3003",
    /// The pod was deleted while it waited.
    WaitTerminated = "BL3004",
    /// An output was not stored in time.
    OutputNotStoredInTime = "BL3101",
    /// An output will never be stored as the pod needs it.
    OutputNeverStored = "BL3102",
    /// An output lacks a file.
    OutputFileMissing = "BL3103",
    /// The kubelet did not mount an output.
    OutputNotMounted = "BL3104",
    /// The store cannot be queried for an output.
    OutputNotQueried = "BL3105",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

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
            Self::InjectedConfigInvalid { .. } => Code::InjectedSpecUnreadable,
            Self::InjectedConfigDiffers { .. } => Code::InjectedSpecDiffers,
            Self::WrongType(_) => Code::PodMalformed,
            Self::InitImage(error) => error.code(),
            Self::Pipes(error) => error.code(),
            Self::Template { .. } => Code::TemplateNotRendered,
            Self::InvalidTemplate(_) => Code::TemplateInvalid,
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

impl Coded for InputError {
    fn code(&self) -> Code {
        match self {
            Self::NoList { .. } => Code::InputsInvalid,
            Self::Entry { .. } => Code::InputInvalid,
            Self::Inside { .. } => Code::PlaceholderNotAlone,
            Self::NoKey { .. } => Code::PlaceholderKeyInvalid,
            Self::Elsewhere { .. } => Code::PlaceholderNotReplaced,
            Self::NoRun { .. } => Code::InputsNeedRun,
            Self::ManyRuns { .. } => Code::TooManyRuns,
            Self::NotYet { .. } => Code::InputNotStored,
            Self::ManyTasks { .. } => Code::InputTaskAmbiguous,
            Self::ManyIndexes { .. } => Code::InputIndexAmbiguous,
            Self::WrongKind { .. } => Code::InputKindMismatch,
            Self::OtherKind { .. } => Code::InputKindDiffers,
            Self::WhichFile { .. } => Code::InputFileAmbiguous,
            Self::NameTaken { .. } => Code::InputNameTaken,
            Self::Unknown { .. } => Code::InputLookupFailed,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_is_too_long_keeps_its_code() {
        let code = Code::ReviewMalformed;
        assert_eq!(code.append_to("a", 100), "a [BL1001]");
        assert_eq!(code.append_to("aé", 12), "aé [BL1001]");
        assert_eq!(code.append_to("aé", 11), "a [BL1001]");
    }

    #[test]
    fn codes_are_unique_and_in_order() {
        assert!(Code::ALL.is_sorted_by(|a, b| a.as_str() < b.as_str()));
    }
}
