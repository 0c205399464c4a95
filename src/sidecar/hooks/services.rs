//! The interface of the hooks to the network.

use std::future::Future;

use tokio::time::Instant;

use crate::hook_request::HookError;
use crate::store_client::protocol::EventKind;
use bootlace_core::abort::RenderedHook;

/// The servers of the hooks, and the store.
pub trait HookServices {
    /// Sends a request, and repeats it until `deadline` if that can help.
    fn send(&self, hook: &RenderedHook, deadline: Instant) -> impl Future<Output = Result<(), HookError>>;

    /// Records with the store what the abort of a container needs. Returns whether that succeeded; a failure
    /// is logged.
    fn record(&self, container: &str, start: u32, text: Option<&str>) -> impl Future<Output = bool>;

    /// Removes the record. A failure is only logged.
    fn forget(&self, container: &str) -> impl Future<Output = ()>;

    /// Records an Event on the pod. A failure is only logged.
    fn report(&self, kind: EventKind, note: String) -> impl Future<Output = ()>;
}
