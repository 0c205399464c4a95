//! What the arguments of the launcher request. `args` parses them.

use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::code::{Code, Coded};
use crate::hook::handler::Handler;

/// Run the command of a boot image with a timeout.
#[derive(Debug)]
pub(crate) struct InitInvocation {
    pub(crate) place: Place,
    pub(crate) timeout: Duration,
    /// The directory for the results of the command.
    pub(crate) out: PathBuf,
    /// Never empty.
    pub(crate) argv: Vec<OsString>,
}

/// Load the boot env and execute a command.
#[derive(Debug)]
pub(crate) struct ExecInvocation {
    pub(crate) place: Place,
    /// Never empty.
    pub(crate) argv: Vec<OsString>,
    /// The number of words at its start that belong to the launcher, not to the task.
    pub(crate) own: usize,
    /// The `preLaunch` hooks.
    pub(crate) hooks: Vec<TaskHook>,
}

/// Verify that the task has the boot env, then run the postStart handler of the pod.
#[derive(Debug)]
pub(crate) struct HookInvocation {
    pub(crate) place: Place,
    /// For the verification and the handler together, without the hooks.
    pub(crate) timeout: Duration,
    pub(crate) env: EnvDelivery,
    pub(crate) unreadable: OnUnreadable,
    /// The `postLaunch` hooks.
    pub(crate) hooks: Vec<TaskHook>,
    pub(crate) handler: Option<Handler>,
}

/// Run the `preKill` hooks, then the preStop handler of the pod.
#[derive(Debug)]
pub(crate) struct PrestopInvocation {
    pub(crate) place: Place,
    /// For all hooks together.
    pub(crate) timeout: Duration,
    /// The grace period of the pod.
    pub(crate) grace: Duration,
    pub(crate) hooks: Vec<TaskHook>,
    pub(crate) handler: Option<Handler>,
}

/// A hook of the BootProfile that runs in the container of the task.
#[derive(Debug, PartialEq)]
pub(crate) struct TaskHook {
    pub(crate) name: String,
    pub(crate) timeout: Duration,
    pub(crate) on_failure: OnFailure,
    /// Never empty.
    pub(crate) argv: Vec<OsString>,
}

/// What a failure of a hook means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnFailure {
    Fail,
    Ignore,
}

/// The container that the launcher runs in.
#[derive(Debug, PartialEq)]
pub(crate) struct Place {
    pub(crate) container: OsString,
    /// The mount path of the boot volume.
    pub(crate) root: PathBuf,
    /// The `terminationMessagePath` of the container.
    pub(crate) termination_log: PathBuf,
}

/// Invalid arguments. The message contains names of flags, never their values: a header can be a secret.
#[derive(Debug)]
pub(crate) struct UsageError(String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid arguments: {}: see `launch --help`", self.0)
    }
}

impl Error for UsageError {}

impl UsageError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl Coded for UsageError {
    fn code(&self) -> Code {
        Code::LauncherArgumentsInvalid
    }
}

/// How the boot env is delivered to the task process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum EnvDelivery {
    /// The launcher loads it and executes the command of the task.
    #[default]
    Launch,
    /// Not at all, because the command of the container is unknown.
    None,
    /// The kubelet reads it from a file when it starts the container.
    File,
    /// The entrypoint of the task sources the file that the hook writes.
    Home,
    /// The entrypoint of the image sources a file in the assets at any time, which cannot be verified.
    Sourced,
}

impl EnvDelivery {
    pub(crate) fn parse(word: &OsStr) -> Result<Self, UsageError> {
        match word.as_encoded_bytes() {
            b"launch" => Ok(Self::Launch),
            b"none" => Ok(Self::None),
            b"file" => Ok(Self::File),
            b"home" => Ok(Self::Home),
            b"sourced" => Ok(Self::Sourced),
            _ => Err(UsageError::new("--env is invalid: must be launch, none, file, home or sourced")),
        }
    }
}

/// What to do if the env of the first process cannot be read, so that the boot env cannot be verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OnUnreadable {
    /// Fail the container.
    #[default]
    Fail,
    /// Let the container run, with a warning in its termination message.
    Warn,
}

impl OnUnreadable {
    pub(crate) fn parse(word: &OsStr) -> Result<Self, UsageError> {
        match word.as_encoded_bytes() {
            b"fail" => Ok(Self::Fail),
            b"warn" => Ok(Self::Warn),
            _ => Err(UsageError::new("--unreadable is invalid: must be fail or warn")),
        }
    }
}
