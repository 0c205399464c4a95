//! `exec`: runs the `preLaunch` hooks, then executes the task with the boot env, in the same process.

use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;
use std::{env, fmt};

use crate::boot_env::{BootEnv, LoadError};
use crate::code::{Code, Coded};
use crate::exit;
use crate::invocation::ExecInvocation;
use crate::mark;
use crate::program::{self, StartError};
use crate::task_hook::{Stage, TaskHookError};

/// Replaces this process with the task. Returns only if that fails.
///
/// The arguments and variables of the task stay byte for byte the same, as do its open files, working
/// directory and signals. Only a bit of its core dump filter changes, by which the hook recognizes it
/// ([`mark`]). std ignores SIGPIPE in this process; [`program::exec`] restores the default, with which
/// container runtimes start processes.
pub(crate) fn run(exec: &ExecInvocation) -> Result<Infallible, ExecError> {
    let process: Vec<_> = env::vars_os().collect();
    let boot = BootEnv::load(&exec.place).map_err(ExecError::NoBootEnv)?;
    let merged = boot.merge_over(&process).map_err(ExecError::NoBootEnv)?;
    let resolved = boot.resolve(&merged, &exec.argv, exec.own).map_err(ExecError::NoBootEnv)?;
    let merged = merged.with(&resolved.env);
    for hook in &exec.hooks {
        hook.run(Stage::PreLaunch, &merged, Duration::MAX, &exec.place).map_err(ExecError::Hook)?;
    }
    mark::set();
    program::exec(&resolved.argv, &merged).map_err(ExecError::NotStarted)
}

/// The task was not started.
#[derive(Debug)]
pub(crate) enum ExecError {
    NoBootEnv(LoadError),
    Hook(TaskHookError),
    NotStarted(StartError),
}

impl ExecError {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::NoBootEnv(_) => exit::NO_BOOT_ENV,
            Self::Hook(error) => error.exit_code(),
            Self::NotStarted(error) => error.exit_code(),
        }
    }
}

impl fmt::Display for ExecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBootEnv(error) => {
                write!(f, "failed to load the boot env, so the task was not started: {error}")
            }
            Self::Hook(error) => write!(f, "the task was not started, because {error}"),
            Self::NotStarted(error) => error.fmt(f),
        }
    }
}

impl Error for ExecError {}

impl Coded for ExecError {
    fn code(&self) -> Code {
        match self {
            Self::NoBootEnv(error) => error.code(),
            Self::Hook(error) => error.code(),
            Self::NotStarted(error) => error.code(),
        }
    }
}
