//! `bootlace tasks`: lists the tasks of a cluster, and the state of each of them.
//!
//! It reads pods and Events alone, so the cluster role `view` suffices, and nothing of Bootlace needs to run.
//!
//! ```text
//! pod → task → filter → Events, if only they tell → table, JSON or YAML
//! ```
//!
//! | step | module | content |
//! |---|---|---|
//! | read | `list`, `events` | pages of pods, and the Events of some of them |
//! | understand | `task` | the task of a pod |
//! | | `lifecycle`, `containers`, `failure` | its state, and why it failed: pure functions |
//! | | `state`, `injected`, `status` | what they return, and what they read |
//! | select | `filter` | which tasks are listed |
//! | show | `table`, `document`, `printer` | lines for people, and documents for programs |
//! | follow | `watch`, `board` | changes |
//! | texts | `text` | values of pods and durations, for a terminal |

mod board;
mod containers;
mod document;
mod events;
mod failure;
mod filter;
mod injected;
mod lifecycle;
mod list;
mod printer;
mod state;
mod status;
mod table;
mod task;
#[cfg(test)]
mod tests;
mod text;
mod watch;

use std::io::{self, Write};

use k8s_openapi::jiff::Timestamp;
use kube::Client;

use crate::command_error::CommandError;
use crate::process::runtime;
use crate::server::api_client;
use filter::Filter;
use printer::Printer;

/// List the tasks of a cluster, and the state of each of them.
///
/// Reads pods and Events, for which the cluster role view suffices.
#[derive(Debug, clap::Args)]
pub(super) struct TasksArgs {
    /// Namespace of the tasks. Defaults to that of the current context.
    #[arg(long, short, value_name = "NAMESPACE", conflicts_with = "all_namespaces")]
    namespace: Option<String>,
    /// List the tasks of all namespaces.
    #[arg(long, short = 'A')]
    all_namespaces: bool,
    #[command(flatten)]
    filter: Filter,
    /// Output format: table, wide for more columns and unabridged states, json or yaml for programs.
    #[arg(long, short, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
    /// After the list, print a line for each task that changes. With json, each line is a task; with yaml,
    /// each document.
    #[arg(long, short)]
    watch: bool,
}

/// An output format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A table.
    #[default]
    Table,
    /// A table with more columns, whose states are not abridged.
    Wide,
    /// A document for programs.
    Json,
    /// The same as YAML.
    Yaml,
}

/// Lists the tasks, and watches them.
///
/// # Errors
/// The cluster cannot be reached, or the user must not list pods.
pub(super) fn run(args: &TasksArgs) -> anyhow::Result<()> {
    let result = runtime()?.block_on(async {
        let client = api_client::connect().await;
        let client = client.map_err(|error| CommandError::Cluster { error, alternative: "" })?;
        print(&client, args, &mut io::stdout().lock()).await
    });
    match result {
        // The reader has seen enough, as with `bootlace tasks | head`.
        Err(CommandError::WriteOutput(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

async fn print(client: &Client, args: &TasksArgs, out: &mut dyn Write) -> Result<(), CommandError> {
    let namespace = args.namespace.as_deref().unwrap_or_else(|| client.default_namespace());
    let namespace = (!args.all_namespaces).then_some(namespace);
    let mut printer = Printer::new(args.output, namespace.is_none(), out);
    if args.watch {
        return watch::watch(client, namespace, &args.filter, &mut printer).await;
    }
    let mut tasks = list::tasks(client, namespace, &args.filter).await?;
    if let Err(error) = events::explain(client, &mut tasks).await {
        eprintln!("bootlace: {error}: {}", events::INCOMPLETE);
    }
    tasks.sort_by(|a, b| a.order().cmp(&b.order()));
    if tasks.is_empty() {
        let place = namespace.map_or_else(|| "any namespace".to_owned(), |name| format!("namespace {name}"));
        eprintln!("no tasks found in {place}");
    }
    printer.list(&tasks, Timestamp::now())
}
