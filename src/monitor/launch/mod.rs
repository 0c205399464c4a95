//! Fails pods whose tasks do not start in time, or whose other containers have failed.
//!
//! ```text
//! watch → verdict → queue → (due) → pod as it is now → verdict → cause → Event, diagnosis → failed status
//! ```
//!
//! | step | module | content |
//! |---|---|---|
//! | read | [`settings`], `containers` | the limits of a pod, its containers and their states (pure) |
//! | decide | [`mod@verdict`] | whether a pod fails, and when to check it again (pure) |
//! | wait | [`queue`] | the pods that have not started, by time |
//! | act | `act` | reads a pod again and fails it |
//! | explain | [`cause`], [`mod@event`], [`diagnosis`] | why, as a message and in detail (pure) |
//! | write | [`failed_status`] | the patch (pure) |
//! | keep | [`kept`] | diagnoses of pods that are gone |

mod act;
pub mod cause;
mod containers;
pub mod diagnosis;
pub mod event;
pub mod failed_status;
pub mod kept;
pub mod queue;
pub mod settings;
pub mod verdict;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, Stream, StreamExt as _, select};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use tokio::time::Instant;

use self::kept::Kept;
use self::queue::{DuePod, Queue};
use super::replica::Replica;
use crate::server::liveness::{self, Heartbeat};
use crate::server::memory::MONITOR_PAGE;
use crate::server::watch_errors::WatchedResource;
use bootlace_core::names;

/// Pods that are failed concurrently. Each needs up to six requests.
const MAX_ACTIONS: usize = 4;
/// The time between the starts of two actions, so that thousands of pods that are due at once do not flood
/// the API server.
const ACTION_INTERVAL: Duration = Duration::from_millis(100);
/// How often the state of the Lease is checked while a pod is due and the API server has not answered for
/// long enough.
const STEADY_POLL: Duration = Duration::from_secs(1);

const WATCHING: WatchedResource =
    WatchedResource { resource: "pods", absent: "check the address of the API server" };

/// Fails pods that do not start.
pub struct LaunchMonitor {
    /// This replica.
    pub replica: Replica,
    /// Diagnoses of pods that are gone.
    pub kept: Kept,
}

/// Which pods a watch selects. The API server reports a pod that is not selected any more as deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Selection {
    /// Those that have not started.
    Starting,
    /// Those that run, if their other containers matter.
    Running,
}

impl Selection {
    fn config(self) -> watcher::Config {
        let config = watcher::Config::default().page_size(MONITOR_PAGE);
        match self {
            Self::Starting => config.labels(names::LABEL_MONITOR).fields("status.phase=Pending"),
            Self::Running => {
                let sidecars = format!("{}={}", names::LABEL_MONITOR, names::MONITOR_SIDECARS);
                config.labels(&sidecars).fields("status.phase=Running")
            }
        }
    }

    fn watch(self, client: Client) -> impl Stream<Item = (Self, watcher::Result<Event<Pod>>)> {
        let events = watcher(Api::<Pod>::all(client), self.config()).default_backoff();
        events.map(move |event| (self, event))
    }
}

/// The queue of each selection.
#[derive(Default)]
struct Queues {
    starting: Queue,
    running: Queue,
}

impl Queues {
    fn of(&mut self, selection: Selection) -> &mut Queue {
        match selection {
            Selection::Starting => &mut self.starting,
            Selection::Running => &mut self.running,
        }
    }

    fn next_due(&self) -> Option<Timestamp> {
        [&self.starting, &self.running].into_iter().filter_map(Queue::next_due).min()
    }

    fn take(&mut self, now: Timestamp) -> Option<(Selection, DuePod)> {
        let mut take = |selection| Some((selection, self.of(selection).take(now)?));
        take(Selection::Starting).or_else(|| take(Selection::Running))
    }

    fn apply(&mut self, selection: Selection, event: Event<Pod>, now: Timestamp) {
        let queue = self.of(selection);
        match event {
            Event::Init => queue.begin_list(),
            Event::InitApply(pod) | Event::Apply(pod) => queue.update(&pod, now),
            Event::InitDone => queue.end_list(),
            Event::Delete(pod) => queue.remove(pod.metadata.uid.as_deref().unwrap_or_default()),
        }
    }
}

type Action<'m> = BoxFuture<'m, (Selection, Arc<str>, Option<Timestamp>)>;

impl LaunchMonitor {
    /// Runs until this future is dropped, because the replica leads no longer.
    pub async fn run(&self, heartbeat: &Heartbeat) {
        loop {
            self.watch(heartbeat).await;
        }
    }

    /// Watches until all pods have to be listed again.
    async fn watch(&self, heartbeat: &Heartbeat) {
        let watches = [Selection::Starting, Selection::Running]
            .map(|selection| selection.watch(self.replica.client.clone()));
        let [starting, running] = watches;
        let mut events = std::pin::pin!(select(starting, running));
        let mut queues = Queues::default();
        let mut actions = FuturesUnordered::<Action<'_>>::new();
        let mut next_action = Instant::now();
        let mut ticks = tokio::time::interval(liveness::EVERY);
        while !queues.starting.must_list_again() && !queues.running.must_list_again() {
            heartbeat.now();
            self.replica.metrics.watched(queues.starting.len(), queues.running.len());
            let wake = (actions.len() < MAX_ACTIONS).then(|| self.wake(&queues, next_action)).flatten();
            tokio::select! {
                event = events.next() => match event {
                    Some((selection, Ok(event))) => queues.apply(selection, event, (self.replica.clock)()),
                    Some((_, Err(error))) => drop(WATCHING.trouble(&error)),
                    None => return,
                },
                Some((selection, uid, due)) = actions.next(), if !actions.is_empty() => {
                    queues.of(selection).finish(&uid, due);
                }
                () = sleep_until(wake) => {
                    if self.replica.leadership.is_steady(self.replica.settle)
                        && let Some((selection, due)) = queues.take((self.replica.clock)())
                    {
                        next_action = Instant::now() + ACTION_INTERVAL;
                        actions.push(Box::pin(async move {
                            let again = self.act(&due).await;
                            (selection, due.uid, again)
                        }));
                    }
                }
                _ = ticks.tick() => {}
            }
        }
    }

    /// When the next action can start; `None` if no pod will be due.
    fn wake(&self, queues: &Queues, next_action: Instant) -> Option<Instant> {
        let due = queues.next_due()?;
        let remaining = Duration::try_from(due.duration_since((self.replica.clock)())).unwrap_or_default();
        let now = Instant::now();
        let steady = self.replica.leadership.steady_at(self.replica.settle).unwrap_or(now + STEADY_POLL);
        Some((now + remaining).max(next_action).max(steady))
    }
}

/// Sleeps until `time`, or forever.
async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
