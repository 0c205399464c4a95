//! Sends the request of a hook, and repeats it if that can help. The sidecar and the monitor send hooks.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use tokio::time::{Instant, sleep, timeout_at};

use crate::http::{self, FetchProgress, HttpClient, HttpError, MountError, Request};
use bootlace_core::abort::{RenderError, RenderedHook};
use bootlace_core::code::{Code, Coded};
use bootlace_core::profile::hooks::HookMethod;

/// The delay before the second attempt, and the longest delay.
const RETRY_MIN_DELAY: Duration = Duration::from_millis(200);
const RETRY_MAX_DELAY: Duration = Duration::from_secs(2);

/// A hook was not sent. No message contains a value of a header or a body.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// A template cannot be rendered.
    #[error(transparent)]
    Render(RenderError),
    /// A mounted object cannot be used, or the request failed.
    #[error(transparent)]
    Mount(MountError),
    /// There was no response in time.
    #[error(
        "no response within {seconds} s, or within the grace period of the pod: check the server, or increase timeoutSeconds"
    )]
    TimedOut {
        /// The timeout of an attempt.
        seconds: u32,
    },
}

impl HookError {
    /// Whether another attempt can succeed.
    pub(crate) fn is_temporary(&self) -> bool {
        match self {
            Self::Mount(MountError::Http(error)) => error.is_temporary(),
            Self::TimedOut { .. } => true,
            Self::Render(_) | Self::Mount(_) => false,
        }
    }
}

impl Coded for HookError {
    fn code(&self) -> Code {
        match self {
            Self::Mount(MountError::Http(HttpError::Status { .. })) => Code::HookRefused,
            Self::Render(_)
            | Self::Mount(MountError::Http(HttpError::Setup(_) | HttpError::Address { .. })) => {
                Code::HookInvalid
            }
            Self::Mount(_) | Self::TimedOut { .. } => Code::HookNotSent,
        }
    }
}

/// Sends a hook, and repeats it until `deadline` if that can help. The objects that it needs are mounted in
/// `mount`.
pub(crate) async fn send(hook: &RenderedHook, mount: &Path, deadline: Instant) -> Result<(), HookError> {
    let seconds = deadline.saturating_duration_since(Instant::now()).as_secs();
    let seconds = u32::try_from(seconds).unwrap_or(u32::MAX).max(1);
    let progress = Arc::<FetchProgress>::default();
    let client = http::open(&hook.client, mount, seconds, &progress).await.map_err(HookError::Mount)?;
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
