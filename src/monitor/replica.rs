//! What the controllers of a replica share.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::events::v1::Event;
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};
use tracing::warn;

use super::metrics::MonitorMetrics;
use crate::server::leadership::Leadership;
use crate::server::watch_errors::describe_api_error;

/// The clock, which tests control.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A replica of the monitor.
#[derive(Clone)]
pub struct Replica {
    /// A client with the permissions of the monitor.
    pub client: Client,
    /// Counts what it did.
    pub metrics: Arc<MonitorMetrics>,
    /// Whether this replica leads.
    pub leadership: Leadership,
    /// How long the API server must have answered before the replica acts on what it sees. After the API
    /// server was away, nodes need time to report what has started or ended.
    pub settle: Duration,
    /// The name of this replica, for Events.
    pub instance: String,
    /// The current time.
    pub clock: Clock,
}

impl Replica {
    /// Creates an Event. One that exists already is not changed.
    pub(super) async fn create_event(&self, event: &Event) -> Result<(), kube::Error> {
        let namespace = event.metadata.namespace.as_deref().unwrap_or_default();
        let events = Api::<Event>::namespaced(self.client.clone(), namespace);
        tolerate("failed to create an Event", events.create(&PostParams::default(), event).await.map(drop))
    }
}

/// Continues without an object that exists already, or that the API server refuses to create, for example
/// because of a quota: what the object says is written elsewhere too.
pub(super) fn tolerate(problem: &str, created: Result<(), kube::Error>) -> Result<(), kube::Error> {
    match created {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error @ kube::Error::Api(_)) if is_refusal(&error) => {
            warn!("{}", describe_api_error(problem, &error));
            Ok(())
        }
        other => other,
    }
}

fn is_refusal(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if (400..500).contains(&status.code) && status.code != 429)
}
