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

mod address;
mod body;
mod client;
mod error;
mod exchange;
mod progress;
mod redirect;
mod retry;
mod transport;

pub(crate) use address::Zone;
pub(crate) use body::{Body, Expected, hex};
pub(crate) use client::Client;
pub(crate) use error::{Demand, HttpError, remedy};
pub(crate) use exchange::Request;
pub(crate) use progress::Progress;
pub(crate) use retry::Attempts;
pub(crate) use transport::{Said, Terms, Transport, place};
