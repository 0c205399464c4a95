//! The servers of the hooks and the store, over the network.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use tokio::time::{Instant, sleep, timeout_at};

use super::hook_error::HookError;
use super::services::HookServices;
use crate::http::{self, FetchProgress, HttpClient, Request};
use crate::store_client::protocol::{AbortRequest, EventKind, PATH_ABORTS};
use crate::store_client::{ClientError, EVENT_TIMEOUT, StoreClient};
use bootlace_core::abort::RenderedHook;
use bootlace_core::code::{Code, Coded};
use bootlace_core::profile::hooks::HookMethod;

/// The delay before the second attempt, and the longest delay.
const RETRY_MIN_DELAY: Duration = Duration::from_millis(200);
const RETRY_MAX_DELAY: Duration = Duration::from_secs(2);
/// The timeout of a request about a record. A task can be ended meanwhile.
const RECORD_TIMEOUT: Duration = Duration::from_secs(5);

/// The services of a sidecar.
pub(crate) struct RemoteServices<'a> {
    client: Result<StoreClient<'a>, ClientError>,
    /// The folder with the mounted objects of the hooks.
    mounts: PathBuf,
}

impl<'a> RemoteServices<'a> {
    pub(crate) fn new(client: Result<StoreClient<'a>, ClientError>, mounts: &Path) -> Self {
        Self { client, mounts: mounts.to_owned() }
    }

    async fn about_record(&self, method: Method, container: &str, body: Vec<u8>) -> bool {
        let path = format!("{PATH_ABORTS}{container}");
        let result = match &self.client {
            Ok(client) => client.request(method, &path, body.into(), RECORD_TIMEOUT).await.map(drop),
            Err(_) => return false,
        };
        let is_success = result.is_ok();
        if let Err(error) = result {
            tracing::warn!(container, "{}", not_recorded(&error));
        }
        is_success
    }
}

impl HookServices for RemoteServices<'_> {
    async fn send(&self, hook: &RenderedHook, deadline: Instant) -> Result<(), HookError> {
        let mount = self.mounts.join(hook.position.to_string());
        let seconds = deadline.saturating_duration_since(Instant::now()).as_secs();
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX).max(1);
        let progress = Arc::<FetchProgress>::default();
        let client = http::open(&hook.client, &mount, seconds, &progress).await.map_err(HookError::Mount)?;
        let mut delay = RETRY_MIN_DELAY;
        loop {
            let error = match attempt(&client, hook, deadline).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if !error.is_temporary() || Instant::now() + delay >= deadline {
                return Err(error);
            }
            sleep(delay).await;
            delay = (delay * 2).min(RETRY_MAX_DELAY);
        }
    }

    async fn record(&self, container: &str, start: u32, text: Option<&str>) -> bool {
        let request = AbortRequest { start, text: text.map(str::to_owned) };
        // Serializing strings into memory cannot fail.
        let body = serde_json::to_vec(&request).unwrap_or_default();
        self.about_record(Method::PUT, container, body).await
    }

    async fn forget(&self, container: &str) {
        self.about_record(Method::DELETE, container, Vec::new()).await;
    }

    async fn report(&self, kind: EventKind, note: String) {
        let Ok(client) = &self.client else { return };
        if let Err(error) = client.report(kind, note, EVENT_TIMEOUT).await {
            tracing::warn!("failed to record an Event: {error} [{}]", error.code());
        }
    }
}

/// Sends a request once.
async fn attempt(client: &HttpClient<'_>, hook: &RenderedHook, deadline: Instant) -> Result<(), HookError> {
    let request = Request {
        method: match hook.method {
            HookMethod::Get => Method::GET,
            HookMethod::Post => Method::POST,
            HookMethod::Put => Method::PUT,
            HookMethod::Patch => Method::PATCH,
            HookMethod::Delete => Method::DELETE,
        },
        body: hook.body.as_ref().map(|(kind, body)| (kind.as_str(), body.as_str().into())),
        // The body of the response is not read.
        ..Request::get(hook.url.clone(), u64::MAX)
    };
    let limit = Duration::from_secs(hook.timeout_seconds.into());
    match timeout_at(deadline.min(Instant::now() + limit), client.exchange(&request)).await {
        Ok(response) => response.map(drop).map_err(|error| HookError::Mount(error.into())),
        Err(_) => Err(HookError::TimedOut { seconds: hook.timeout_seconds }),
    }
}

/// The log line about hooks that the end of the grace period interrupted.
pub(crate) fn not_sent_in_time(grace_period: Duration) -> String {
    format!(
        "timed out running the hooks {} s after the pod was stopped: increase terminationGracePeriodSeconds of the pod [{}]",
        grace_period.as_secs(),
        Code::HookNotSent
    )
}

/// The log line about a record that was not written or removed.
pub(crate) fn not_recorded(error: &ClientError) -> String {
    format!(
        "failed to record with the store what the abort of the task needs, or to remove the record: {error} [{}]",
        Code::AbortNotRecorded
    )
}
