//! `bootlace tasks --watch`: a line for each task that changes, as kubectl does.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::runtime::{WatchStreamExt as _, watcher};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::board::{Board, Outcome};
use super::events;
use super::filter::Filter;
use super::list::{PAGE, pods};
use super::printer::Printer;
use super::state::Phase;
use super::table::Cells;
use super::task::Task;
use crate::command_error::CommandError;
use crate::text::error_chain;

/// How often the Events of pods that do not start are read. They are not part of the watch, because most
/// Events are of other objects.
const EVENTS_INTERVAL: Duration = Duration::from_secs(10);

/// Prints the tasks, then each that changes, until the process is ended. A watch that is closed begins again.
///
/// # Errors
/// Pods cannot be listed at all, or the output cannot be written.
pub(super) async fn watch(
    client: &Client,
    namespace: Option<&str>,
    filter: &Filter,
    printer: &mut Printer<'_>,
) -> Result<(), CommandError> {
    let config = watcher::Config::default().page_size(PAGE);
    let mut changes = std::pin::pin!(watcher(pods(client, namespace), config).default_backoff());
    let mut ticks = interval_at(Instant::now() + EVENTS_INTERVAL, EVENTS_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut board, mut shown, mut details) = (Board::default(), Shown::default(), Details::default());
    loop {
        tokio::select! {
            change = changes.next() => match change {
                Some(Ok(event)) => match board.apply(event, filter) {
                    Outcome::None => {}
                    Outcome::Begun => {
                        details.read(client, &mut board).await;
                        shown.begin(&board, filter, printer)?;
                    }
                    Outcome::Changed(tasks) => shown.changes(&tasks, filter, printer)?,
                },
                Some(Err(error)) => report(&error, namespace, board.is_complete)?,
                None => return Ok(()),
            },
            _ = ticks.tick(), if board.is_complete => {
                let explained = details.read(client, &mut board).await;
                shown.changes(&explained, filter, printer)?;
            }
        }
    }
}

/// What a reader has seen of each task.
#[derive(Default)]
struct Shown(BTreeMap<String, Cells>);

impl Shown {
    fn begin(
        &mut self,
        board: &Board,
        filter: &Filter,
        printer: &mut Printer<'_>,
    ) -> Result<(), CommandError> {
        let now = Timestamp::now();
        let tasks: Vec<_> = board.tasks().into_iter().filter(|task| filter.shows(task.state.phase)).collect();
        self.0 = tasks.iter().map(|task| (task.uid.clone(), printer.seen(task, now))).collect();
        printer.begin(&tasks, now)
    }

    /// Prints the tasks that look different now. A task that a filter by state does not show any more is
    /// printed once in its new state, so that a reader does not miss its end.
    fn changes(
        &mut self,
        tasks: &[Task],
        filter: &Filter,
        printer: &mut Printer<'_>,
    ) -> Result<(), CommandError> {
        let now = Timestamp::now();
        for task in tasks {
            let before = self.0.remove(&task.uid);
            let is_shown = filter.shows(task.state.phase);
            if before.is_none() && (!is_shown || task.state.phase == Phase::Deleted) {
                continue;
            }
            let seen = printer.seen(task, now);
            if before.as_ref() != Some(&seen) {
                printer.change(task, now)?;
            }
            if is_shown && task.state.phase != Phase::Deleted {
                self.0.insert(task.uid.clone(), seen);
            }
        }
        Ok(())
    }
}

/// Reads the Events of pods that do not start.
#[derive(Default)]
struct Details {
    /// Whether an error was reported. Without Events, states only lack details.
    has_failed: bool,
}

impl Details {
    /// Returns the tasks whose details have changed.
    async fn read(&mut self, client: &Client, board: &mut Board) -> Vec<Task> {
        let mut tasks = board.needing_events();
        match events::explain(client, &mut tasks).await {
            Ok(()) => board.explain(tasks),
            Err(error) => {
                if !std::mem::replace(&mut self.has_failed, true) {
                    eprintln!("bootlace: {error}: {}", events::INCOMPLETE);
                }
                Vec::new()
            }
        }
    }
}

/// An error of the watch. Before the first list, one that a retry cannot solve ends the command.
fn report(error: &watcher::Error, namespace: Option<&str>, is_complete: bool) -> Result<(), CommandError> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
            if !is_complete && (400..500).contains(&status.code) && ![410, 429].contains(&status.code) =>
        {
            let error = kube::Error::Api(status.clone());
            Err(CommandError::cluster_request("list pods", namespace, &error))
        }
        // The API server ends watches and removes old versions, and the watcher lists again.
        watcher::Error::WatchError(status) if status.code == 410 => Ok(()),
        error => {
            eprintln!("bootlace: {}, retrying", error_chain(error));
            Ok(())
        }
    }
}
