//! Removes Pipes: those that have expired, and those that were never finished. The API server removes their objects.
//!
//! One replica does it, under a [`lease`]. A Pipe is deleted as it was read, so one that was stored or renewed meanwhile
//! stays.

pub mod lease;

use std::ops::ControlFlow;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::api::DeleteParams;
use kube::{Api, Client, ResourceExt as _};
use tracing::{info, warn};

use self::lease::LeaderLease;
use super::metrics::StoreMetrics;
use super::pipe::{self, PipePages, pages::Place, persist::exactly};
use crate::server::liveness::{self, Heartbeat};
use bootlace_core::output::Pipe;

/// Looks for Pipes whose time is over.
pub struct Collector<'m> {
    /// With the rights of the store.
    pub client: Client,
    /// Removes only while it holds this.
    pub claim: LeaderLease,
    /// How often it looks.
    pub every: Duration,
    /// How long a Pipe may be without its object. Longer than a request takes, by far.
    pub patience: Duration,
    /// Counts what it removes.
    pub metrics: &'m StoreMetrics,
    /// Shows that it runs.
    pub beat: Heartbeat,
}

/// Why a Pipe is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Its time to live is over.
    Expired,
    /// Nobody finished it.
    NotStored,
}

impl Reason {
    /// One word, for the log and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::NotStored => "not stored",
        }
    }
}

impl Collector<'_> {
    /// Looks now and then, for ever.
    pub async fn run(mut self) {
        loop {
            self.wait().await;
            if let Err(error) = self.sweep(Timestamp::now()).await {
                warn!("{}, trying again", pipe::failed("Pipes that have expired cannot be removed", &error));
            }
        }
    }

    async fn wait(&self) {
        let mut left = self.every;
        while !left.is_zero() {
            let nap = left.min(liveness::EVERY);
            self.beat.now();
            tokio::time::sleep(nap).await;
            left = left.saturating_sub(nap);
        }
    }

    /// Removes what is to be removed at `now`, if this replica is the one to do so, and tells how many it were.
    ///
    /// # Errors
    /// Where the API server refuses, or does not know Pipes.
    pub async fn sweep(&mut self, now: Timestamp) -> Result<usize, kube::Error> {
        if !self.claim.try_acquire().await? {
            return Ok(0);
        }
        let pages = PipePages::new(self.client.clone());
        let (mut place, mut removed) = (Place::default(), 0);
        loop {
            self.beat.now();
            let mut over = Vec::new();
            let visit = |mut pipe: Pipe| {
                if let Some(reason) = removal_reason(&pipe, now, self.patience) {
                    // Deleting it takes its name, uid and version alone.
                    pipe.spec.files = Vec::new();
                    over.push((pipe, reason));
                }
                ControlFlow::Continue(())
            };
            let flow = pages.page(None, None, &mut place, visit).await?;
            for (pipe, reason) in &over {
                self.beat.now();
                removed += usize::from(self.remove(pipe, *reason).await?);
            }
            if flow.is_break() {
                return Ok(removed);
            }
        }
    }

    async fn remove(&self, pipe: &Pipe, reason: Reason) -> Result<bool, kube::Error> {
        let (namespace, name) = (pipe.namespace().unwrap_or_default(), pipe.name_any());
        let pipes: Api<Pipe> = Api::namespaced(self.client.clone(), &namespace);
        let params = DeleteParams::default().preconditions(exactly(pipe));
        match pipes.delete(&name, &params).await {
            Ok(_) => {
                info!(namespace, pipe = name, reason = reason.as_str(), "removed a Pipe");
                self.metrics.removed(reason);
                Ok(true)
            }
            // Gone, or changed: looked at again next time.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Why a Pipe is to be removed at `now`; nothing where it is to stay.
#[must_use]
pub fn removal_reason(pipe: &Pipe, now: Timestamp, patience: Duration) -> Option<Reason> {
    if pipe.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let is_over = |end: Timestamp| end <= now;
    if pipe.stored().is_none() {
        let created = pipe.metadata.creation_timestamp.as_ref()?.0;
        let over = created.checked_add(patience).is_ok_and(is_over);
        return over.then_some(Reason::NotStored);
    }
    let expires = pipe.spec.expires.as_deref()?.parse().ok()?;
    is_over(expires).then_some(Reason::Expired)
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
    fn a_pipe_is_removed_when_its_time_is_over_and_not_before() {
        let stored = json!({"stored": "2026-11-21T10:00:00.000000Z"});
        let end = "2026-11-21T10:05:00.000000Z";
        for (expires, status, now, expected) in [
            (Some(end), &stored, "2026-11-21T10:04:59Z", None),
            (Some(end), &stored, "2026-11-21T10:05:00Z", Some(Reason::Expired)),
            (None, &stored, "2099-01-01T00:00:00Z", None),
            (Some("2026-11-21T11:05:00+01:00"), &stored, "2026-11-21T10:05:00Z", Some(Reason::Expired)),
            // Nobody knows when it ends: it stays.
            (Some("tomorrow"), &stored, "2099-01-01T00:00:00Z", None),
            (None, &json!(null), "2026-11-21T10:04:59Z", None),
            (None, &json!({}), "2026-11-21T10:05:00Z", Some(Reason::NotStored)),
            (Some("2099-01-01T00:00:00Z"), &json!(null), "2026-11-21T10:05:00Z", Some(Reason::NotStored)),
        ] {
            let pipe = pipe(expires, status);
            let why = removal_reason(&pipe, now.parse().unwrap(), Duration::from_mins(5));
            assert_eq!(why, expected, "{expires:?} {status} {now}");
        }
        let mut going = pipe(None, &json!(null));
        going.metadata.deletion_timestamp = going.metadata.creation_timestamp.clone();
        assert_eq!(removal_reason(&going, "2099-01-01T00:00:00Z".parse().unwrap(), Duration::ZERO), None);
    }
}
