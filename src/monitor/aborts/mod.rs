//! Sends the `abort` hooks of tasks whose pod could not: its node is lost, it was deleted by force, or it had
//! too little time.
//!
//! ```text
//! Aborts, page by page → pod → has it ended? → Abort as it is now → profile → requests → servers
//!                                                                       → Event, and the Abort is removed
//! ```
//!
//! | step | module | content |
//! |---|---|---|
//! | decide | [`mod@verdict`] | whether a pod has ended, so that its sidecar cannot act any more (pure) |
//! | act | `act` | renders and sends the hooks |
//! | write | `report` | the Event, and the status of an Abort that is left |
//!
//! The controller keeps no state: it lists the Aborts again and again. Each is checked with one request for
//! its pod, and nothing is watched, so its memory does not grow with the cluster.

pub(crate) mod act;
mod report;
pub mod verdict;

use std::time::Duration;

use bootlace_core::abort::{Abort, AbortPhase};
use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::{self, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use super::replica::Replica;
use crate::server::api_client::next_page;
use crate::server::liveness::Heartbeat;
use crate::server::memory::ABORT_PAGE;
use crate::server::watch_errors::{describe_api_error, is_resource_missing};

/// The time between two passes over all Aborts.
const PAUSE: Duration = Duration::from_secs(30);
/// The time between two pods that are read, so that thousands of Aborts do not load the API server. With
/// more than 600 of them, a pass takes longer than [`PAUSE`].
const READ_INTERVAL: Duration = Duration::from_millis(50);
/// Aborts of a page that are sent concurrently: a server that does not respond must not delay the others.
const MAX_SENDS: usize = 8;

/// Sends the abort hooks that are left.
pub struct AbortMonitor(pub Replica);

impl AbortMonitor {
    /// Runs until this future is dropped, because the replica leads no longer.
    pub async fn run(&self, heartbeat: &Heartbeat) {
        loop {
            heartbeat.sleep(PAUSE).await;
            match self.pass(heartbeat).await {
                // An older chart has no CRD of Aborts, and there is nothing to send.
                Err(error) if is_resource_missing(&error) => {}
                Err(error) => {
                    warn!("{}; retrying", describe_api_error("failed to check the Aborts", &error));
                    self.0.metrics.action_failed();
                }
                Ok(()) => {}
            }
        }
    }

    /// Checks each Abort once.
    ///
    /// # Errors
    /// The API server refuses a request or does not answer.
    pub async fn pass(&self, heartbeat: &Heartbeat) -> Result<(), kube::Error> {
        let all: Api<Abort> = Api::all(self.0.client.clone());
        let mut params = ListParams::default().limit(ABORT_PAGE);
        let mut reads = interval(READ_INTERVAL);
        reads.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let page = all.list(&params).await?;
            let mut due = Vec::new();
            for abort in page.items.into_iter().filter(is_open) {
                reads.tick().await;
                heartbeat.now();
                if self.has_ended(&abort).await? {
                    due.push(abort);
                }
            }
            // In boxes, because the compiler cannot show otherwise that the stream is Send.
            let sends: Vec<BoxFuture<'_, ()>> =
                due.iter().map(|abort| self.send_if_left(abort, heartbeat).boxed()).collect();
            stream::iter(sends).buffer_unordered(MAX_SENDS).collect::<Vec<()>>().await;
            match next_page(page.metadata) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(()),
            }
        }
    }

    /// Whether the pod of an Abort has ended.
    async fn has_ended(&self, abort: &Abort) -> Result<bool, kube::Error> {
        let pods: Api<Pod> = Api::namespaced(self.0.client.clone(), &abort.namespace().unwrap_or_default());
        let pod = pods.get_opt(&abort.spec.pod).await?;
        Ok(verdict::has_ended(pod.as_ref(), &abort.spec.pod_uid, (self.0.clock)()))
    }
}

/// Whether something is left to do.
fn is_open(abort: &Abort) -> bool {
    abort.status.as_ref().and_then(|status| status.phase) != Some(AbortPhase::Failed)
}
