//! What is written, and how: one line an event, to standard error.
//!
//! A review takes at most one line at `info`. Patches, bodies and anything out of a Secret are never written.

use std::io::IsTerminal as _;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How to log.
#[derive(Debug, Clone, clap::Args)]
pub struct LogArgs {
    /// Which lines are written: a level, or levels by module, as in `info,bootlace=debug`.
    #[arg(long, env = "BOOTLACE_LOG", default_value = "info", value_name = "FILTER")]
    log: Targets,
    /// How lines are written: `text` for people, `json` for machines.
    #[arg(long, env = "BOOTLACE_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    log_format: Format,
}

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For machines: a JSON object a line.
    Json,
}

/// Starts logging. Does nothing where a subscriber is in place already, as in tests.
pub fn start(args: &LogArgs) {
    // These two tell at `info` and above what is told again, with a remedy, by the watches here.
    let quiet = [("kube_runtime", LevelFilter::ERROR), ("kube_client", LevelFilter::ERROR)];
    let named: Vec<_> = args.log.iter().map(|(target, _)| target.to_owned()).collect();
    let filter = quiet
        .into_iter()
        .filter(|(target, _)| !named.iter().any(|name| name == target))
        .fold(args.log.clone(), |filter, (target, level)| filter.with_target(target, level));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match args.log_format {
        Format::Json => {
            lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
        }
        Format::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
    };
    // Fails only where a subscriber is in place already.
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
}
