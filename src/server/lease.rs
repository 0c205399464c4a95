//! Elects the replica that does what only one should do, by a Lease.
//!
//! Implemented here, because the crates for this need another client or a background task for a few lines of
//! code. Correctness does not depend on a single holder: at worst, two replicas do the same work.

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use std::time::Duration;
use tokio::time::Instant;

use bootlace_core::names;

/// A Lease that this process tries to acquire.
pub struct LeaderLease {
    leases: Api<Lease>,
    name: String,
    holder: String,
    /// How long the Lease is valid after a renewal.
    duration: Duration,
    /// The last resource version, and when this process saw it first. If a holder does not renew the Lease
    /// for its duration, another process can acquire it. The time is measured with the clock of this process,
    /// because clocks of machines differ.
    seen: Option<(Option<String>, Instant)>,
}

impl LeaderLease {
    /// The Lease `name` in `namespace`. `holder` must be unique among all processes.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: String, holder: String, duration: Duration) -> Self {
        Self { leases: Api::namespaced(client, namespace), name, holder, duration, seen: None }
    }

    /// Acquires or renews the Lease. Returns false if another process has acquired it.
    ///
    /// # Errors
    /// The API server refuses the request or does not answer.
    pub async fn try_acquire(&mut self) -> Result<bool, kube::Error> {
        let params = PostParams::default();
        let acquired = match self.leases.get_opt(&self.name).await? {
            None => self.leases.create(&params, &self.renewed(None)).await,
            Some(lease) if self.may_acquire(&lease, Instant::now()) => {
                self.leases.replace(&self.name, &params, &self.renewed(Some(lease))).await
            }
            Some(_) => return Ok(false),
        };
        match acquired {
            Ok(_) => Ok(true),
            // Another process was faster.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Gives the Lease up, if this process has it, so that another one can acquire it at once.
    ///
    /// # Errors
    /// The API server refuses the request or does not answer.
    pub async fn release(&mut self) -> Result<(), kube::Error> {
        let Some(mut lease) = self.leases.get_opt(&self.name).await? else { return Ok(()) };
        let Some(spec) = lease.spec.as_mut() else { return Ok(()) };
        if spec.holder_identity.as_ref() != Some(&self.holder) {
            return Ok(());
        }
        spec.holder_identity = None;
        match self.leases.replace(&self.name, &PostParams::default(), &lease).await {
            // Another process has acquired it.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            result => result.map(drop),
        }
    }

    fn may_acquire(&mut self, lease: &Lease, now: Instant) -> bool {
        let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default();
        if holder.is_empty() || holder == self.holder {
            return true;
        }
        let version = &lease.metadata.resource_version;
        match &self.seen {
            Some((seen, since)) if seen == version => now.duration_since(*since) > self.duration,
            _ => {
                self.seen = Some((version.clone(), now));
                false
            }
        }
    }

    fn renewed(&self, lease: Option<Lease>) -> Lease {
        let now = MicroTime(Timestamp::now());
        let mut lease = lease.unwrap_or_else(|| Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                labels: Some([(names::LABEL_MANAGED_BY.to_owned(), names::MANAGED_BY.to_owned())].into()),
                ..ObjectMeta::default()
            },
            spec: None,
        });
        let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
        if spec.holder_identity.as_ref() != Some(&self.holder) {
            spec.lease_transitions = Some(spec.lease_transitions.map_or(0, |count| count.saturating_add(1)));
            spec.acquire_time = Some(now.clone());
        }
        spec.holder_identity = Some(self.holder.clone());
        spec.lease_duration_seconds = i32::try_from(self.duration.as_secs()).ok();
        spec.renew_time = Some(now);
        lease
    }
}
