//! Why a request brings nothing.

use std::error::Error;
use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::{StatusCode, Url};

use super::address_class::{NetworkZone, ResolveError};
use super::redirect;
use bootlace_core::code::{Code, Coded};
use bootlace_core::profile::address::InvalidAddress;

/// Why a request brings nothing. Addresses are shown without their query; nothing of a body is shown, but for
/// the message that a documented error format has a field for.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HttpError {
    /// The profile's own address is none.
    #[error("{url:?} is not a valid address: {why}")]
    Address {
        /// The address.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// A mounted file that the client needs is not right.
    #[error("{0}")]
    Setup(String),
    /// The name leads nowhere.
    #[error(
        "{place}: failed to resolve {name:?} ({what}): correct the address, or check the DNS of the pod"
    )]
    Name {
        /// What was asked.
        place: String,
        /// The name.
        name: String,
        /// What the system says.
        what: String,
    },
    /// No connection stood in time.
    #[error(
        "{place}: timed out connecting after {seconds} s: check that the server is running and that NetworkPolicies allow \
         the connection, or raise client.connectTimeoutSeconds"
    )]
    ConnectTimeout {
        /// What was asked.
        place: String,
        /// The time.
        seconds: u32,
    },
    /// The connection is refused.
    #[error(
        "{place}: failed to connect ({what}): check that the server is running and that NetworkPolicies allow the \
         connection"
    )]
    Connect {
        /// What was asked.
        place: String,
        /// What the system says.
        what: String,
    },
    /// TLS finds no trust.
    #[error(
        "{place}: the server's certificate is not valid ({what}): renew it, or set client.ca to the CA that signed it"
    )]
    Certificate {
        /// What was asked.
        place: String,
        /// What TLS says.
        what: String,
    },
    /// The connection broke.
    #[error("{place}: the connection was closed before the response was complete ({what})")]
    Broke {
        /// What was asked.
        place: String,
        /// What the system says.
        what: String,
    },
    /// The server says no.
    #[error("{place}: the server responded with {status}{said}: {remedy}")]
    Status {
        /// What was asked.
        place: String,
        /// The status.
        status: StatusCode,
        /// What the server says in a format that has a field for it, ready to be appended.
        said: String,
        /// What to do.
        remedy: &'static str,
        /// When to come back, if the server says so.
        retry_after: Option<Duration>,
        /// What it asks for, where the status is 401.
        demand: Option<Box<AuthChallenge>>,
    },
    /// What should have been a token is none.
    #[error("{place}: the response contains no token: check that this is the token server of the registry")]
    Token {
        /// What was asked.
        place: String,
    },
    /// Nobody gives boot credentials.
    #[error("failed to get credentials: {error}{remedy}")]
    Identity {
        /// Why not.
        error: Box<HttpError>,
        /// What to do, ready to be appended; empty where the error says it.
        remedy: String,
    },
    /// The server wants patience that there is no time for.
    #[error("{error}; the server asked to retry after {} s, but only {left} s remain for this source", after.as_secs())]
    TooPatient {
        /// The answer.
        error: Box<HttpError>,
        /// The server's wish.
        after: Duration,
        /// The time that is left.
        left: u64,
    },
    /// All attempts failed.
    #[error("{error} ({attempts} attempts)")]
    GaveUp {
        /// The last one's error.
        error: Box<HttpError>,
        /// How many there were.
        attempts: u32,
    },
    /// A redirect that boot does not follow.
    #[error("{place}: redirect to {target} refused: {why}")]
    Redirect {
        /// What was asked.
        place: String,
        /// Scheme and host of the target.
        target: String,
        /// Why it is not followed, and what to do.
        why: String,
    },
    /// The answer is larger than the source may be.
    #[error(
        "{place}: the response exceeds the limit of {limit} bytes: raise limits.size of the source, and \
         volume.sizeLimit with it, if the size is expected"
    )]
    TooLarge {
        /// What was asked.
        place: String,
        /// The limit.
        limit: u64,
    },
    /// The answer is not what the profile says.
    #[error("{place}: the SHA-256 of the response is {found}, but {by} requires {expected}: correct one of them")]
    Checksum {
        /// What was asked.
        place: String,
        /// What it is.
        found: String,
        /// Who says what it should be.
        by: &'static str,
        /// What it should be.
        expected: String,
    },
}

/// What a server asks of whoever wants its answer.
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

    /// Where the server is.
    pub(crate) fn zone(&self) -> NetworkZone {
        self.zone
    }

    /// An address that the server names, where it may name it: the rules are those of a redirect.
    ///
    /// # Errors
    /// Where it leads to another scheme or to the node.
    pub(crate) fn leads_to(&self, address: &str) -> Result<Url, HttpError> {
        redirect::lead(&self.url, address, self.zone)
    }
}

impl From<InvalidAddress> for HttpError {
    fn from(InvalidAddress { url, why }: InvalidAddress) -> Self {
        Self::Address { url, why }
    }
}

impl HttpError {
    /// What `error` of a request to `place` comes to.
    pub(super) fn of(place: &str, connect_seconds: u32, error: &reqwest::Error) -> Self {
        let place = place.to_owned();
        let mut cause = error.source();
        let mut innermost = String::new();
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<ResolveError>() {
                return Self::name(place, error);
            }
            if let Some(rustls::Error::InvalidCertificate(why)) = tls(error) {
                return Self::Certificate { place, what: why.to_string() };
            }
            innermost = error.to_string();
            cause = error.source();
        }
        if error.is_connect() && error.is_timeout() {
            return Self::ConnectTimeout { place, seconds: connect_seconds };
        }
        if error.is_connect() {
            return Self::Connect { place, what: innermost };
        }
        Self::Broke { place, what: innermost }
    }

    fn name(place: String, error: &ResolveError) -> Self {
        match error {
            ResolveError::NotFound { name, what } => {
                Self::Name { place, name: name.clone(), what: what.clone() }
            }
            // Only a redirect's target is refused by where it leads to.
            ResolveError::NotAllowed => Self::Redirect {
                target: place.clone(),
                place,
                why: "its name resolves to an address of the node; set the final address in the profile".to_owned(),
            },
        }
    }

    /// Whether the same request may well succeed a little later.
    pub(crate) fn is_temporary(&self) -> bool {
        match self {
            Self::Status { status, .. } => is_temporary(*status),
            Self::Identity { error, .. } => error.is_temporary(),
            Self::Name { .. }
            | Self::ConnectTimeout { .. }
            | Self::Connect { .. }
            | Self::Broke { .. }
            | Self::TooPatient { .. }
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

    /// Whether the server says that there is no such thing.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Status { status: StatusCode::NOT_FOUND, .. })
    }

    /// When the server wants to be asked again.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            Self::Identity { error, .. } => error.retry_after(),
            _ => None,
        }
    }

    /// What the server asks for, if it does.
    pub(crate) fn demand(&self) -> Option<&AuthChallenge> {
        match self {
            Self::Status { demand, .. } => demand.as_deref(),
            _ => None,
        }
    }

    /// Whether the server refuses who asks, rather than what.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self, Self::Status { status: StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, .. })
    }

    /// Whether the server was had, and what it gave is not fit for a task.
    pub(crate) fn is_content(&self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::Checksum { .. })
    }
}

impl Coded for HttpError {
    fn code(&self) -> Code {
        match self {
            Self::Address { .. } | Self::Setup(_) => Code::SourceSettingsInvalid,
            Self::Name { .. } => Code::ServerNotResolved,
            Self::ConnectTimeout { .. } | Self::Connect { .. } | Self::Broke { .. } => {
                Code::ServerUnreachable
            }
            Self::Certificate { .. } => Code::ServerCertificateInvalid,
            Self::Status { status, .. } => match *status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Code::ServerDeniedAccess,
                StatusCode::NOT_FOUND | StatusCode::GONE => Code::SourceNotFound,
                _ => Code::ServerError,
            },
            Self::Token { .. } | Self::Identity { .. } => Code::ServerDeniedAccess,
            Self::TooPatient { error, .. } | Self::GaveUp { error, .. } => error.code(),
            Self::Redirect { .. } => Code::RedirectRefused,
            Self::TooLarge { .. } => Code::SourceTooLarge,
            Self::Checksum { .. } => Code::ChecksumMismatch,
        }
    }
}

/// TLS' own error: it is handed on inside one I/O error or several, whose `source` leaves out what they hold.
fn tls<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    if let Some(found) = error.downcast_ref() {
        return Some(found);
    }
    let inside = error.downcast_ref::<std::io::Error>()?.get_ref()?;
    tls(inside)
}

/// Statuses after which the same request may be answered a little later. Not all of 5xx: 501 and 505 say that
/// the server will never know how.
fn is_temporary(status: StatusCode) -> bool {
    match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => false,
        status => status.is_server_error(),
    }
}

/// What to do about a status.
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
