//! The hooks of the BootProfile that run in the container of the task: `preLaunch`, `postLaunch`, `preKill`.
//!
//! A hook is a program with its arguments and the env of the task. It has its own timeout, at which it is
//! killed with the processes that it started.

use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::parent_id;
use std::time::Duration;
use std::{fmt, io};

use nix::sys::signal::Signal;

use crate::child::{self, ChildError, Ended};
use crate::code::{Code, Coded};
use crate::deadline::Deadline;
use crate::exit;
use crate::invocation::{OnFailure, Place, TaskHook};
use crate::merge::Merged;
use crate::program::StartError;
use crate::report;

/// The standard error of the first process of the container, which is the log of the container. The output of
/// a command that the kubelet executes is not in it.
const LOG: &str = "/proc/1/fd/2";

/// When a hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    PreLaunch,
    PostLaunch,
    PreKill,
}

impl Stage {
    fn as_str(self) -> &'static str {
        match self {
            Self::PreLaunch => "preLaunch",
            Self::PostLaunch => "postLaunch",
            Self::PreKill => "preKill",
        }
    }

    fn code(self) -> Code {
        match self {
            Self::PreLaunch => Code::PreLaunchHookFailed,
            Self::PostLaunch => Code::PostLaunchHookFailed,
            Self::PreKill => Code::PreKillHookFailed,
        }
    }
}

impl TaskHook {
    /// Runs the hook in at most `limit`. A failure that the profile ignores is only logged.
    pub(crate) fn run(
        &self,
        stage: Stage,
        merged: &Merged<'_>,
        limit: Duration,
        place: &Place,
    ) -> Result<(), TaskHookError> {
        let failed = |cause| TaskHookError { stage, name: self.name.clone(), cause };
        let limit = limit.min(self.timeout);
        match self.run_in(stage, merged, limit) {
            Ok(()) => Ok(()),
            Err(cause @ Cause::Stopped(_)) => Err(failed(cause)),
            Err(cause) if self.on_failure == OnFailure::Ignore => {
                let error = failed(cause);
                report::log(
                    &format_args!("warning: {error}; ignored, because onFailure is Ignore"),
                    stage.code(),
                    place,
                );
                Ok(())
            }
            Err(cause) => Err(failed(cause)),
        }
    }

    fn run_in(&self, stage: Stage, merged: &Merged<'_>, limit: Duration) -> Result<(), Cause> {
        // The standard error of this process is the log already if it is the first process.
        let log = if stage == Stage::PreLaunch { None } else { container_log() };
        let stderr = io::stderr();
        let output = log.as_ref().map_or_else(|| stderr.as_fd(), |log| log.as_fd());
        match child::run_hook(&self.argv, merged, output, Deadline::after(limit)) {
            Ok((_, Some(signal))) => Err(Cause::Stopped(signal)),
            Ok((ended, None)) if ended.succeeded() => Ok(()),
            Ok((ended, None)) => Err(Cause::Failed(ended)),
            Err(ChildError::NotStarted(error)) => Err(Cause::NotStarted(error)),
            Err(ChildError::NotWaited(error)) => Err(Cause::NotWaited(error)),
            Err(ChildError::TimedOut) => Err(Cause::TimedOut(limit)),
        }
    }
}

/// `None` if the runtime did not start this process in a running container, or the first process belongs to
/// another user or, with `shareProcessNamespace`, to another container.
fn container_log() -> Option<File> {
    // The parent of a process that the runtime starts is outside of the container.
    if parent_id() != 0 {
        return None;
    }
    let place = |path| fs::metadata(path).map(|root| (root.dev(), root.ino())).ok();
    if place("/proc/1/root")? != place("/")? {
        return None;
    }
    OpenOptions::new().append(true).open(LOG).ok()
}

/// A hook failed. The message contains neither its output nor its arguments.
#[derive(Debug)]
pub(crate) struct TaskHookError {
    stage: Stage,
    name: String,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    NotStarted(StartError),
    NotWaited(io::Error),
    /// It was killed after this time.
    TimedOut(Duration),
    Failed(Ended),
    /// The container was stopped while it ran.
    Stopped(Signal),
}

impl TaskHookError {
    /// The exit code of a launcher that does not start the task.
    pub(crate) fn exit_code(&self) -> u8 {
        match self.cause {
            Cause::Stopped(signal) => exit::SIGNALED | exit::low_byte(signal as i32),
            _ => exit::PRE_LAUNCH_FAILED,
        }
    }
}

impl fmt::Display for TaskHookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stage, name, cause } = self;
        write!(f, "{} hook \"{name}\" of the BootProfile ", stage.as_str())?;
        match cause {
            Cause::NotStarted(error) => write!(f, "failed: {error}"),
            Cause::NotWaited(error) => write!(f, "failed: failed to wait for its command: {error}"),
            Cause::TimedOut(limit) => write!(
                f,
                "failed: its command was killed after {} s: increase timeoutSeconds of the hook",
                limit.as_secs_f32()
            ),
            Cause::Failed(ended) => write!(f, "failed: {ended}"),
            Cause::Stopped(signal) => write!(
                f,
                "was stopped by signal {} of the container, so what follows was not started",
                *signal as i32
            ),
        }
    }
}

impl Error for TaskHookError {}

impl Coded for TaskHookError {
    fn code(&self) -> Code {
        match self.cause {
            Cause::Stopped(_) => Code::TaskHookStopped,
            _ => self.stage.code(),
        }
    }
}

#[cfg(test)]
impl TaskHookError {
    /// An error of each kind.
    pub(crate) fn examples() -> Vec<Self> {
        let error = |stage, cause| Self { stage, name: "warm-up".to_owned(), cause };
        let not_started = StartError::examples().into_iter().take(1).map(Cause::NotStarted);
        let mut errors: Vec<_> = not_started.map(|cause| error(Stage::PreLaunch, cause)).collect();
        errors.extend([
            error(Stage::PreLaunch, Cause::NotWaited(io::Error::from_raw_os_error(12))),
            error(Stage::PreLaunch, Cause::TimedOut(Duration::from_secs(10))),
            error(Stage::PreLaunch, Cause::Stopped(Signal::SIGTERM)),
            error(Stage::PostLaunch, Cause::Failed(Ended::Exit(3))),
            error(Stage::PreKill, Cause::Failed(Ended::Exit(3))),
        ]);
        errors
    }
}
