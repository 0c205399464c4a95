//! `task`: from the fork to the task itself.
//!
//! The child sets itself up as the runtime sets a container's first process up: the leader of its session or, where
//! the launcher keeps the terminal's session, the leader of the group in its foreground; no signal held back.

use std::convert::Infallible;
use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::parent_id;
use std::process::{Child, Command};
use std::{env, fmt};

use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Pid, getpid, setpgid, setsid, tcgetpgrp, tcsetpgrp};

use crate::args::{Place, Task};
use crate::exit;
use crate::merge;
use crate::program::{self, StartError};

/// The child, which becomes the task.
pub(super) struct Started {
    pub(super) child: Child,
    /// Whether the task gets the container's terminal.
    pub(super) terminal: bool,
}

/// Forks the child, with this process's env, files and folder.
pub(super) fn start(program: &OsStr, place: &Place, argv: &[OsString]) -> io::Result<Started> {
    let mut container = OsString::from("--container=");
    container.push(&place.container);
    let mut log = OsString::from("--termination-log=");
    log.push(&place.termination_log);
    // Asked before the child takes its foreground.
    let terminal = has_terminal();
    let child = Command::new(program)
        .arg("task")
        .args([container, log])
        .arg(format!("--parent={}", getpid()))
        .arg("--")
        .args(argv)
        .spawn()?;
    Ok(Started { child, terminal })
}

/// Becomes the task. It only ever returns why that failed.
pub(crate) fn run(task: &Task) -> Result<Infallible, TaskError> {
    // Where the launcher is killed, the task ends with it, as it would have as the first process. For that one the
    // kernel sees to it; this is for pods whose containers share their processes.
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(TaskError::of)?;
    if parent_id().cast_signed() != task.parent {
        return Err(TaskError::Orphaned);
    }
    if has_terminal() {
        lead_terminal().map_err(TaskError::Kernel)?;
    } else {
        setsid().map_err(TaskError::of)?;
    }
    // The launcher holds all of them back, and what is held back is inherited.
    SigSet::empty().thread_set_mask().map_err(TaskError::of)?;

    let process: Vec<_> = env::vars_os().collect();
    let env = merge::merge(&process, &[], &[]);
    program::exec(&task.argv, &env).map_err(TaskError::NotStarted)
}

/// Whether standard error is the terminal of this process's own session: a container with `tty` has it as all three.
fn has_terminal() -> bool {
    tcgetpgrp(io::stderr()).is_ok()
}

/// Makes this process the leader of a group of its own, in the terminal's foreground. Signals of the terminal then
/// go to the task and what it started, and not to the launcher.
fn lead_terminal() -> io::Result<()> {
    let own = Pid::from_raw(0);
    setpgid(own, own)?;
    // From the background this would stop the process, if it did not hold SIGTTOU back.
    Ok(tcsetpgrp(io::stderr(), getpid())?)
}

/// Why the child did not become the task.
#[derive(Debug)]
pub(crate) enum TaskError {
    Kernel(io::Error),
    Orphaned,
    NotStarted(StartError),
}

impl TaskError {
    fn of(error: nix::Error) -> Self {
        Self::Kernel(error.into())
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Kernel(_) | Self::Orphaned => exit::REFUSED,
            Self::NotStarted(error) => error.exit_code(),
        }
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel(error) => {
                write!(f, "the task was not started: the kernel refused to set its process up: {error}")
            }
            Self::Orphaned => f.write_str("the task was not started: its launcher has ended"),
            Self::NotStarted(error) => error.fmt(f),
        }
    }
}

impl Error for TaskError {}
