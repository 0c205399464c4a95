//! The protocol of the store and its client: what boot, the sidecar and the containers that wait share with
//! [`crate::store`].
//!
//! This module runs in every injected pod, so it imports nothing of the server.

pub mod client;
pub mod protocol;

pub use client::ClientError;
pub(crate) use client::{EVENT_TIMEOUT, StoreClient, token_file};
