//! Profiles as the API server has them.

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

/// Keeps `in_force` in step with the API server, for ever. Ready after the first list; when the watch breaks
/// later on, the last snapshot stays in force and the watch is taken up again.
pub async fn watch(
    client: Client,
    in_force: Arc<ActiveProfiles>,
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
                if let Err(error) = in_force.swap(snapshot) {
                    warn!("{error}; the profiles in force stay");
                    continue;
                }
                // Only once they are in force here. Not waited for: the next change must not wait for a slow write.
                for report in catalogue.reports(Timestamp::now()) {
                    tokio::spawn(status_writer::write(api.clone(), report));
                }
                if readiness.is_missing(Part::Profiles) {
                    info!(count, "BootProfiles listed");
                    readiness.in_place(Part::Profiles);
                }
            }
            Err(error) => {
                if let Some(why) = WATCHING.trouble(&error)
                    && readiness.is_missing(Part::Profiles)
                {
                    readiness.missing(Part::Profiles, why);
                }
            }
        }
    }
}
