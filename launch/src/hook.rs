//! `hook`: the postStart handler of the container. It verifies that the task has the boot env (or writes it
//! to a file for the task), then runs the `postLaunch` hooks of the profile, and the original postStart
//! handler of the pod. The verification and the handler have one timeout, and each hook has its own.
//!
//! The kubelet has no timeout for hooks, and a hook that hangs blocks the deletion of the pod
//! (kubernetes/kubernetes, `pkg/kubelet/lifecycle/handlers.go`). If a hook fails, the kubelet kills the
//! container with all its processes.

pub(crate) mod handler;
pub(crate) mod home;
mod hosts;
pub(crate) mod http;
mod process;
pub(crate) mod proof;
pub(crate) mod url;

use std::error::Error;
use std::time::{Duration, Instant};
use std::{env, fmt};

use crate::boot_env::{BootEnv, LoadError};
use crate::code::{Code, Coded};
use crate::deadline::Deadline;
use crate::invocation::{EnvDelivery, HookInvocation};
use crate::report;
use crate::task_hook::{Stage, TaskHookError};
use crate::tls::Tls;
use handler::HandlerError;
use home::HomeError;
use process::Proc;
use proof::{Proof, ProofError};

/// The warning for a container whose command is not the launcher. The command of a container cannot change
/// after its pod was created, so it was replaced before.
pub(crate) const NOT_LAUNCHED: &str = "its first process was not started by the launcher, so it runs without the boot env: another \
                            command replaced that of the task, as in a copy of the pod (`kubectl debug --copy-to`)";

/// Verifies the boot env, then runs the hooks and the handler. A handler that is an HTTP request uses
/// `tls`. If the task has exited before, the hook succeeds, so that the task keeps its result.
pub(crate) fn run(hook: &HookInvocation, tls: Option<Tls>) -> Result<(), HookError> {
    let deadline = Deadline::after(hook.timeout);
    // The kubelet runs a hook with the configured env of the container: the env of the task process without
    // the boot env.
    let process: Vec<_> = env::vars_os().collect();
    let boot = BootEnv::load(&hook.place).map_err(HookError::NoBootEnv)?;
    let merged = boot.merge_over(&process).map_err(HookError::NoBootEnv)?;
    let resolved = boot.resolve(&merged, &[], 0).map_err(HookError::NoBootEnv)?;
    let merged = merged.with(&resolved.env);

    let proc = Proc::mounted();
    let proof = match hook.env {
        EnvDelivery::Sourced => Proof::Verified,
        EnvDelivery::Home => home::write(&proc, &merged).map_err(HookError::NotWritten)?,
        delivery @ (EnvDelivery::Launch | EnvDelivery::None | EnvDelivery::File) => {
            proof::wait(&proc, &merged, delivery, hook.unreadable, deadline)
                .map_err(HookError::NotVerified)?
        }
    };
    match &proof {
        Proof::Verified => {}
        Proof::Ended => return Ok(()),
        Proof::Unreadable(error) => report::warning(error, error.code(), &hook.place),
        Proof::NotLaunched => report::warning(&NOT_LAUNCHED, Code::TaskReplaced, &hook.place),
    }
    let begun = Instant::now();
    for task_hook in &hook.hooks {
        match task_hook.run(Stage::PostLaunch, &merged, Duration::MAX, &hook.place) {
            // The hooks are written for the task, which does not run here.
            Err(error) if matches!(proof, Proof::NotLaunched) => {
                let warning = format_args!("{NOT_LAUNCHED}; {error}");
                report::warning(&warning, Code::TaskReplaced, &hook.place);
            }
            result => result.map_err(HookError::TaskHook)?,
        }
    }
    // The hooks have their own timeouts.
    let deadline = deadline.without(begun);
    match &hook.handler {
        None => Ok(()),
        Some(handler) => handler.run(&merged, tls, deadline).map_err(HookError::Handler),
    }
}

/// The hook failed.
#[derive(Debug)]
pub(crate) enum HookError {
    NoBootEnv(LoadError),
    NotVerified(ProofError),
    NotWritten(HomeError),
    TaskHook(TaskHookError),
    Handler(HandlerError),
}

impl fmt::Display for HookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBootEnv(error) => write!(f, "failed to load the boot env: {error}"),
            Self::NotVerified(error) => error.fmt(f),
            Self::NotWritten(error) => error.fmt(f),
            Self::TaskHook(error) => error.fmt(f),
            Self::Handler(error) => write!(f, "the postStart handler of the pod failed: {error}"),
        }
    }
}

impl Error for HookError {}

impl Coded for HookError {
    fn code(&self) -> Code {
        match self {
            Self::NoBootEnv(error) => error.code(),
            Self::NotVerified(error) => error.code(),
            Self::NotWritten(_) => Code::HomeNotWritable,
            Self::TaskHook(error) => error.code(),
            Self::Handler(_) => Code::PostStartFailed,
        }
    }
}
