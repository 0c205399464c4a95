//! `supervise`: runs the task as a child process, and exits like the task when its outputs are stored.
//!
//! It forwards signals of the container runtime to the task, and reaps orphaned processes. There are two
//! differences from a task that is the first process itself: a signal without a handler ends the task, while
//! the kernel would ignore it for process 1; and real-time signals are not forwarded, because no safe
//! function sends them.

mod ending;
mod reaper;
pub(crate) mod task;

use std::error::Error;
use std::time::Duration;
use std::{fmt, io};

use crate::handover::{Attempt, HandoverError, Manifest, OneLine, Outcome, StoreResult};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};

use crate::args::RunInvocation;
use crate::code::{Code, Coded};
use crate::deadline::Deadline;
use crate::outputs::{self, OutputError};
use crate::signals::{self, Signals};
use crate::{exit, run};
use ending::EndingPublisher;
use reaper::{Exited, Reaper};

/// How often to check for the result of the sidecar. A check needs microseconds; inotify has a small limit on
/// instances, which all containers of a user on the node share.
const POLL: Duration = Duration::from_millis(10);

/// How long to wait for other processes of the container to exit after they were killed. Only a process that
/// hangs in the kernel needs longer.
const STRAGGLERS: Duration = Duration::from_secs(1);

/// Runs the task, and returns the exit code.
pub(crate) fn run(run: &RunInvocation) -> Result<u8, SuperviseError> {
    // First, so that no signal is lost.
    let signals = Signals::block().map_err(SuperviseError::Kernel)?;
    let attempt = Attempt::begin(&run.handover).map_err(SuperviseError::NotStarted)?;
    let mut abort_file = None;
    if run.publishes_ending {
        abort_file = Some(attempt.create_abort_file(&run.handover).map_err(SuperviseError::NotStarted)?);
    }
    let mut ending = EndingPublisher::new(run.publishes_ending.then_some(&attempt), &run.place);
    let task = task::start(&run::this_program(), &run.place, &run.argv, abort_file.as_deref());
    // A launcher that ends without having published an ending counts as killed.
    let task = task.inspect_err(|_| ending.ended(Exited::NOT_STARTED)).map_err(SuperviseError::Kernel)?;
    let mut reaper = Reaper::new(task);
    let exited = forward_until_exit(&signals, &mut reaper, &mut ending).map_err(SuperviseError::Kernel)?;
    // First, because killing the other processes can take a moment.
    ending.ended(exited);
    let exit = exited.code;
    kill_other_processes(&signals);

    let stored = if (exit == 0 || run.on_failure) && !run.outputs.is_empty() {
        store(run, exit, &attempt, &signals)
    } else {
        // Errors are ignored, because the result of the task does not depend on the sidecar here.
        let _ = attempt.publish(&Manifest::nothing(exit));
        Ok(())
    };
    // A task that failed keeps its exit code.
    if exit == 0 { stored.map(|()| exit) } else { Ok(exit) }
}

/// Forwards signals until the task exits. Returns how it exited.
fn forward_until_exit(
    signals: &Signals,
    reaper: &mut Reaper,
    ending: &mut EndingPublisher<'_>,
) -> io::Result<Exited> {
    loop {
        let Some(signal) = signals.next(None)? else { continue };
        if signal == Signal::SIGCHLD {
            if let Some(exited) = reaper.reap()? {
                return Ok(exited);
            }
            continue;
        }
        if signals::ends_tasks(signal) {
            // A task that exited before the signal arrived has ended by itself. It is checked again after
            // the signal was published, which is not instantaneous.
            if let Some(exited) = reaper.reap()? {
                return Ok(exited);
            }
            ending.stopping(signal);
            if let Some(exited) = reaper.reap()? {
                ending.not_stopped();
                return Ok(exited);
            }
        } else {
            ending.forwarded(signal);
        }
        // The task is not reaped yet, so its PID is not reused.
        let _ = kill(reaper.task(), signal);
    }
}

/// Kills the processes that the task left running, as the kernel does when the first process of a container
/// exits. After that, the outputs cannot change.
fn kill_other_processes(signals: &Signals) {
    // Outside of a container, this would kill unrelated processes.
    if getpid() != Pid::from_raw(1) {
        return;
    }
    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    let deadline = Deadline::after(STRAGGLERS);
    while reaper::others_run() {
        let Some(left) = deadline.left() else { return };
        if signals.next(Some(left)).is_err() {
            return;
        }
    }
}

/// Passes the outputs to the sidecar and waits until they are stored.
fn store(run: &RunInvocation, exit: u8, attempt: &Attempt, signals: &Signals) -> Result<(), SuperviseError> {
    let deadline = Deadline::after(run.deadline);
    let outputs = match outputs::copy_all(&run.outputs, attempt, deadline) {
        Ok(outputs) => outputs,
        Err(error) => {
            let refused = Outcome::Refused(OneLine::new(&error.to_string()));
            // Errors are ignored, because this process reports the error as well.
            let _ = Manifest::new(exit, refused).map(|manifest| attempt.publish(&manifest));
            return Err(SuperviseError::Outputs(error));
        }
    };
    if outputs.is_empty() {
        let _ = attempt.publish(&Manifest::nothing(exit));
        return Ok(());
    }
    let manifest = Manifest::new(exit, Outcome::Outputs(outputs));
    let manifest = manifest.map_err(|error| SuperviseError::NoHandover(HandoverError::Manifest(error)))?;
    attempt.publish(&manifest).map_err(SuperviseError::NoHandover)?;
    loop {
        match attempt.result() {
            Ok(Some(StoreResult::Stored)) => return Ok(()),
            Ok(Some(StoreResult::Failed(message))) => return Err(SuperviseError::NotStored(message)),
            Ok(None) => {}
            Err(error) => return Err(SuperviseError::NoHandover(error)),
        }
        let Some(left) = deadline.left() else { return Err(SuperviseError::NoResult(run.deadline)) };
        // Signals are ignored, because the task has already exited. The runtime kills this process if it
        // takes too long.
        signals.next(Some(left.min(POLL))).map_err(SuperviseError::Kernel)?;
    }
}

/// The launcher does not exit like the task.
#[derive(Debug)]
pub(crate) enum SuperviseError {
    /// The kernel refused a system call that is needed to run a child process.
    Kernel(io::Error),
    /// The handover directory cannot be used. This is checked before the task starts.
    NotStarted(HandoverError),
    NoHandover(HandoverError),
    Outputs(OutputError),
    /// The message of the sidecar.
    NotStored(OneLine),
    /// The sidecar did not respond within this time.
    NoResult(Duration),
}

impl SuperviseError {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Kernel(_) => exit::SYSTEM_CALL,
            _ => exit::NOT_STORED,
        }
    }
}

impl fmt::Display for SuperviseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel(error) => write!(f, "failed to run the task: a system call failed: {error}"),
            Self::NotStarted(error) => write!(
                f,
                "failed to prepare the outputs, so the task was not started: {error}: check that the container mounts the \
                 volume \"bootlace-run\", and that it is writable"
            ),
            Self::NoHandover(error) => {
                write!(
                    f,
                    "failed to store the outputs: failed to pass them to the sidecar \"bootlace-pipe\": {error}"
                )
            }
            Self::Outputs(error) => write!(f, "failed to store the outputs: {error}"),
            Self::NotStored(message) => write!(f, "failed to store the outputs: {message}"),
            Self::NoResult(limit) => write!(
                f,
                "failed to store the outputs: the sidecar \"bootlace-pipe\" did not respond within {} s: check its log",
                limit.as_secs()
            ),
        }
    }
}

impl Error for SuperviseError {}

impl Coded for SuperviseError {
    fn code(&self) -> Code {
        match self {
            Self::Kernel(_) => Code::LauncherSystemCall,
            Self::NotStarted(_) | Self::NoHandover(_) => Code::TaskHandoverFailed,
            Self::Outputs(error) => error.code(),
            Self::NotStored(_) => Code::TaskOutputsNotStored,
            Self::NoResult(_) => Code::TaskOutputsTimeout,
        }
    }
}
