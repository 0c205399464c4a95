//! Waits for conditions without notifications: checks them again and again until a deadline.

use std::time::{Duration, Instant};

use anyhow::Result;

/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(25);

/// Repeats `attempt` until it succeeds or `limit` has passed.
///
/// # Errors
/// The error of the last attempt, with `problem`, which states what did not happen, and the limit.
pub fn until<T>(limit: Duration, problem: &str, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let started = Instant::now();
    loop {
        match attempt() {
            Err(error) if started.elapsed() > limit => return Err(timed_out(error, problem, limit)),
            Err(_) => std::thread::sleep(PAUSE),
            done => return done,
        }
    }
}

/// As [`until`], for an async function.
///
/// # Errors
/// As [`until`].
pub async fn until_async<T>(
    limit: Duration,
    problem: &str,
    mut attempt: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let started = Instant::now();
    loop {
        match attempt().await {
            Err(error) if started.elapsed() > limit => return Err(timed_out(error, problem, limit)),
            Err(_) => tokio::time::sleep(PAUSE).await,
            done => return done,
        }
    }
}

fn timed_out(error: anyhow::Error, problem: &str, limit: Duration) -> anyhow::Error {
    error.context(format!("timed out after {} s: {problem}", limit.as_secs()))
}
