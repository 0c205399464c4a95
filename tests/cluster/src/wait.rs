//! Waiting for what tells nobody when it happens: look again, until a deadline.

use std::time::{Duration, Instant};

use anyhow::Result;

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(25);

/// Tries until `attempt` succeeds or `limit` has passed.
///
/// # Errors
/// The last attempt's, with `what` was waited for and how long.
pub fn until<T>(limit: Duration, what: &str, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let started = Instant::now();
    loop {
        match attempt() {
            Err(error) if started.elapsed() > limit => return Err(gave_up(error, what, limit)),
            Err(_) => std::thread::sleep(PAUSE),
            done => return done,
        }
    }
}

/// The same for an attempt that is asynchronous.
///
/// # Errors
/// As [`until`].
pub async fn until_async<T>(
    limit: Duration,
    what: &str,
    mut attempt: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let started = Instant::now();
    loop {
        match attempt().await {
            Err(error) if started.elapsed() > limit => return Err(gave_up(error, what, limit)),
            Err(_) => tokio::time::sleep(PAUSE).await,
            done => return done,
        }
    }
}

fn gave_up(error: anyhow::Error, what: &str, limit: Duration) -> anyhow::Error {
    error.context(format!("gave up after {}s: {what}", limit.as_secs()))
}
