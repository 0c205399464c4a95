//! `hook`: the container's postStart. It proves that the task holds the boot env, then runs the handler that
//! the pod's spec had as its postStart, both inside one limit.
//!
//! The kubelet has no limit of its own for a hook, and one that hangs blocks the pod's deletion
//! (kubernetes/kubernetes, `pkg/kubelet/lifecycle/handlers.go`). A hook that fails makes it kill the
//! container, with all that runs in it.

pub(crate) mod handler;
mod hosts;
pub(crate) mod http;
mod process;
mod proof;
pub(crate) mod url;

use std::error::Error;
use std::ffi::OsStr;
use std::{env, fmt};

use crate::args::{Hook, UsageError};
use crate::boot_env::{BootEnv, LoadError};
use crate::deadline::Deadline;
use handler::HandlerError;
use process::Proc;
use proof::{Proof, ProofError};

/// How the boot env gets into the task's process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Way {
    /// The launcher in front of its command loads it.
    #[default]
    Launch,
    /// The image's entrypoint sources it from a file among its assets, whenever it likes: there is nothing to prove.
    Sourced,
}

impl Way {
    pub(crate) fn parse(word: &OsStr) -> Result<Self, UsageError> {
        match word.as_encoded_bytes() {
            b"launch" => Ok(Self::Launch),
            b"sourced" => Ok(Self::Sourced),
            _ => Err(UsageError::new("`--env` is neither launch nor sourced")),
        }
    }
}

/// Proves, then runs the handler. A task that has ended before is no failure: it keeps its own result.
pub(crate) fn run(hook: &Hook) -> Result<(), HookError> {
    let deadline = Deadline::after(hook.timeout);
    // The kubelet runs a hook with the container's configured env, so this is what the task's process would
    // hold without the boot env.
    let process: Vec<_> = env::vars_os().collect();
    let boot = BootEnv::load(&hook.place).map_err(HookError::NoBootEnv)?;
    let merged = boot.over(&process).map_err(HookError::NoBootEnv)?;

    let proven = match hook.env {
        Way::Launch => proof::wait(&Proc::mounted(), &merged, deadline).map_err(HookError::NotProven)?,
        Way::Sourced => Proof::Holds,
    };
    match proven {
        Proof::Ended => Ok(()),
        Proof::Holds => match &hook.handler {
            None => Ok(()),
            Some(handler) => handler.run(&merged, deadline).map_err(HookError::Handler),
        },
    }
}

/// Why the hook failed.
#[derive(Debug)]
pub(crate) enum HookError {
    NoBootEnv(LoadError),
    NotProven(ProofError),
    Handler(HandlerError),
}

impl fmt::Display for HookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBootEnv(error) => write!(f, "its boot env is missing: {error}"),
            Self::NotProven(error) => error.fmt(f),
            Self::Handler(error) => write!(f, "the pod's own postStart failed: {error}"),
        }
    }
}

impl Error for HookError {}
