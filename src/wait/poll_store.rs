//! Polls the store until an output is stored under the name in the pod spec.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use hyper::body::Bytes;
use reqwest::Method;
use tokio::time::{Instant, sleep};

use super::WaitError;
use crate::store_client::StoreClient;
use crate::store_client::protocol::{AwaitedResponse, PATH_AWAITED};
use bootlace_core::input::AwaitedOutput;

/// The initial delay between two requests, and the maximum, which is reached after about a minute; jitter up
/// to doubles it. The store needs a `TokenReview`, a pod and a page of Pipes for a request: a hundred pods
/// that have waited for long send about 13 requests per second together, and find an output after 4 seconds
/// on average.
const FIRST_DELAY: Duration = Duration::from_millis(300);
const LONGEST_DELAY: Duration = Duration::from_secs(5);
/// The factor between two delays.
const GROWTH: f32 = 1.25;
/// Minimum time for the last request, so that a restart of the store does not fail a pod at the last moment.
const MIN_LAST_REQUEST: Duration = Duration::from_secs(10);

/// Returns the files of the output when it is stored.
///
/// # Errors
/// If it is not stored in time, never will be, or has no file that the pod names.
pub(super) async fn wait_until_stored(
    client: &StoreClient<'_>,
    awaits: &AwaitedOutput,
) -> Result<Vec<String>, WaitError> {
    let deadline = Instant::now() + Duration::from_secs(awaits.seconds.into());
    let path = format!("{PATH_AWAITED}{}", awaits.object);
    tracing::info!(object = awaits.object, seconds = awaits.seconds, "waiting for {}", awaits.describe());
    for delay in delays() {
        let left = deadline.saturating_duration_since(Instant::now());
        let response = client.request(Method::GET, &path, Bytes::new(), left.max(MIN_LAST_REQUEST)).await?;
        match response.parse()? {
            AwaitedResponse::Stored { files } => {
                tracing::info!(
                    object = awaits.object,
                    files = files.len(),
                    "{} is stored",
                    awaits.describe()
                );
                return check_files(awaits, files);
            }
            AwaitedResponse::Never { reason } => {
                return Err(WaitError::Never { awaited: awaits.describe(), reason });
            }
            AwaitedResponse::NotYet { so_far } if left.is_zero() => {
                return Err(WaitError::TooLate {
                    awaited: awaits.describe(),
                    seconds: awaits.seconds,
                    so_far,
                });
            }
            AwaitedResponse::NotYet { .. } => sleep(delay.min(left)).await,
        }
    }
    // Unreachable: the delays are unlimited.
    Err(WaitError::TooLate { awaited: awaits.describe(), seconds: awaits.seconds, so_far: Vec::new() })
}

/// The kubelet would wait forever for a missing file.
fn check_files(awaits: &AwaitedOutput, files: Vec<String>) -> Result<Vec<String>, WaitError> {
    match awaits.files.iter().find(|file| !files.contains(file)) {
        None => Ok(files),
        Some(file) => {
            Err(WaitError::NoFile { awaited: awaits.describe(), file: file.clone(), files: files.clone() })
        }
    }
}

fn delays() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::new()
        .with_min_delay(FIRST_DELAY)
        .with_max_delay(LONGEST_DELAY)
        .with_factor(GROWTH)
        .without_max_times()
        .with_jitter()
        .build()
}
