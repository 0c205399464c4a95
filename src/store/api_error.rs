//! Why a request is refused: a status, a word, a sentence. No sentence holds a value or a token.

use axum::http::StatusCode;

use crate::store_client::protocol::is_final;
use bootlace_core::shorten::shorten;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The HTTP status.
    pub status: StatusCode,
    /// One word, for programs and metrics.
    pub reason: &'static str,
    /// What is wrong and what to change.
    pub message: String,
}

impl ApiError {
    fn new(status: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        // What it repeats of the request is kept short.
        Self { status, reason, message: shorten(message.into()).into_owned() }
    }

    /// It is not known who asks.
    #[must_use]
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", message)
    }

    /// The pod may not ask for this.
    #[must_use]
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message)
    }

    /// The request cannot be understood.
    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// The request asks for something that cannot be.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message)
    }

    /// There is something else of that name.
    #[must_use]
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "Conflict", message)
    }

    /// There may be no more of them.
    #[must_use]
    pub fn quota(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "QuotaExceeded", message)
    }

    /// The body is too large.
    #[must_use]
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "TooLarge", message)
    }

    /// The body did not come in time.
    #[must_use]
    pub fn too_slow(message: impl Into<String>) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "TooSlow", message)
    }

    /// The pod or its namespace asks for too much at once.
    #[must_use]
    pub fn too_many(message: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message)
    }

    /// Not now.
    #[must_use]
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Unavailable", message)
    }

    /// Whether asking again is of no use; see [`is_final`].
    #[must_use]
    pub fn is_final(&self) -> bool {
        is_final(self.status)
    }

    /// The API server refused what `doing` says, or could not be asked.
    #[must_use]
    pub fn of_api(doing: &str, error: &kube::Error) -> Self {
        let sentence = crate::server::watch_errors::describe_api_error(doing, error);
        match error {
            kube::Error::Api(status) if status.code < 500 && status.code != 429 => Self::forbidden(sentence),
            _ => Self::unavailable(sentence),
        }
    }
}
