//! Errors of a request.

use std::error::Error;
use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::{StatusCode, Url};

use super::address_class::{NetworkZone, ResolveError};
use bootlace_core::code::{Code, Coded};
use bootlace_core::profile::address::InvalidAddress;

/// Limits for reading the body of an error response, which may contain the server's message.
pub(super) const MAX_ERROR_BYTES: u64 = 64 * 1024;
pub(super) const ERROR_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum length of the server's message, in characters.
pub(super) const MAX_MESSAGE_CHARS: usize = 500;

/// Why a request failed. Messages contain addresses without their query, and nothing of a body but the
/// message field of documented error formats.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HttpError {
    /// An address in the profile is invalid.
    #[error("{url:?} is not a valid URL: {reason}")]
    Address {
        /// The address.
        url: String,
        /// The reason.
        reason: String,
    },
    /// The settings or a mounted object of the client are invalid.
    #[error("{0}")]
    Setup(String),
    /// A name cannot be resolved.
    #[error(
        "{address}: failed to resolve {name:?} ({reason}): correct the address, or check the DNS of the pod"
    )]
    Name {
        /// The address of the request.
        address: String,
        /// The name.
        name: String,
        /// The system's error.
        reason: String,
    },
    /// The connection timed out.
    #[error(
        "{address}: timed out connecting after {seconds} s: check that the server is running and that NetworkPolicies allow \
         the connection, or raise client.connectTimeoutSeconds"
    )]
    ConnectTimeout {
        /// The address of the request.
        address: String,
        /// The time limit.
        seconds: u32,
    },
    /// The connection failed.
    #[error(
        "{address}: failed to connect ({reason}): check that the server is running and that NetworkPolicies allow the \
         connection"
    )]
    Connect {
        /// The address of the request.
        address: String,
        /// The system's error.
        reason: String,
    },
    /// The certificate of the server is not valid.
    #[error(
        "{address}: the server's certificate is not valid ({reason}): renew it, or set client.ca to the CA that signed it"
    )]
    Certificate {
        /// The address of the request.
        address: String,
        /// The TLS error.
        reason: String,
    },
    /// The connection was closed early.
    #[error("{address}: the connection was closed before the response was complete ({reason})")]
    Interrupted {
        /// The address of the request.
        address: String,
        /// The system's error.
        reason: String,
    },
    /// The server responded with an error.
    #[error("{address}: the server responded with {status}{message}: {remedy}")]
    Status {
        /// The address of the request.
        address: String,
        /// The status.
        status: StatusCode,
        /// The server's message in a documented error format, in parentheses.
        message: String,
        /// The remedy.
        remedy: &'static str,
        /// The value of `Retry-After`.
        retry_after: Option<Duration>,
        /// The challenge, if the status is 401.
        challenge: Option<Box<AuthChallenge>>,
    },
    /// The response of a token server has no token.
    #[error("{address}: the response contains no token: check that this is the token server of the registry")]
    Token {
        /// The address of the request.
        address: String,
    },
    /// Boot cannot get credentials.
    #[error("failed to get credentials: {error}{remedy}")]
    Identity {
        /// The reason.
        error: Box<HttpError>,
        /// The remedy, unless the error contains it.
        remedy: String,
    },
    /// The server's `Retry-After` exceeds the remaining time.
    #[error("{error}; the server asked to retry after {} s, but only {left} s remain for this source", after.as_secs())]
    RetryAfterTooLong {
        /// The response.
        error: Box<HttpError>,
        /// The value of `Retry-After`.
        after: Duration,
        /// The remaining time in seconds.
        left: u64,
    },
    /// All attempts failed.
    #[error("{error} ({attempts} attempts)")]
    GaveUp {
        /// The last error.
        error: Box<HttpError>,
        /// The number of attempts.
        attempts: u32,
    },
    /// A redirect that boot does not follow.
    #[error("{address}: redirect to {target} refused: {reason}")]
    Redirect {
        /// The address of the request.
        address: String,
        /// Scheme and host of the target.
        target: String,
        /// The reason, and what to do.
        reason: String,
    },
    /// The response is larger than the limit of the source.
    #[error(
        "{address}: the response exceeds the limit of {limit} bytes: raise limits.size of the source, and \
         volume.sizeLimit with it, if the size is expected"
    )]
    TooLarge {
        /// The address of the request.
        address: String,
        /// The limit.
        limit: u64,
    },
    /// The response has another checksum.
    #[error(
        "{address}: the SHA-256 of the response is {found}, but {by} requires {expected}: correct one of them"
    )]
    Checksum {
        /// The address of the request.
        address: String,
        /// The checksum of the response.
        found: String,
        /// Where the requirement comes from.
        by: &'static str,
        /// The required checksum.
        expected: String,
    },
}

/// The authentication challenge of a server.
#[derive(Clone, Debug)]
pub struct AuthChallenge {
    pub(super) url: Url,
    pub(super) zone: NetworkZone,
    /// The header `WWW-Authenticate`.
    pub(super) values: Vec<HeaderValue>,
}

impl AuthChallenge {
    /// The values of the header `WWW-Authenticate`.
    pub(crate) fn challenges(&self) -> impl Iterator<Item = &str> {
        self.values.iter().filter_map(|value| value.to_str().ok())
    }

    /// The class of the server's address.
    pub(crate) fn zone(&self) -> NetworkZone {
        self.zone
    }
}

impl From<InvalidAddress> for HttpError {
    fn from(InvalidAddress { url, reason }: InvalidAddress) -> Self {
        Self::Address { url, reason }
    }
}

impl HttpError {
    /// Converts the `error` of a request to `address`.
    pub(super) fn from_reqwest(address: &str, connect_seconds: u32, error: &reqwest::Error) -> Self {
        let address = address.to_owned();
        let mut cause = error.source();
        let mut innermost = String::new();
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<ResolveError>() {
                return Self::from_resolver(address, error);
            }
            if let Some(rustls::Error::InvalidCertificate(reason)) = tls(error) {
                return Self::Certificate { address, reason: reason.to_string() };
            }
            innermost = error.to_string();
            cause = error.source();
        }
        if error.is_connect() && error.is_timeout() {
            return Self::ConnectTimeout { address, seconds: connect_seconds };
        }
        if error.is_connect() {
            return Self::Connect { address, reason: innermost };
        }
        Self::Interrupted { address, reason: innermost }
    }

    fn from_resolver(address: String, error: &ResolveError) -> Self {
        match error {
            ResolveError::NotFound { name, reason } => {
                Self::Name { address, name: name.clone(), reason: reason.clone() }
            }
            // Only targets of redirects are refused by their address.
            ResolveError::NotAllowed => Self::Redirect {
                target: address.clone(),
                address,
                reason: "its name resolves to an address of the node; set the final address in the profile"
                    .to_owned(),
            },
        }
    }

    /// Whether a retry may succeed.
    pub(crate) fn is_temporary(&self) -> bool {
        match self {
            Self::Status { status, .. } => is_temporary(*status),
            Self::Identity { error, .. } => error.is_temporary(),
            Self::Name { .. }
            | Self::ConnectTimeout { .. }
            | Self::Connect { .. }
            | Self::Interrupted { .. }
            | Self::RetryAfterTooLong { .. }
            | Self::GaveUp { .. } => true,
            Self::Address { .. }
            | Self::Setup(_)
            | Self::Certificate { .. }
            | Self::Redirect { .. }
            | Self::Token { .. }
            | Self::TooLarge { .. }
            | Self::Checksum { .. } => false,
        }
    }

    /// Whether the server responded with 404.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Status { status: StatusCode::NOT_FOUND, .. })
    }

    /// The value of `Retry-After`.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            Self::Identity { error, .. } => error.retry_after(),
            _ => None,
        }
    }

    /// The challenge of the server, if there is one.
    pub(crate) fn challenge(&self) -> Option<&AuthChallenge> {
        match self {
            Self::Status { challenge, .. } => challenge.as_deref(),
            _ => None,
        }
    }

    /// Whether the server refuses the credentials.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self, Self::Status { status: StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, .. })
    }

    /// Whether the response arrived, but is not valid content.
    pub(crate) fn is_content(&self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::Checksum { .. })
    }
}

impl Coded for HttpError {
    fn code(&self) -> Code {
        match self {
            Self::Address { .. } | Self::Setup(_) => Code::SourceSettingsInvalid,
            Self::Name { .. } => Code::ServerNotResolved,
            Self::ConnectTimeout { .. } | Self::Connect { .. } | Self::Interrupted { .. } => {
                Code::ServerUnreachable
            }
            Self::Certificate { .. } => Code::ServerCertificateInvalid,
            Self::Status { status, .. } => match *status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Code::ServerDeniedAccess,
                StatusCode::NOT_FOUND | StatusCode::GONE => Code::SourceNotFound,
                _ => Code::ServerError,
            },
            Self::Token { .. } | Self::Identity { .. } => Code::ServerDeniedAccess,
            Self::RetryAfterTooLong { error, .. } | Self::GaveUp { error, .. } => error.code(),
            Self::Redirect { .. } => Code::RedirectRefused,
            Self::TooLarge { .. } => Code::SourceTooLarge,
            Self::Checksum { .. } => Code::ChecksumMismatch,
        }
    }
}

/// The TLS error inside one or several I/O errors, whose `source` omits the inner error.
fn tls<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    if let Some(found) = error.downcast_ref() {
        return Some(found);
    }
    let inside = error.downcast_ref::<std::io::Error>()?.get_ref()?;
    tls(inside)
}

/// Statuses after which a retry may succeed. Of 5xx, 501 and 505 are permanent.
fn is_temporary(status: StatusCode) -> bool {
    match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => false,
        status => status.is_server_error(),
    }
}

/// The remedy for a status.
pub(crate) fn remedy(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => {
            "set credentials in client.headersFromSecret or client.token, or renew them"
        }
        StatusCode::FORBIDDEN => "grant the credentials of client access to it",
        StatusCode::NOT_FOUND | StatusCode::GONE => "correct the address, or create the object there",
        StatusCode::TOO_MANY_REQUESTS => "send fewer requests, or raise the rate limit of the server",
        status if status.is_server_error() => "check the log of the server",
        status if status.is_redirection() => "set the final address in the profile",
        _ => "correct the request in the profile",
    }
}
