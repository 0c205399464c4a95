//! `supervise`: runs the task as a child, and ends as it ended, once its outputs are stored.
//!
//! What the container's runtime sends to its first process is forwarded to the task, and what the task leaves behind
//! is reaped. What differs from a task that is the first process itself: a signal that it does not handle ends it,
//! as on any machine, where the kernel would have ignored it; and real-time signals are not forwarded, because no
//! safe call sends them.

mod reaper;
pub(crate) mod task;

use std::error::Error;
use std::time::Duration;
use std::{fmt, io};

use crate::handover::{Attempt, HandoverError, Manifest, OneLine, Outcome, StoreResult};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};

use crate::args::RunInvocation;
use crate::deadline::Deadline;
use crate::outputs::{self, OutputError};
use crate::signals::Signals;
use crate::{exit, run};
use reaper::Reaper;

/// How often to look for the sidecar's word. inotify would tell, but its instances are few and counted over all of a
/// node's containers of a user; to look costs some microseconds.
const LOOK: Duration = Duration::from_millis(10);

/// How long to wait for the container's other processes to end, once they were killed. Only a process that hangs in
/// the kernel takes longer.
const STRAGGLERS: Duration = Duration::from_secs(1);

/// Runs the task, and gives what to exit with.
pub(crate) fn run(run: &RunInvocation) -> Result<u8, SuperviseError> {
    // First of all, so that no signal is lost.
    let signals = Signals::block().map_err(SuperviseError::Kernel)?;
    let attempt = Attempt::begin(&run.handover).map_err(SuperviseError::NotStarted)?;
    let task = task::start(&run::this_program(), &run.place, &run.argv).map_err(SuperviseError::Kernel)?;
    let mut reaper = Reaper::new(task);
    let exit = until_it_ends(&signals, &mut reaper).map_err(SuperviseError::Kernel)?;
    end_the_container(&signals);

    let stored = if exit == 0 || run.on_failure {
        store(run, exit, &attempt, &signals)
    } else {
        // The sidecar need not be told for the task to end as it did.
        let _ = attempt.publish(&Manifest::nothing(exit));
        Ok(())
    };
    // A task that failed by itself keeps its own result.
    if exit == 0 { stored.map(|()| exit) } else { Ok(exit) }
}

/// Forwards signals until the task has ended. Gives what it ended with.
fn until_it_ends(signals: &Signals, reaper: &mut Reaper) -> io::Result<u8> {
    loop {
        match signals.next(None)? {
            Some(Signal::SIGCHLD) => {
                if let Some(exit) = reaper.reap()? {
                    return Ok(exit);
                }
            }
            // It is not reaped yet, so this reaches it or nobody.
            Some(signal) => drop(kill(reaper.task(), signal)),
            None => {}
        }
    }
}

/// Ends what the task left running, as the kernel does when a container's first process ends. The outputs cannot
/// change any more then.
fn end_the_container(signals: &Signals) {
    // Elsewhere this would end the processes of others.
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

/// Hands the outputs over and waits until they are stored.
fn store(run: &RunInvocation, exit: u8, attempt: &Attempt, signals: &Signals) -> Result<(), SuperviseError> {
    let deadline = Deadline::after(run.deadline);
    let outputs = match outputs::hand_over(&run.outputs, attempt, deadline) {
        Ok(outputs) => outputs,
        Err(error) => {
            let refused = Outcome::Refused(OneLine::new(&error.to_string()));
            // The sentence is told here all the same.
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
        match attempt.word() {
            Ok(Some(StoreResult::Stored)) => return Ok(()),
            Ok(Some(StoreResult::Failed(sentence))) => return Err(SuperviseError::NotStored(sentence)),
            Ok(None) => {}
            Err(error) => return Err(SuperviseError::NoHandover(error)),
        }
        let Some(left) = deadline.left() else { return Err(SuperviseError::NoWord(run.deadline)) };
        // The task has ended already, so a signal to end means nothing now: the runtime kills what takes too long.
        signals.next(Some(left.min(LOOK))).map_err(SuperviseError::Kernel)?;
    }
}

/// Why the launcher does not end as the task did.
#[derive(Debug)]
pub(crate) enum SuperviseError {
    /// What it needs to run a child was refused.
    Kernel(io::Error),
    /// There is nowhere to hand outputs over, which is found out before the task's work is in vain.
    NotStarted(HandoverError),
    NoHandover(HandoverError),
    Outputs(OutputError),
    /// The sidecar's word.
    NotStored(OneLine),
    /// The sidecar said nothing for this long.
    NoWord(Duration),
}

impl SuperviseError {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Kernel(_) => exit::REFUSED,
            _ => exit::NOT_STORED,
        }
    }
}

impl fmt::Display for SuperviseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel(error) => write!(f, "the kernel refused what it takes to run the task: {error}"),
            Self::NotStarted(error) => write!(
                f,
                "the task was not started, because its outputs could not be handed to the sidecar \
                 `bootlace-pipe`: {error}. Check that the container mounts the volume `bootlace-run`, writable"
            ),
            Self::NoHandover(error) => {
                write!(f, "its outputs are not stored: they cannot be handed to the sidecar: {error}")
            }
            Self::Outputs(error) => write!(f, "its outputs are not stored: {error}"),
            Self::NotStored(sentence) => write!(f, "its outputs are not stored: {sentence}"),
            Self::NoWord(limit) => write!(
                f,
                "its outputs are not stored: the sidecar `bootlace-pipe` did not answer within {} s. Its log says \
                 why",
                limit.as_secs()
            ),
        }
    }
}

impl Error for SuperviseError {}
