//! Asks the store until an output is stored under the name that the pod holds.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use hyper::body::Bytes;
use reqwest::Method;
use tokio::time::{Instant, sleep};

use super::WaitError;
use crate::store_client::StoreClient;
use crate::store_client::protocol::{AwaitedResponse, PATH_AWAITED};
use bootlace_core::input::AwaitedOutput;

/// The pause between two questions, at first and after a minute or so; each is lengthened by chance up to its double. A
/// question costs the API server a token's review, a pod and a page of Pipes: a hundred pods that have waited long ask
/// about thirteen times a second together, and see an output four seconds after it was stored, on average.
const FIRST_PAUSE: Duration = Duration::from_millis(300);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// What a pause is of the one before.
const GROWTH: f32 = 1.25;
/// What the last question may take: a store that is started anew should not fail a pod at the last moment.
const LAST: Duration = Duration::from_secs(10);

/// The files of what is awaited, once it is stored.
///
/// # Errors
/// Where it is not stored in time, or never will be, or lacks a file that the pod names.
pub(super) async fn stored(
    client: &StoreClient<'_>,
    awaits: &AwaitedOutput,
) -> Result<Vec<String>, WaitError> {
    let deadline = Instant::now() + Duration::from_secs(awaits.seconds.into());
    let path = format!("{PATH_AWAITED}{}", awaits.object);
    tracing::info!(object = awaits.object, seconds = awaits.seconds, "waiting for {}", awaits.words());
    for pause in pauses() {
        let left = deadline.saturating_duration_since(Instant::now());
        let answer = client.request(Method::GET, &path, Bytes::new(), left.max(LAST)).await?;
        match answer.parse()? {
            AwaitedResponse::Stored { files } => {
                tracing::info!(object = awaits.object, files = files.len(), "{} is stored", awaits.words());
                return has_files(awaits, files);
            }
            AwaitedResponse::Never { why } => return Err(WaitError::Never { awaited: awaits.words(), why }),
            AwaitedResponse::NotYet { so_far } if left.is_zero() => {
                return Err(WaitError::TooLate { awaited: awaits.words(), seconds: awaits.seconds, so_far });
            }
            AwaitedResponse::NotYet { .. } => sleep(pause.min(left)).await,
        }
    }
    // Its pauses have no end.
    Err(WaitError::TooLate { awaited: awaits.words(), seconds: awaits.seconds, so_far: Vec::new() })
}

/// The kubelet would wait for a missing file for ever.
fn has_files(awaits: &AwaitedOutput, files: Vec<String>) -> Result<Vec<String>, WaitError> {
    match awaits.files.iter().find(|file| !files.contains(file)) {
        None => Ok(files),
        Some(file) => {
            Err(WaitError::NoFile { awaited: awaits.words(), file: file.clone(), files: files.clone() })
        }
    }
}

fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::new()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .with_factor(GROWTH)
        .without_max_times()
        .with_jitter()
        .build()
}
