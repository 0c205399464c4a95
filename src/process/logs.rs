//! Logging: one line for each event, to standard error.
//!
//! A review writes at most one line at `info`. Patches, bodies and the content of Secrets are never logged.

use std::io::IsTerminal as _;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The logging flags.
#[derive(Debug, Clone, clap::Args)]
pub struct LogArgs {
    /// Which lines are logged: a level, or levels by module, as in `info,bootlace=debug`.
    #[arg(long, env = "BOOTLACE_LOG", default_value = "info", value_name = "FILTER")]
    log: Targets,
    /// Format of log lines: `text` for people, `json` for programs.
    #[arg(long, env = "BOOTLACE_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    log_format: Format,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs: a JSON object per line.
    Json,
}

/// Starts logging. Does nothing if a subscriber is installed already, as in tests.
pub fn start(args: &LogArgs) {
    // The watches here log the same errors, with a remedy.
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
    // Fails only if a subscriber is installed already.
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
}
