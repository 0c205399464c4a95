//! Publishes how the task ends, for the hooks that the sidecar runs.
//!
//! Only the launcher can tell whether a task ended by itself: it sees the signal to stop before the task
//! does. A runtime that kills a container without a signal before, as at its memory limit, kills the launcher
//! too, which then publishes nothing.

use std::time::Instant;

use nix::sys::signal::Signal;

use super::reaper::Exited;
use crate::code::Code;
use crate::handover::{Attempt, Cause, Ended, Ending};
use crate::invocation::Place;
use crate::report;

/// The signals by which others end a process. A program that crashes gets another one.
const BY_OTHERS: [Signal; 5] =
    [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGHUP];

/// The exit codes of a shell whose command was killed with SIGKILL (the kernel at the memory limit, if it
/// does not kill the whole container) or SIGTERM (`killall5`, which Metaflow runs).
const BY_OTHERS_IN_SHELL: [u8; 2] = [137, 143];

/// Publishes how the task of an attempt ends.
pub(super) struct EndingPublisher<'a> {
    /// `None` if nothing is published.
    attempt: Option<&'a Attempt>,
    place: &'a Place,
    started: Instant,
    /// Whether a signal to stop arrived before the task exited.
    stopping: bool,
    /// The last other signal that was forwarded to the task.
    forwarded: Option<Signal>,
}

impl<'a> EndingPublisher<'a> {
    pub(super) fn new(attempt: Option<&'a Attempt>, place: &'a Place) -> Self {
        Self { attempt, place, started: Instant::now(), stopping: false, forwarded: None }
    }

    /// A signal to stop has arrived, and is forwarded next.
    pub(super) fn stopping(&mut self, signal: Signal) {
        if !std::mem::replace(&mut self.stopping, true) {
            self.publish(Ending::Stopping { signal: number(signal) });
        }
    }

    /// The task has exited before a signal to stop was forwarded to it.
    pub(super) fn not_stopped(&mut self) {
        self.stopping = false;
    }

    /// Another signal is forwarded to the task.
    pub(super) fn forwarded(&mut self, signal: Signal) {
        self.forwarded = Some(signal);
    }

    /// The task has exited.
    pub(super) fn ended(&self, exited: Exited) {
        let cause = if self.is_ended_by_others(exited) { Cause::Others } else { Cause::Itself };
        let milliseconds = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let Exited { code: exit, signal } = exited;
        self.publish(Ending::Ended(Ended { cause, exit, signal, milliseconds }));
    }

    fn is_ended_by_others(&self, exited: Exited) -> bool {
        let by = |signal: Signal| number(signal) == exited.signal;
        self.stopping
            || BY_OTHERS.into_iter().any(by)
            || self.forwarded.is_some_and(by)
            || (exited.signal == 0 && BY_OTHERS_IN_SHELL.contains(&exited.code))
    }

    fn publish(&self, ending: Ending) {
        let published = self.attempt.map_or(Ok(()), |attempt| attempt.publish_ending(ending));
        if let Err(error) = published {
            let text = format_args!(
                "warning: failed to tell the sidecar \"bootlace-pipe\" how the task ends: {error}"
            );
            report::log(&text, Code::TaskHandoverFailed, self.place);
        }
    }
}

fn number(signal: Signal) -> u8 {
    crate::exit::low_byte(signal as i32)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn cause(exited: Exited, prepare: impl FnOnce(&mut EndingPublisher<'_>)) -> Cause {
        let dir = tempfile::tempdir().unwrap();
        let attempt = Attempt::begin(dir.path()).unwrap();
        let (root, termination_log) = (PathBuf::new(), PathBuf::new());
        let place = Place { container: "base".into(), root, termination_log };
        let mut publisher = EndingPublisher::new(Some(&attempt), &place);
        prepare(&mut publisher);
        publisher.ended(exited);
        match attempt.ending().unwrap() {
            Some(Ending::Ended(ended)) => ended.cause,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_task_that_exits_or_crashes_ends_by_itself() {
        for (code, signal) in [(0, 0), (1, 0), (130, 0), (139, 11), (134, 6), (141, 13)] {
            assert_eq!(cause(Exited { code, signal }, |_| {}), Cause::Itself, "{code} {signal}");
        }
        let crashed = Exited { code: 139, signal: 11 };
        assert_eq!(cause(crashed, |task| task.forwarded(Signal::SIGUSR1)), Cause::Itself);
        let succeeded = Exited { code: 0, signal: 0 };
        let stopped_late = |task: &mut EndingPublisher<'_>| {
            task.stopping(Signal::SIGTERM);
            task.not_stopped();
        };
        assert_eq!(cause(succeeded, stopped_late), Cause::Itself);
    }

    #[test]
    fn a_task_that_is_stopped_or_killed_is_ended_by_others() {
        for (code, signal) in [(137, 9), (143, 15), (137, 0), (143, 0), (129, 1)] {
            assert_eq!(cause(Exited { code, signal }, |_| {}), Cause::Others, "{code} {signal}");
        }
        let succeeded = Exited { code: 0, signal: 0 };
        assert_eq!(cause(succeeded, |task| task.stopping(Signal::SIGTERM)), Cause::Others);
        let killed = Exited { code: 138, signal: 10 };
        assert_eq!(cause(killed, |task| task.forwarded(Signal::SIGUSR1)), Cause::Others);
    }
}
