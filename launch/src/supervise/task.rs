//! `task`: the child process, until it executes the task.
//!
//! It is set up like the first process of a container: it leads its session or, if the launcher keeps the
//! session of the terminal, the process group in the foreground, and blocks no signal.

use std::convert::Infallible;
use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::parent_id;
use std::path::Path;
use std::process::{Child, Command};
use std::{env, fmt};

use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Pid, getpid, setpgid, setsid, tcgetpgrp, tcsetpgrp};

use crate::args::Task;
use crate::code::{Code, Coded};
use crate::exit;
use crate::invocation::Place;
use crate::layout;
use crate::merge;
use crate::program::{self, StartError};

/// The child process, which executes the task.
pub(super) struct Started {
    pub(super) child: Child,
    /// Whether the task gets the terminal of the container.
    pub(super) terminal: bool,
}

/// Starts the child process, with the env, files and working directory of this process, and the path of the
/// file in which it leaves what its abort needs.
pub(super) fn start(
    program: &OsStr,
    place: &Place,
    argv: &[OsString],
    abort_file: Option<&Path>,
) -> io::Result<Started> {
    let mut container = OsString::from("--container=");
    container.push(&place.container);
    let mut log = OsString::from("--termination-log=");
    log.push(&place.termination_log);
    // Checked before the child moves itself to the foreground.
    let terminal = has_terminal();
    let child = Command::new(program)
        .arg("task")
        .args([container, log])
        .arg(format!("--parent={}", getpid()))
        .arg("--")
        .args(argv)
        .envs(abort_file.map(|path| (layout::ENV_ABORT, path)))
        .spawn()?;
    Ok(Started { child, terminal })
}

/// Executes the task. Returns only if that fails.
pub(crate) fn run(task: &Task) -> Result<Infallible, TaskError> {
    // If the launcher is killed, the task ends with it, as the first process of the container would. The
    // kernel ensures that if the launcher is process 1; this is for pods with shareProcessNamespace.
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(TaskError::kernel)?;
    if parent_id().cast_signed() != task.parent {
        return Err(TaskError::Orphaned);
    }
    if has_terminal() {
        lead_terminal().map_err(TaskError::Kernel)?;
    } else {
        setsid().map_err(TaskError::kernel)?;
    }
    // The launcher blocks all signals, and a child process inherits that.
    SigSet::empty().thread_set_mask().map_err(TaskError::kernel)?;

    let process: Vec<_> = env::vars_os().collect();
    let env = merge::merge(&process, &[], &[]);
    program::exec(&task.argv, &env).map_err(TaskError::NotStarted)
}

/// Whether standard error is the terminal of the session. With `tty`, a container has the terminal as all
/// three streams.
fn has_terminal() -> bool {
    tcgetpgrp(io::stderr()).is_ok()
}

/// Makes this process the leader of a new process group in the foreground of the terminal, so that signals of
/// the terminal go to the task and its child processes, and not to the launcher.
fn lead_terminal() -> io::Result<()> {
    let own = Pid::from_raw(0);
    setpgid(own, own)?;
    // SIGTTOU is blocked, or this call would stop the process, which is in the background.
    Ok(tcsetpgrp(io::stderr(), getpid())?)
}

/// The child process did not execute the task.
#[derive(Debug)]
pub(crate) enum TaskError {
    Kernel(io::Error),
    Orphaned,
    NotStarted(StartError),
}

impl TaskError {
    fn kernel(error: nix::Error) -> Self {
        Self::Kernel(error.into())
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Kernel(_) | Self::Orphaned => exit::SYSTEM_CALL,
            Self::NotStarted(error) => error.exit_code(),
        }
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel(error) => {
                write!(f, "failed to set up the process of the task: a system call failed: {error}")
            }
            Self::Orphaned => f.write_str("failed to start the task: the launcher has exited"),
            Self::NotStarted(error) => error.fmt(f),
        }
    }
}

impl Error for TaskError {}

impl Coded for TaskError {
    fn code(&self) -> Code {
        match self {
            Self::Kernel(_) | Self::Orphaned => Code::LauncherSystemCall,
            Self::NotStarted(error) => error.code(),
        }
    }
}
