//! `hook`: the container's postStart. It proves that the task holds the boot env (or puts it where the task looks for
//! it), then runs the profile's own commands and the handler that the pod's spec had as its postStart, all inside
//! one limit.
//!
//! The kubelet has no limit of its own for a hook, and one that hangs blocks the pod's deletion
//! (kubernetes/kubernetes, `pkg/kubelet/lifecycle/handlers.go`). A hook that fails makes it kill the
//! container, with all that runs in it.

pub(crate) mod handler;
mod home;
mod hosts;
pub(crate) mod http;
mod process;
mod proof;
pub(crate) mod url;

use std::error::Error;
use std::ffi::OsStr;
use std::{env, fmt};

use crate::args::{HookInvocation, UsageError};
use crate::boot_env::{BootEnv, LoadError};
use crate::deadline::Deadline;
use crate::report;
use crate::tls::Tls;
use handler::HandlerError;
use home::HomeError;
use process::Proc;
use proof::{Proof, ProofError};

/// How the boot env gets into the task's process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Way {
    /// The launcher in front of its command loads it.
    #[default]
    Launch,
    /// Not at all: what the container runs is not known.
    None,
    /// The kubelet reads it from a file when it starts the container.
    File,
    /// The task's entrypoint sources the file that the hook writes.
    Home,
    /// The image's entrypoint sources it from a file among its assets, whenever it likes: there is nothing to prove.
    Sourced,
}

impl Way {
    pub(crate) fn parse(word: &OsStr) -> Result<Self, UsageError> {
        match word.as_encoded_bytes() {
            b"launch" => Ok(Self::Launch),
            b"none" => Ok(Self::None),
            b"file" => Ok(Self::File),
            b"home" => Ok(Self::Home),
            b"sourced" => Ok(Self::Sourced),
            _ => Err(UsageError::new("`--env` is not one of launch, none, file, home and sourced")),
        }
    }
}

/// What becomes of a container whose first process may not be read, so that nothing is proven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OnUnreadable {
    /// It fails.
    #[default]
    Fail,
    /// It runs on, and its termination message says so.
    Warn,
}

impl OnUnreadable {
    pub(crate) fn parse(word: &OsStr) -> Result<Self, UsageError> {
        match word.as_encoded_bytes() {
            b"fail" => Ok(Self::Fail),
            b"warn" => Ok(Self::Warn),
            _ => Err(UsageError::new("`--unreadable` is neither fail nor warn")),
        }
    }
}

/// Bootlace puts the launcher in front of every command that it leaves to the hook to prove, and a container's command
/// cannot change once its pod is created: whoever replaced it did so before.
const NOT_LAUNCHED: &str = "its first process was not started by Bootlace's launcher, so the boot env is not in it: another \
                            command has taken the task's place, as in a copy of the pod (`kubectl debug --copy-to`). It \
                            runs on without the boot env";

/// Proves, then runs commands and handler, which takes `tls` where it is a request. A task that has ended before is no failure: it keeps its own result.
pub(crate) fn run(hook: &HookInvocation, tls: Option<Tls>) -> Result<(), HookError> {
    let deadline = Deadline::after(hook.timeout);
    // The kubelet runs a hook with the container's configured env, so this is what the task's process would
    // hold without the boot env.
    let process: Vec<_> = env::vars_os().collect();
    let boot = BootEnv::load(&hook.place).map_err(HookError::NoBootEnv)?;
    let merged = boot.over(&process).map_err(HookError::NoBootEnv)?;
    let resolved = boot.resolve(&merged, &[], 0).map_err(HookError::NoBootEnv)?;
    let merged = merged.with(&resolved.env);

    let proc = Proc::mounted();
    let proven = match hook.env {
        Way::Sourced => Proof::Holds,
        Way::Home => home::write(&proc, &merged).map_err(HookError::NotWritten)?,
        way @ (Way::Launch | Way::None | Way::File) => {
            proof::wait(&proc, &merged, way, hook.unreadable, deadline).map_err(HookError::NotProven)?
        }
    };
    match &proven {
        Proof::Holds => {}
        Proof::Ended => return Ok(()),
        Proof::Unreadable(error) => report::warning(error, &hook.place),
        Proof::NotLaunched => report::warning(&NOT_LAUNCHED, &hook.place),
    }
    for (number, command) in (1..).zip(&hook.commands) {
        let ran = handler::exec(command, &merged, deadline);
        match ran.map_err(|error| HookError::Command { number, error }) {
            // They are made for the task, which does not run here.
            Err(error) if matches!(proven, Proof::NotLaunched) => {
                report::warning(&format_args!("{NOT_LAUNCHED}. {error}"), &hook.place);
            }
            ran => ran?,
        }
    }
    match &hook.handler {
        None => Ok(()),
        Some(handler) => handler.run(&merged, tls, deadline).map_err(HookError::Handler),
    }
}

/// Why the hook failed.
#[derive(Debug)]
pub(crate) enum HookError {
    NoBootEnv(LoadError),
    NotProven(ProofError),
    NotWritten(HomeError),
    /// One of the profile's own commands failed, counted from 1.
    Command {
        number: usize,
        error: HandlerError,
    },
    Handler(HandlerError),
}

impl fmt::Display for HookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBootEnv(error) => write!(f, "its boot env is missing: {error}"),
            Self::NotProven(error) => error.fmt(f),
            Self::NotWritten(error) => error.fmt(f),
            Self::Command { number, error } => {
                write!(f, "command {number} of the BootProfile's `hook.commands` failed: {error}")
            }
            Self::Handler(error) => write!(f, "the pod's own postStart failed: {error}"),
        }
    }
}

impl Error for HookError {}
