//! Watches the attempts of one container, and runs the hooks of each.

use std::time::{Duration, SystemTime};

use bootlace_launch::handover::{AbortTextError, Attempt, Cause, Ended, Ending, Folder, HandoverError};
use tokio::time::{Instant, sleep};

use super::attempt_hooks;
use super::{CompletedHooks, HookServices, PodHooks, Shutdown};
use crate::sidecar::handover_folder;
use bootlace_core::abort::{HookEvent, TaskEnd};
use bootlace_core::code::Code;
use bootlace_core::names;
use bootlace_core::output::SidecarLifetime;
use bootlace_core::profile::templates::HookList;

/// How often the folder is read. A pod that is evicted can have one second.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How often it is read while an event is expected soon.
const FAST_POLL_INTERVAL: Duration = Duration::from_millis(2);
/// After a signal to stop was published, the launcher may correct it at once: the task had exited before.
const CONFIRMATION: Duration = Duration::from_millis(20);
/// How long a task can run after the kubelet began to stop the pod, until it counts as ended by others
/// although no signal has reached its launcher. A signal that no preStop handler delays needs milliseconds.
const SETTLE: Duration = Duration::from_secs(1);
/// The least time between two records of an abort: each is a write of the API server.
const RECORD_INTERVAL: Duration = Duration::from_secs(1);
/// How many attempts before the newest are looked at after a restart of the sidecar.
const EARLIER_ATTEMPTS: u32 = 16;

/// The exit code and the signal of a task whose launcher was killed.
const KILLED: (u8, u8) = (137, 9);

/// Watches one container.
pub(super) struct TaskWatcher<'a, S> {
    pub(super) root: &'a Folder,
    pub(super) container: &'a str,
    pub(super) lifetime: SidecarLifetime,
    pub(super) hooks: &'a PodHooks<'a>,
    pub(super) services: &'a S,
    pub(super) shutdown: &'a Shutdown,
    /// Whether an abort needs a record although the task has written nothing.
    pub(super) records_without_text: bool,
}

/// What is known about the end of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    /// A signal to stop has arrived.
    Stopping(u8),
    Ended(Ended),
    /// The launcher was killed.
    Killed,
}

/// Why a task is aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Signal(u8),
    Killed(u8),
    PodStopped,
}

impl Reason {
    fn describe(self) -> String {
        match self {
            Self::Signal(signal) => format!("was stopped by signal {signal}"),
            Self::Killed(signal) => format!("was killed by signal {signal}"),
            Self::PodStopped => "still ran when the pod was stopped".to_owned(),
        }
    }
}

/// A record that the store has.
struct Recorded {
    text: Option<String>,
}

/// What the task left for its abort, and what of it is recorded.
#[derive(Default)]
struct Left {
    text: Option<String>,
    /// What was recorded last.
    recorded: Option<Recorded>,
    /// When it was tried last.
    tried: Option<Instant>,
    /// Whether its error was logged.
    is_logged: bool,
}

impl Left {
    /// Whether the record has the present text.
    fn is_recorded(&self) -> bool {
        self.recorded.as_ref().is_some_and(|recorded| recorded.text == self.text)
    }
}

impl<S: HookServices> TaskWatcher<'_, S> {
    /// Runs the hooks of all attempts. Returns whether the container has ended and will not restart.
    pub(super) async fn run(&self) -> bool {
        let mut next = 1;
        loop {
            // Read before the folder, so that what was written before the signal is seen.
            let is_last = self.shutdown.has_begun();
            let Some(attempt) = self.attempt_from(next) else {
                if is_last {
                    return false;
                }
                self.shutdown.sleep(POLL_INTERVAL).await;
                continue;
            };
            next = attempt.number().saturating_add(1);
            let exit = self.serve(&attempt).await;
            if self.lifetime.is_final(exit == 0) {
                while !attempt.launcher_has_ended() {
                    if self.shutdown.has_begun() {
                        return false;
                    }
                    self.shutdown.sleep(FAST_POLL_INTERVAL).await;
                }
                return true;
            }
        }
    }

    /// The first attempt with at least this number.
    fn attempt_from(&self, number: u32) -> Option<Attempt> {
        self.find(number).unwrap_or_else(|error| {
            // A task that damages its folder has no hooks.
            tracing::debug!(container = self.container, %error, "failed to read the handover folder");
            None
        })
    }

    fn find(&self, number: u32) -> Result<Option<Attempt>, HandoverError> {
        let Some(handover) = handover_folder(self.root, self.container)? else { return Ok(None) };
        let Some(newest) = Attempt::newest(&handover)? else { return Ok(None) };
        let first = number.max(newest.number().saturating_sub(EARLIER_ATTEMPTS));
        (first..=newest.number())
            .find_map(|number| Attempt::numbered(&handover, number).transpose())
            .transpose()
    }

    /// Runs the hooks of an attempt, and returns the exit code of its task.
    async fn serve(&self, attempt: &Attempt) -> u8 {
        let mut completed = CompletedHooks::read(self.root, self.container, attempt.number());
        let mut left = Left::default();
        let (ended, reason) = self.until_end(attempt, &mut left, completed.is_finished()).await;
        if completed.is_finished() {
            return ended.map_or(KILLED.0, |ended| ended.exit);
        }
        let deadline = Instant::now() + self.hooks.grace_period;
        self.read_text(attempt, &mut left);
        let mut event = HookEvent {
            container: self.container.to_owned(),
            start: attempt.number(),
            abort: left.text.clone(),
            ..self.hooks.event.clone()
        };
        let mut is_done = true;
        if let Some(reason) = reason {
            is_done =
                self.run_list(HookList::Abort, &event, &mut completed, &reason.describe(), deadline).await;
        }
        if is_done {
            if self.needs_record(&left) || left.recorded.is_some() {
                self.services.forget(self.container).await;
            }
        } else if !left.is_recorded() {
            // Another process can act on it.
            self.services.record(self.container, attempt.number(), left.text.as_deref()).await;
        }
        let ended = match ended {
            Some(ended) => ended,
            None => self.until_ended(attempt).await,
        };
        event.end = Some(TaskEnd {
            exit_code: ended.exit,
            signal: ended.signal,
            duration_seconds: ended.milliseconds / 1000,
        });
        let described = format!("ended with exit code {}", ended.exit);
        self.run_list(HookList::PostKill, &event, &mut completed, &described, deadline).await;
        completed.finish();
        ended.exit
    }

    /// Runs a list of hooks, and reports the result. Returns whether nothing is left to do.
    async fn run_list(
        &self,
        list: HookList,
        event: &HookEvent,
        completed: &mut CompletedHooks<'_>,
        ended: &str,
        deadline: Instant,
    ) -> bool {
        let result = attempt_hooks::run(list, self.hooks, event, completed, self.services, deadline).await;
        if let Some((kind, note)) = result.event(list, self.container, ended) {
            self.services.report(kind, note).await;
        }
        result.is_success()
    }

    /// Waits until the task ends, and records what it leaves. Returns how it has ended, if it has, and why it
    /// is aborted, if it is.
    async fn until_end(
        &self,
        attempt: &Attempt,
        left: &mut Left,
        is_finished: bool,
    ) -> (Option<Ended>, Option<Reason>) {
        let mut stopping_since = None;
        loop {
            let is_last = self.shutdown.has_begun();
            match self.confirmed_state(attempt).await {
                State::Ended(ended) => return (Some(ended), reason(ended)),
                State::Killed => return (Some(killed(attempt)), Some(Reason::Killed(KILLED.1))),
                State::Stopping(signal) => return (None, Some(Reason::Signal(signal))),
                State::Running => {}
            }
            if is_last {
                return (None, Some(Reason::PodStopped));
            }
            if self.pod_is_stopping() {
                let since = *stopping_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= SETTLE.min(self.hooks.grace_period / 4) {
                    return (None, Some(Reason::PodStopped));
                }
            }
            self.read_text(attempt, left);
            if !is_finished && stopping_since.is_none() && self.is_record_due(left) {
                left.tried = Some(Instant::now());
                tokio::select! {
                    recorded = self.services.record(self.container, attempt.number(), left.text.as_deref()) => {
                        if recorded {
                            left.recorded = Some(Recorded { text: left.text.clone() });
                        }
                    }
                    // The abort itself is more urgent than its record.
                    () = self.until_not_running(attempt) => continue,
                }
            }
            self.shutdown.sleep(POLL_INTERVAL).await;
        }
    }

    /// The state, without a signal to stop that the launcher withdraws.
    async fn confirmed_state(&self, attempt: &Attempt) -> State {
        let state = state(attempt);
        if !matches!(state, State::Stopping(_)) {
            return state;
        }
        sleep(CONFIRMATION).await;
        self::state(attempt)
    }

    async fn until_not_running(&self, attempt: &Attempt) {
        while state(attempt) == State::Running {
            if self.shutdown.has_begun() || self.pod_is_stopping() {
                return;
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Waits until a task that is being stopped has ended.
    async fn until_ended(&self, attempt: &Attempt) -> Ended {
        loop {
            let is_last = self.shutdown.has_begun();
            match state(attempt) {
                State::Ended(ended) => return ended,
                State::Killed => return killed(attempt),
                // The grace period has ended, and the kubelet kills it.
                State::Running | State::Stopping(_) if is_last => return killed(attempt),
                State::Running | State::Stopping(_) => {}
            }
            self.shutdown.sleep(POLL_INTERVAL).await;
        }
    }

    /// Whether the kubelet has begun to stop the pod.
    fn pod_is_stopping(&self) -> bool {
        self.root.file(names::FILE_STOPPING).is_ok()
    }

    fn read_text(&self, attempt: &Attempt, left: &mut Left) {
        match attempt.abort_text() {
            Ok(text) => {
                left.text = text;
                left.is_logged = false;
            }
            Err(error) => {
                left.text = None;
                if !std::mem::replace(&mut left.is_logged, true) {
                    tracing::warn!(container = self.container, "{}", unusable_text(&error));
                }
            }
        }
    }

    /// Whether an abort needs a record.
    fn needs_record(&self, left: &Left) -> bool {
        !self.hooks.config.abort.is_empty() && (left.text.is_some() || self.records_without_text)
    }

    fn is_record_due(&self, left: &Left) -> bool {
        let is_new = if left.recorded.is_some() { !left.is_recorded() } else { self.needs_record(left) };
        is_new && left.tried.is_none_or(|tried| tried.elapsed() >= RECORD_INTERVAL)
    }
}

/// What the launcher of an attempt has published.
fn state(attempt: &Attempt) -> State {
    // Read before the file, because the launcher publishes the end before it exits.
    let has_ended = attempt.launcher_has_ended();
    match attempt.ending() {
        Ok(Some(Ending::Ended(ended))) => State::Ended(ended),
        _ if has_ended => State::Killed,
        Ok(Some(Ending::Stopping { signal })) => State::Stopping(signal),
        Ok(None) | Err(_) => State::Running,
    }
}

fn reason(ended: Ended) -> Option<Reason> {
    match (ended.cause, ended.signal) {
        (Cause::Itself, _) => None,
        (Cause::Others, 0) => Some(Reason::Signal(if ended.exit > 128 { ended.exit - 128 } else { 15 })),
        (Cause::Others, signal) => Some(Reason::Killed(signal)),
    }
}

/// The end of a task whose launcher was killed.
fn killed(attempt: &Attempt) -> Ended {
    let ran = attempt.started().and_then(|started| SystemTime::now().duration_since(started).ok());
    let milliseconds = ran.map_or(0, |ran| u64::try_from(ran.as_millis()).unwrap_or(u64::MAX));
    Ended { cause: Cause::Others, exit: KILLED.0, signal: KILLED.1, milliseconds }
}

/// The log line about a text that cannot be used.
pub(crate) fn unusable_text(error: &AbortTextError) -> String {
    format!(
        "what the task wrote to the file in {} is not used: {error}: write an ID of the remote job [{}]",
        names::ENV_ABORT,
        Code::AbortTextInvalid
    )
}
