//! HTTP for whoever fetches from a server that a profile or a pod names: boot's sources, and what asks registries.
//!
//! | module | what it answers |
//! |---|---|
//! | `client` | whom is trusted, who asks: roots, proxy, headers, token |
//! | `exchange` | one request: its redirects, its status |
//! | `redirect` | where may a redirect lead |
//! | `retry` | is another attempt worth it, and when |
//! | `address` | which addresses are the node's own; names to addresses |
//! | `body` | the answer as it streams in: limit, checksum |
//! | `transport` | the same for a library that makes its requests itself |
//! | `progress` | what is waited for just now, for whoever cuts it off |

mod address_class;
mod body;
mod client;
mod error;
mod progress;
mod redirect;
mod request;
mod retry;
mod transport;

pub(crate) use address_class::NetworkZone;
pub(crate) use body::{Body, Expected, hex};
pub(crate) use client::HttpClient;
pub(crate) use error::{AuthChallenge, HttpError, remedy};
pub(crate) use progress::FetchProgress;
pub(crate) use request::Request;
pub(crate) use retry::Attempts;
pub(crate) use transport::{ErrorMapping, ServerError, Transport, place};
