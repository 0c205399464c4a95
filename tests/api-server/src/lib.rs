//! An API server in memory, as the tests of the webhook, the store and the monitor need it.
//!
//! | module | content |
//! |---|---|
//! | `state` | objects, their versions and UIDs, selectors, pages |
//! | `path` | the parts of a path |
//! | `requests` | the response to each kind of request |
//! | `watch` | streams of changes |
//! | `clients` | clients, also those that are cut off, and the server on a port |
//! | `responses` | bodies and statuses |
//!
//! It supports get, list (selectors by labels and by a field, pages), watch, create, replace with optimistic
//! concurrency, merge patch, server-side apply, delete with preconditions, the subresource `status` and token
//! reviews. Tests can
//! make it fail, be silent or slow, drop fields, and see the requests that it received. Authorization, field
//! ownership and validation are tested on a cluster.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking, also in the server that it uses"
)]

mod clients;
mod path;
mod requests;
mod responses;
mod state;
mod watch;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};

pub use clients::{ApiService, Cut, kubeconfig, unresponsive};
use state::{Failure, State};

/// An API server. Clones share its objects.
#[derive(Clone, Default)]
pub struct ApiServer {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// The number of changes, for watches.
    changes: tokio::sync::watch::Sender<usize>,
    lists: Arc<Lists>,
}

/// Counts how clients read lists.
#[derive(Default)]
struct Lists {
    /// The bytes that were read of each list.
    read: Mutex<Vec<usize>>,
    /// The number of lists that are being read.
    open: AtomicUsize,
    /// The maximum number of lists that were read concurrently.
    most: AtomicUsize,
}

/// How a response is sent.
#[derive(Debug, Clone, Copy)]
pub struct Slow {
    /// The number of bytes that are sent at once.
    pub first: usize,
    /// The pause before the rest; `None` if the rest is never sent.
    pub pause: Option<Duration>,
}

/// Objects.
impl ApiServer {
    /// A server without objects.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The object with this path.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<Value> {
        self.state().get(path).cloned()
    }

    /// Every object of a resource, such as `pipes`, in the order of their paths.
    #[must_use]
    pub fn all(&self, resource: &str) -> Vec<Value> {
        self.state().all(resource)
    }

    /// Writes an object as another client, whatever its version.
    pub fn put(&self, path: &str, object: Value) {
        self.change(|state| state.write(path, object));
    }

    /// Deletes an object as another client.
    pub fn delete(&self, path: &str) {
        self.change(|state| state.remove(path).expect("the object exists"));
    }

    /// Marks an object as being deleted, with a grace period that has not ended.
    pub fn delete_with_grace(&self, path: &str) {
        self.change(|state| state.delete_with_grace(path));
    }

    /// Replaces an object by another one with the same name and content.
    pub fn recreate(&self, path: &str) {
        self.change(|state| {
            let mut object = state.remove(path).expect("the object exists");
            object["metadata"].as_object_mut().unwrap().remove("deletionTimestamp");
            state.write(path, object)
        });
    }

    /// Removes all objects whose owner does not exist.
    pub fn collect_garbage(&self) {
        self.change(State::collect_garbage);
    }

    /// Sets the version that the server reports, `1.minor`. Without it, it reports none.
    pub fn set_version(&self, minor: u32) {
        self.put("/version", json!({"major": "1", "minor": minor.to_string()}));
    }

    /// A token of a pod in namespace `etl`, which is not valid for another pod with the same name.
    #[must_use]
    pub fn token(&self, pod: &str) -> String {
        let object = self.get(&format!("/api/v1/namespaces/etl/pods/{pod}")).expect("the pod exists");
        format!("{pod}:{}", object["metadata"]["uid"].as_str().unwrap())
    }
}

/// Failures.
impl ApiServer {
    /// Fails all requests whose path begins with `path`.
    pub fn fail(&self, path: &str, code: u16) {
        self.state().failures.push(Failure { path: path.to_owned(), code });
    }

    /// Ends [`ApiServer::fail`].
    pub fn mend(&self, path: &str) {
        self.state().failures.retain(|failure| failure.path != path);
    }

    /// Refuses to create anything whose path contains `part`, with this status and message.
    pub fn refuse_create(&self, part: &'static str, code: u16, message: &'static str) {
        self.state().refused = Some((part, code, message));
    }

    /// Drops a field of the spec when an object is written, as an older CRD does.
    pub fn drop_field(&self, field: &'static str) {
        self.state().dropped_field = Some(field);
    }

    /// Stops or resumes responding to requests. Watches that have begun continue.
    pub fn set_silent(&self, is_silent: bool) {
        self.state().is_silent = is_silent;
    }

    /// Sends responses slowly from now on, except those of watches.
    pub fn set_slow(&self, slow: Slow) {
        self.state().slow = Some(slow);
    }
}

/// Observations.
impl ApiServer {
    /// The requests so far, such as `GET /api/v1/namespaces/etl/pods/a`.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.state().requests.clone()
    }

    /// How often clients have written an object.
    #[must_use]
    pub fn writes(&self, path: &str) -> usize {
        self.state().writes.get(path).copied().unwrap_or_default()
    }

    /// The maximum number of bytes of a list that a client has read.
    #[must_use]
    pub fn largest_list(&self) -> usize {
        self.shared.lists.read.lock().unwrap().iter().copied().max().unwrap_or_default()
    }

    /// The maximum number of lists that clients have read concurrently.
    #[must_use]
    pub fn concurrent_lists(&self) -> usize {
        self.shared.lists.most.load(Ordering::SeqCst)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }

    /// Changes the state, and notifies watches.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let result = change(&mut state);
        self.shared.changes.send_replace(state.changes.len());
        result
    }
}
