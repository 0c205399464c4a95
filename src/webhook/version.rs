//! Which version the API server is: asked for until it is known, and now and then after that, as clusters are upgraded
//! under a webhook that runs.

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

/// How often it is asked for.
pub const EVERY: Duration = Duration::from_mins(5);

/// Keeps `in_force` in step with the API server's version, for ever. Ready after the first answer, whatever it is: an API
/// server that does not tell its version still sends reviews.
pub async fn watch(
    client: Client,
    every: Duration,
    in_force: Arc<ActiveProfiles>,
    readiness: Arc<Readiness>,
    beat: Heartbeat,
) {
    let mut known = None;
    let mut complained = String::new();
    loop {
        beat.now();
        let (version, trouble) = match version(&client).await {
            ServerVersion::Version(info) => match Version::read(&info.major, &info.minor) {
                Some(version) => (Some(Some(version)), None),
                None => (Some(None), Some("the API server does not tell its version".to_owned())),
            },
            // What was known stays: an API server that is away has not been upgraded yet.
            ServerVersion::Refused(why) => (Some(known), Some(why)),
            ServerVersion::None(why) => (None, Some(why)),
        };
        match version {
            Some(version) if version != known || readiness.is_missing(Part::ApiServer) => {
                if let Some(version) = version {
                    info!(%version, "the API server told its version");
                }
                if let Err(error) = in_force.set_kubernetes_version(version) {
                    warn!("{error}; the profiles in force stay");
                }
                known = version;
                readiness.in_place(Part::ApiServer);
            }
            None if readiness.is_missing(Part::ApiServer) => {
                readiness.missing(Part::ApiServer, trouble.clone().unwrap_or_default());
            }
            _ => {}
        }
        let trouble = trouble.unwrap_or_default();
        if trouble != complained && !trouble.is_empty() {
            warn!("{trouble}");
        }
        complained = trouble;
        let end = Instant::now() + if known.is_some() { every } else { every.min(liveness::EVERY) };
        while Instant::now() < end {
            beat.now();
            sleep_until(end.min(Instant::now() + liveness::EVERY)).await;
        }
    }
}
