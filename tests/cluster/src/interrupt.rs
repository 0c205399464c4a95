//! Ctrl-C and similar signals: they drop the work, which stops everything that it has started.

use std::process::ExitCode;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

/// Runs `work` until SIGINT, SIGTERM or SIGHUP arrives; then the exit code is 128 + the number of the signal.
///
/// # Errors
/// The errors of `work`.
pub async fn or_interrupted(work: impl Future<Output = Result<ExitCode>>) -> Result<ExitCode> {
    let listen = |kind| signal(kind).context("listen for signals");
    let (mut interrupt, mut terminate, mut hangup) =
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::hangup())?);
    let number = tokio::select! {
        result = work => return result,
        _ = interrupt.recv() => 2,
        _ = terminate.recv() => 15,
        _ = hangup.recv() => 1,
    };
    eprintln!("interrupted");
    Ok(ExitCode::from(128 + number))
}
