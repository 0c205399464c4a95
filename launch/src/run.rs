//! `run`: like `exec`, but the task is a child whose outputs are handed over when it has ended.
//!
//! Three programs follow one another, all of them this one, because each can then be set up by safe calls from
//! within:
//!
//! | verb | process | does |
//! |---|---|---|
//! | `run` | the container's first | loads the boot env, and execs `supervise` with it |
//! | `supervise` | the same | forks `task`, forwards signals, reaps, hands the outputs over |
//! | `task` | its child | sets itself up as a container's first process would be, and execs the command |
//!
//! So the container's first process holds the boot env, which is what the hook looks at, and the task inherits it.

use std::env;
use std::ffi::OsString;

use crate::args::{ExecInvocation, RunInvocation};

/// What `run` execs.
pub(crate) fn supervise(run: RunInvocation) -> ExecInvocation {
    let mut argv = vec![this_program(), "supervise".into()];
    argv.extend(env::args_os().skip(2));
    ExecInvocation { own: argv.len().saturating_sub(run.argv.len()), place: run.place, argv }
}

/// Where this program lies. Its own name says it, as Bootlace's webhook writes a path there; `/proc` need not be
/// mounted.
pub(crate) fn this_program() -> OsString {
    env::args_os().next().unwrap_or_default()
}
