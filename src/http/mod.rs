//! HTTP requests to servers that a profile or a pod names: sources of boot, hooks, and registries.
//!
//! | module | responsibility |
//! |---|---|
//! | `client` | proxy, headers, token |
//! | `mounted` | the client of a profile, from the objects that the kubelet mounted |
//! | `tls` | CAs |
//! | `request` | one request: redirects and status |
//! | `redirect` | the rules for redirects |
//! | `retry` | whether and when to retry |
//! | `address_class` | addresses of the node; resolver |
//! | `body` | the response as a stream: limit, checksum |
//! | `transport` | requests of a library that builds them itself |
//! | `progress` | what a fetch is waiting for, for the error of a timeout |
//! | `display` | addresses in logs and errors |

mod address_class;
mod body;
mod client;
mod display;
mod error;
mod mounted;
mod progress;
mod redirect;
mod request;
mod retry;
pub(crate) mod tls;
mod transport;

pub(crate) use address_class::NetworkZone;
pub(crate) use body::{Body, Expected};
pub(crate) use client::{HttpClient, USER_AGENT};
pub(crate) use display::display_url;
pub(crate) use error::{AuthChallenge, HttpError, remedy};
pub(crate) use mounted::{Keys, MountError, current_version, open, read_object, read_token};
pub(crate) use progress::FetchProgress;
pub(crate) use request::Request;
pub(crate) use retry::Attempts;
pub(crate) use transport::{ErrorMapping, LibraryTransport, ServerError};
