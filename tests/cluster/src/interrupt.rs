//! Ctrl-C and its like: the work is dropped, which ends what it holds.

use std::process::ExitCode;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

/// Does `work`, unless SIGINT, SIGTERM or SIGHUP comes first; then the exit code is 128 and the signal's number.
///
/// # Errors
/// Those of `work`.
pub async fn or(work: impl Future<Output = Result<ExitCode>>) -> Result<ExitCode> {
    let on = |kind| signal(kind).context("listen for signals");
    let (mut interrupt, mut terminate, mut hangup) =
        (on(SignalKind::interrupt())?, on(SignalKind::terminate())?, on(SignalKind::hangup())?);
    let number = tokio::select! {
        result = work => return result,
        _ = interrupt.recv() => 2,
        _ = terminate.recv() => 15,
        _ = hangup.recv() => 1,
    };
    eprintln!("interrupted");
    Ok(ExitCode::from(128 + number))
}
