//! Removes Pipes that have expired, and Pipes that were never completed. The API server removes their
//! objects.
//!
//! One replica does it, elected by a [`lease`](crate::server::lease). A deletion requires that the Pipe is
//! unchanged, so a Pipe that was stored or updated in the meantime is kept. It also removes Aborts that are
//! left ([`aborts`]).

pub mod aborts;

use std::ops::ControlFlow;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::api::DeleteParams;
use kube::{Api, Client, ResourceExt as _};
use tracing::{info, warn};

use super::abort;
use super::crd_error;
use super::metrics::{RemovalReason, StoreMetrics};
use super::pipe;
use crate::server::api_client::exactly;
use crate::server::lease::LeaderLease;
use crate::server::liveness::Heartbeat;
use bootlace_core::output::Pipe;

/// Removes Pipes periodically.
pub struct Collector<'m> {
    /// A client with the permissions of the store.
    pub client: Client,
    /// The collector only removes Pipes while it holds this Lease.
    pub lease: LeaderLease,
    /// The time between two sweeps.
    pub interval: Duration,
    /// How long a Pipe may stay incomplete. Must be much longer than the timeout of a request.
    pub grace_period: Duration,
    /// Counts removed Pipes.
    pub metrics: &'m StoreMetrics,
    /// Shows that the loop runs.
    pub heartbeat: Heartbeat,
}

impl Collector<'_> {
    /// Runs until the process ends.
    pub async fn run(mut self) {
        let mut sweeps = 0_u32;
        loop {
            self.heartbeat.sleep(self.interval).await;
            if let Err(error) = self.sweep(Timestamp::now()).await {
                warn!(
                    "{}; retrying",
                    crd_error::describe(pipe::PLURAL, "failed to remove expired Pipes", &error)
                );
            }
            sweeps = sweeps.wrapping_add(1);
            if sweeps.is_multiple_of(aborts::EVERY)
                && let Err(error) = self.sweep_aborts(Timestamp::now()).await
            {
                warn!(
                    "{}; retrying",
                    crd_error::describe(abort::PLURAL, "failed to remove Aborts that are left", &error)
                );
            }
        }
    }

    /// Removes the Pipes that are due at `now`, if this replica holds the Lease, and returns their number.
    ///
    /// # Errors
    /// The API server refuses a request or does not answer, or the CRD of Pipes is missing.
    pub async fn sweep(&mut self, now: Timestamp) -> Result<usize, kube::Error> {
        if !self.lease.try_acquire().await? {
            return Ok(0);
        }
        let pages = pipe::pages(self.client.clone());
        let (mut cursor, mut removed) = (pages.start(), 0);
        loop {
            self.heartbeat.now();
            let mut due = Vec::new();
            let visit = |mut pipe: Pipe| {
                if let Some(reason) = removal_reason(&pipe, now, self.grace_period) {
                    // The deletion only needs the name, the UID and the resource version.
                    pipe.spec.files = Vec::new();
                    due.push((pipe, reason));
                }
                ControlFlow::Continue(())
            };
            let flow = pages.page(None, None, &mut cursor, visit).await?;
            for (pipe, reason) in &due {
                self.heartbeat.now();
                removed += usize::from(self.remove(pipe, *reason).await?);
            }
            if flow.is_break() {
                return Ok(removed);
            }
        }
    }

    /// Removes the Aborts that are left at `now`, if this replica holds the Lease, and returns their number.
    ///
    /// # Errors
    /// The API server refuses a request or does not answer.
    pub async fn sweep_aborts(&mut self, now: Timestamp) -> Result<usize, kube::Error> {
        if !self.lease.try_acquire().await? {
            return Ok(0);
        }
        aborts::sweep(&self.client, &self.heartbeat, now).await
    }

    async fn remove(&self, pipe: &Pipe, reason: RemovalReason) -> Result<bool, kube::Error> {
        let (namespace, name) = (pipe.namespace().unwrap_or_default(), pipe.name_any());
        let pipes: Api<Pipe> = Api::namespaced(self.client.clone(), &namespace);
        let params = DeleteParams::default().preconditions(exactly(&pipe.metadata));
        match pipes.delete(&name, &params).await {
            Ok(_) => {
                info!(namespace, pipe = name, reason = reason.as_str(), "removed a Pipe");
                self.metrics.removed(reason);
                Ok(true)
            }
            // Deleted or changed: the next sweep checks it again.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Why a Pipe is due for removal at `now`; `None` if it is not.
#[must_use]
pub fn removal_reason(pipe: &Pipe, now: Timestamp, grace_period: Duration) -> Option<RemovalReason> {
    if pipe.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let has_passed = |end: Timestamp| end <= now;
    if pipe.stored().is_none() {
        let created = pipe.metadata.creation_timestamp.as_ref()?.0;
        let is_due = created.checked_add(grace_period).is_ok_and(has_passed);
        return is_due.then_some(RemovalReason::NotStored);
    }
    let expires = pipe.spec.expires.as_deref()?.parse().ok()?;
    has_passed(expires).then_some(RemovalReason::Expired)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pipe(expires: Option<&str>, status: &Value) -> Pipe {
        let metadata = json!({"name": "a", "creationTimestamp": "2026-11-21T10:00:00Z"});
        let producer = json!({"pod": "p", "podUid": "u", "container": "c"});
        let spec = json!({
            "key": "A", "kind": "Secret", "object": "a", "size": 1, "hash": "", "producer": producer, "expires": expires,
        });
        serde_json::from_value(json!({"metadata": metadata, "spec": spec, "status": status})).unwrap()
    }

    #[test]
    fn a_pipe_is_removed_when_it_expires_and_not_before() {
        let stored = json!({"stored": "2026-11-21T10:00:00.000000Z"});
        let end = "2026-11-21T10:05:00.000000Z";
        for (expires, status, now, expected) in [
            (Some(end), &stored, "2026-11-21T10:04:59Z", None),
            (Some(end), &stored, "2026-11-21T10:05:00Z", Some(RemovalReason::Expired)),
            (None, &stored, "2099-01-01T00:00:00Z", None),
            (
                Some("2026-11-21T11:05:00+01:00"),
                &stored,
                "2026-11-21T10:05:00Z",
                Some(RemovalReason::Expired),
            ),
            // An invalid time: the Pipe is kept.
            (Some("tomorrow"), &stored, "2099-01-01T00:00:00Z", None),
            (None, &json!(null), "2026-11-21T10:04:59Z", None),
            (None, &json!({}), "2026-11-21T10:05:00Z", Some(RemovalReason::NotStored)),
            (
                Some("2099-01-01T00:00:00Z"),
                &json!(null),
                "2026-11-21T10:05:00Z",
                Some(RemovalReason::NotStored),
            ),
        ] {
            let pipe = pipe(expires, status);
            let reason = removal_reason(&pipe, now.parse().unwrap(), Duration::from_mins(5));
            assert_eq!(reason, expected, "{expires:?} {status} {now}");
        }
        let mut deleted = pipe(None, &json!(null));
        deleted.metadata.deletion_timestamp = deleted.metadata.creation_timestamp.clone();
        assert_eq!(removal_reason(&deleted, "2099-01-01T00:00:00Z".parse().unwrap(), Duration::ZERO), None);
    }
}
