//! The version of the API server: requested until it is known, and regularly after that, because clusters are
//! upgraded while the webhook runs.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::profiles::ActiveProfiles;
use crate::server::api_client::{ServerVersion, version};
use crate::server::liveness::{self, Heartbeat};
use crate::server::readiness::{Part, Readiness};
use bootlace_core::plan::Version;

/// How often the version is requested.
pub const EVERY: Duration = Duration::from_mins(5);

/// Updates `profiles` with the version of the API server. Does not return. Ready after the first response,
/// even if it contains no version, because such an API server sends reviews nevertheless.
pub async fn watch(
    client: Client,
    every: Duration,
    profiles: Arc<ActiveProfiles>,
    readiness: Arc<Readiness>,
    beat: Heartbeat,
) {
    let mut known = None;
    let mut reported = String::new();
    loop {
        beat.now();
        let (version, problem) = match version(&client).await {
            ServerVersion::Version(info) => match Version::read(&info.major, &info.minor) {
                Some(version) => (Some(Some(version)), None),
                None => (Some(None), Some("the API server did not report its version".to_owned())),
            },
            // The known version stays: an API server that rejects the request was not upgraded.
            ServerVersion::Refused(reason) => (Some(known), Some(reason)),
            ServerVersion::None(reason) => (None, Some(reason)),
        };
        match version {
            Some(version) if version != known || readiness.is_missing(Part::ApiServer) => {
                if let Some(version) = version {
                    info!(%version, "version of the API server");
                }
                if let Err(error) = profiles.set_kubernetes_version(version) {
                    warn!(%error, "failed to apply the version of the API server; the previous configuration stays active");
                }
                known = version;
                readiness.in_place(Part::ApiServer);
            }
            None if readiness.is_missing(Part::ApiServer) => {
                readiness.missing(Part::ApiServer, problem.clone().unwrap_or_default());
            }
            _ => {}
        }
        let problem = problem.unwrap_or_default();
        if problem != reported && !problem.is_empty() {
            warn!("{problem}");
        }
        reported = problem;
        let end = Instant::now() + if known.is_some() { every } else { every.min(liveness::EVERY) };
        while Instant::now() < end {
            beat.now();
            sleep_until(end.min(Instant::now() + liveness::EVERY)).await;
        }
    }
}
