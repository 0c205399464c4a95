//! `prestop`: the preStop handler of the container. It runs the `preKill` hooks of the BootProfile, then the
//! original preStop handler of the pod.
//!
//! The kubelet sends the signal to stop after this handler, and kills the container at the end of the grace
//! period, whatever the handler does. So the hooks have a part of the grace period only, and whatever happens
//! to them, the handler of the pod still runs.

use std::error::Error;
use std::{env, fmt, thread};

use crate::boot_env::BootEnv;
use crate::code::{Code, Coded};
use crate::deadline::Deadline;
use crate::hook::handler::{Handler, HandlerError};
use crate::invocation::{Place, PrestopInvocation};
use crate::merge::{self, Merged};
use crate::report;
use crate::task_hook::{Stage, TaskHookError};
use crate::tls::Tls;

/// Runs the hooks and the handler. A handler that is an HTTP request uses `tls`. The kubelet records an Event
/// about an error, and stops the container nevertheless.
pub(crate) fn run(prestop: &PrestopInvocation, tls: Option<Tls>) -> Result<(), PrestopError> {
    let deadline = Deadline::after(prestop.grace);
    let place = &prestop.place;
    let process: Vec<_> = env::vars_os().collect();
    // Without the boot env, the handler of the pod can still do its work.
    let boot = BootEnv::load(place);
    let loaded = boot.as_ref().ok().and_then(|boot| {
        let resolved = boot.resolve(&boot.merge_over(&process).ok()?, &[], 0).ok()?;
        Some((boot, resolved))
    });
    let merged = match &loaded {
        Some((boot, resolved)) => boot.merge_over(&process).ok().map(|merged| merged.with(&resolved.env)),
        None => None,
    };
    let merged = merged.unwrap_or_else(|| {
        let text = "warning: failed to load the boot env, so the preKill hooks and the preStop handler run without it";
        report::log(&text, Code::TaskEnvUnreadable, place);
        merge::merge(&process, &[], &[])
    });
    let hooks = run_hooks(prestop, &merged, place);
    match &prestop.handler {
        None => {}
        // The kubelet also ends a sleep at the end of the grace period.
        Some(Handler::Sleep(duration)) => thread::sleep(deadline.left().unwrap_or_default().min(*duration)),
        Some(handler) => handler.run(&merged, tls, deadline).map_err(PrestopError::Handler)?,
    }
    hooks.map_err(PrestopError::Hook)
}

/// Runs all hooks, also after one that failed. Returns the first error.
fn run_hooks(prestop: &PrestopInvocation, merged: &Merged<'_>, place: &Place) -> Result<(), TaskHookError> {
    let deadline = Deadline::after(prestop.timeout);
    let mut first = Ok(());
    for hook in &prestop.hooks {
        let left = deadline.left().unwrap_or_default();
        let result = hook.run(Stage::PreKill, merged, left, place);
        if first.is_ok() {
            first = result;
        }
    }
    first
}

/// A hook or the handler failed.
#[derive(Debug)]
pub(crate) enum PrestopError {
    Hook(TaskHookError),
    Handler(HandlerError),
}

impl fmt::Display for PrestopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hook(error) => error.fmt(f),
            Self::Handler(error) => write!(f, "the preStop handler of the pod failed: {error}"),
        }
    }
}

impl Error for PrestopError {}

impl Coded for PrestopError {
    fn code(&self) -> Code {
        match self {
            Self::Hook(error) => error.code(),
            Self::Handler(_) => Code::PreStopFailed,
        }
    }
}
