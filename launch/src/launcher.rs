//! The launcher, which runs in the container of the task.
//!
//! - `exec` loads the boot env and executes the command of the task in the same process. Nothing of the
//!   launcher stays in it.
//! - `run` replaces `exec` if the task has outputs, or hooks for its end: the task is its child process, and
//!   it exits like the task when the outputs are stored.
//! - `init` runs the command of a custom boot image, with a timeout.
//! - `hook` is the postStart handler of the container: it verifies that the task has the boot env, then runs
//!   the original postStart handler of the pod.
//! - `prestop` is the preStop handler of the container if the profile has `preKill` hooks: it runs them, then
//!   the original preStop handler of the pod.
//!
//! The steps of a start: `args` → `boot_env` → `merge` → `resolve` → `program`. A failure has one message, on
//! standard error and in the termination message of the container (`report`), and an exit code (`exit`).

use std::io::{self, Write};
use std::process::ExitCode;

use crate::args::{self, Invocation};
use crate::code::Coded;
use crate::invocation::ExecInvocation;
use crate::tls::Tls;
use crate::{exec, exit, hook, init, prestop, report, run, supervise};

/// Runs the command in the arguments of the process, and returns the exit code. `tls` is for `httpGet`
/// handlers, which fail without it even if their URL is plain HTTP.
#[must_use]
pub fn main(tls: Option<Tls>) -> ExitCode {
    match args::parse(std::env::args_os().skip(1)) {
        Ok(Invocation::Init(init)) => match init::run(&init) {
            Ok(code) => ExitCode::from(code),
            Err(error) => {
                report::failure(&error, &init.place);
                ExitCode::from(error.exit_code())
            }
        },
        Ok(Invocation::Exec(exec)) => exec_task(&exec),
        Ok(Invocation::Run(run)) => exec_task(&run::supervise(run)),
        Ok(Invocation::Hook(hook)) => match hook::run(&hook, tls) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                report::failure(&error, &hook.place);
                ExitCode::from(exit::HOOK_FAILED)
            }
        },
        Ok(Invocation::Prestop(prestop)) => match prestop::run(&prestop, tls) {
            Ok(()) => ExitCode::SUCCESS,
            // The termination message is that of the task.
            Err(error) => {
                report::log(&error, error.code(), &prestop.place);
                ExitCode::from(exit::PRESTOP_FAILED)
            }
        },
        Ok(Invocation::Supervise(run)) => match supervise::run(&run) {
            Ok(code) => ExitCode::from(code),
            Err(error) => {
                report::failure(&error, &run.place);
                ExitCode::from(error.exit_code())
            }
        },
        Ok(Invocation::Task(task)) => {
            let Err(error) = supervise::task::run(&task);
            report::failure(&error, &task.place);
            ExitCode::from(error.exit_code())
        }
        Ok(Invocation::Help) => print(args::HELP),
        Ok(Invocation::Version) => print(concat!("bootlace-launch ", env!("CARGO_PKG_VERSION"), "\n")),
        Err(error) => {
            report::usage(&error);
            ExitCode::from(exit::USAGE)
        }
    }
}

fn exec_task(exec: &ExecInvocation) -> ExitCode {
    let Err(error) = exec::run(exec);
    report::failure(&error, &exec.place);
    ExitCode::from(error.exit_code())
}

fn print(text: &str) -> ExitCode {
    // `print!` panics if standard output is closed.
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
