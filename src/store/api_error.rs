//! The error responses of the store: a status, a reason, a code and a message. No message contains a value or
//! a token.

use axum::http::StatusCode;

use crate::server::watch_errors;
use crate::store_client::protocol::is_final;
use bootlace_core::code::{Code, Coded};
use bootlace_core::shorten::shorten;

/// An error response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The HTTP status.
    pub status: StatusCode,
    /// A short reason, for programs and metrics.
    pub reason: &'static str,
    /// The code of the message, which selects the status and the reason.
    pub code: Code,
    /// What is wrong, and what to change.
    pub message: String,
}

impl ApiError {
    /// An error with the status of its code.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let (status, reason) = status(code);
        // The message can repeat parts of the request, which can be long.
        Self { status, reason, code, message: shorten(message.into()).into_owned() }
    }

    /// Whether a retry cannot succeed; see [`is_final`].
    #[must_use]
    pub fn is_final(&self) -> bool {
        is_final(self.status)
    }

    /// The API server refused or did not answer the request that `problem` describes, such as `failed to read
    /// pod "a"`.
    #[must_use]
    pub fn from_api(problem: &str, error: &kube::Error) -> Self {
        let code = match error {
            kube::Error::Api(status) if status.code < 500 && status.code != 429 => Code::StoreApiRefused,
            _ => Code::StoreApiUnavailable,
        };
        Self::new(code, watch_errors::describe_api_error(problem, error))
    }
}

impl Coded for ApiError {
    fn code(&self) -> Code {
        self.code
    }
}

fn status(code: Code) -> (StatusCode, &'static str) {
    match code {
        Code::RequestMalformed => (StatusCode::BAD_REQUEST, "BadRequest"),
        Code::CallerNotAuthenticated => (StatusCode::UNAUTHORIZED, "Unauthorized"),
        Code::CallerGone
        | Code::CallerNotInjected
        | Code::RequestNotAllowed
        | Code::StoreApiRefused
        | Code::PipeCrdOutdated => (StatusCode::FORBIDDEN, "Forbidden"),
        Code::PipeQuotaExceeded | Code::ResourceQuotaExceeded | Code::AbortQuotaExceeded => {
            (StatusCode::FORBIDDEN, "QuotaExceeded")
        }
        Code::RequestPathUnknown => (StatusCode::NOT_FOUND, "NotFound"),
        Code::RequestTooSlow => (StatusCode::REQUEST_TIMEOUT, "TooSlow"),
        Code::PipeConflict => (StatusCode::CONFLICT, "Conflict"),
        Code::ContentTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "TooLarge"),
        Code::ObjectContentInvalid => (StatusCode::UNPROCESSABLE_ENTITY, "Invalid"),
        Code::TooManyRequests => (StatusCode::TOO_MANY_REQUESTS, "TooManyRequests"),
        // What a retry can solve, and any code that is not of the store.
        _ => (StatusCode::SERVICE_UNAVAILABLE, "Unavailable"),
    }
}
