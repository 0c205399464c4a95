//! The launcher: Bootlace's part inside the task's own container.
//!
//! - `exec` is put in front of the task's command: it loads the boot env and execs the command, so that the
//!   task is the same process, with nothing of the launcher left in it.
//! - `run` is put there instead where the task declares outputs: the task is its child, and it ends as the task did
//!   once those are stored.
//! - `init` stands above the program of a boot image of the pod's own, and ends it at its time.
//! - `hook` is the container's postStart: it proves that the task holds the boot env, then runs the pod's own
//!   postStart handler.
//!
//! The way of a start: `args` → `boot_env` → `merge` → `resolve` → `program`. What fails becomes one sentence on
//! standard error and in the container's termination message (`report`), and one of the codes in `exit`.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::args::{self, ExecInvocation, Invocation};
use crate::tls::Tls;
use crate::{exec, exit, hook, init, report, run, supervise};

/// Does what the process's arguments ask for, and gives what it is to end with. `tls` is for a hook that has a request to
/// send; without it none is sent, be it with TLS or without.
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
        Ok(Invocation::Exec(exec)) => become_task(&exec),
        Ok(Invocation::Run(run)) => become_task(&run::supervise(run)),
        Ok(Invocation::Hook(hook)) => match hook::run(&hook, tls) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                report::failure(&error, &hook.place);
                ExitCode::from(exit::HOOK_FAILED)
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

fn become_task(exec: &ExecInvocation) -> ExitCode {
    let Err(error) = exec::run(exec);
    report::failure(&error, &exec.place);
    ExitCode::from(error.exit_code())
}

fn print(text: &str) -> ExitCode {
    // `print!` would panic where nobody listens.
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
