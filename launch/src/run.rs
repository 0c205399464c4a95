//! `run`: like `exec`, but the task is a child process whose outputs are stored when it has exited.
//!
//! This program runs three times with different commands, so that each step can set up its process with safe
//! functions:
//!
//! | command | process | task |
//! |---|---|---|
//! | `run` | the first process of the container | loads the boot env, runs the `preLaunch` hooks, and executes `supervise` with the env |
//! | `supervise` | the same process | starts `task`, forwards signals, reaps processes, passes the outputs to the sidecar |
//! | `task` | its child process | sets itself up like the first process of a container, and executes the command |
//!
//! The first process of the container has the boot env, so that the hook can verify it, and the task inherits
//! it.

use std::env;
use std::ffi::OsString;

use crate::args::RunInvocation;
use crate::invocation::ExecInvocation;

/// The command that `run` executes.
pub(crate) fn supervise(run: RunInvocation) -> ExecInvocation {
    let mut argv = vec![this_program(), "supervise".into()];
    argv.extend(env::args_os().skip(2));
    ExecInvocation {
        own: argv.len().saturating_sub(run.argv.len()),
        place: run.place,
        argv,
        hooks: run.hooks,
    }
}

/// The path of this program. The webhook writes it as the name of the program, so `/proc` does not have to be
/// mounted.
pub(crate) fn this_program() -> OsString {
    env::args_os().next().unwrap_or_default()
}
