//! `exec`: becomes the task, with the boot env.

use std::convert::Infallible;
use std::error::Error;
use std::{env, fmt};

use crate::args::ExecInvocation;
use crate::boot_env::{BootEnv, LoadError};
use crate::exit;
use crate::mark;
use crate::program::{self, StartError};

/// Replaces this process by the task. It only ever returns why that failed.
///
/// The task gets the same process, its arguments and every variable byte for byte, and the same open files,
/// working directory and signals. What the launcher leaves in it is a bit of its core dump filter, by which the hook
/// knows it ([`mark`]). std ignores SIGPIPE for itself; `CommandExt::exec` puts it back to its
/// default, which is what container runtimes start processes with.
pub(crate) fn run(exec: &ExecInvocation) -> Result<Infallible, ExecError> {
    let process: Vec<_> = env::vars_os().collect();
    let boot = BootEnv::load(&exec.place).map_err(ExecError::NoBootEnv)?;
    let merged = boot.over(&process).map_err(ExecError::NoBootEnv)?;
    let resolved = boot.resolve(&merged, &exec.argv, exec.own).map_err(ExecError::NoBootEnv)?;
    let merged = merged.with(&resolved.env);
    mark::set();
    program::exec(&resolved.argv, &merged).map_err(ExecError::NotStarted)
}

/// Why the task was not started.
#[derive(Debug)]
pub(crate) enum ExecError {
    NoBootEnv(LoadError),
    NotStarted(StartError),
}

impl ExecError {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::NoBootEnv(_) => exit::NO_BOOT_ENV,
            Self::NotStarted(error) => error.exit_code(),
        }
    }
}

impl fmt::Display for ExecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBootEnv(error) => {
                write!(f, "the task was not started, because its boot env is missing: {error}")
            }
            Self::NotStarted(error) => error.fmt(f),
        }
    }
}

impl Error for ExecError {}
