//! Watches the profiles of the API server.

use std::sync::Arc;

use futures::StreamExt as _;
use k8s_openapi::jiff::Timestamp;
use kube::core::{ApiResource, DynamicObject};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use tracing::{info, warn};

use super::{ActiveProfiles, Catalogue, status_writer};
use crate::server::liveness::{self, Heartbeat};
use crate::server::readiness::{Part, Readiness};
use crate::server::watch_errors::WatchedResource;
use crate::webhook::metrics::WebhookMetrics;
use bootlace_core::profile::BootProfile;

const WATCHING: WatchedResource = WatchedResource {
    resource: "bootprofiles.bootlace.dev",
    absent: "install the CRD (crds/bootprofiles.yaml in the chart)",
};

/// Updates `profiles` from the API server. Does not return. Ready after the first list. If the watch fails
/// later, the last snapshot stays active and the watch is restarted.
pub async fn watch(
    client: Client,
    profiles: Arc<ActiveProfiles>,
    readiness: Arc<Readiness>,
    metrics: Arc<WebhookMetrics>,
    beat: Heartbeat,
) {
    let api: Api<DynamicObject> = Api::all_with(client, &ApiResource::erase::<BootProfile>(&()));
    let events = watcher(api.clone(), watcher::Config::default()).default_backoff();
    let mut events = std::pin::pin!(events);
    let mut catalogue = Catalogue::default();
    let mut ticks = tokio::time::interval(liveness::EVERY);
    loop {
        beat.now();
        let event = tokio::select! {
            event = events.next() => event,
            _ = ticks.tick() => continue,
        };
        let Some(event) = event else { return };
        match event {
            Ok(event) => {
                if !catalogue.apply(event) {
                    continue;
                }
                let snapshot = catalogue.snapshot();
                let count = snapshot.iter().count();
                metrics.profiles(count, catalogue.invalid());
                metrics.profile_states(catalogue.states());
                if let Err(error) = profiles.swap(snapshot) {
                    warn!(%error, "failed to activate BootProfiles; the previous ones stay active");
                    continue;
                }
                // After the activation. In other tasks, because a slow write must not delay the next change.
                for report in catalogue.reports(Timestamp::now()) {
                    tokio::spawn(status_writer::write(api.clone(), report));
                }
                if readiness.is_missing(Part::Profiles) {
                    info!(count, "BootProfiles listed");
                    readiness.in_place(Part::Profiles);
                }
            }
            Err(error) => {
                if let Some(reason) = WATCHING.trouble(&error)
                    && readiness.is_missing(Part::Profiles)
                {
                    readiness.missing(Part::Profiles, reason);
                }
            }
        }
    }
}
