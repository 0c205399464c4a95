//! Writes the status of profiles: whether their newest version is active.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::DynamicObject;
use serde_json::json;
use tracing::{debug, warn};

use crate::server::watch_errors;
use bootlace_core::profile::BootProfileStatus;

/// A status that differs from the one of the object.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusWriter {
    /// The name of the profile.
    pub name: String,
    /// The version of the object for which the status was computed.
    pub resource_version: Option<String>,
    /// The new status.
    pub status: BootProfileStatus,
}

/// The number of attempts after the first one, and the delay before the first of them, which doubles each
/// time.
const RETRIES: usize = 4;
const FIRST_DELAY: Duration = Duration::from_secs(1);

/// Writes a status. All replicas compute the same status at the same time. Each sends the version that it
/// saw, so that the first request succeeds and the others have a conflict; their watch then reports the new
/// status.
pub(super) async fn write(api: Api<DynamicObject>, report: StatusWriter) {
    let patch = json!({
        "metadata": {"resourceVersion": report.resource_version},
        "status": report.status,
    });
    let delays = ExponentialBuilder::new().with_min_delay(FIRST_DELAY).with_max_times(RETRIES).with_jitter();
    let mut delays = delays.build();
    loop {
        match api.patch_status(&report.name, &PatchParams::default(), &Patch::Merge(&patch)).await {
            Ok(_) => return,
            Err(kube::Error::Api(status)) if status.code == 409 => {
                debug!(profile = report.name, "another replica wrote the status, or the profile has changed");
                return;
            }
            Err(error) => {
                let action = format!("failed to write the status of BootProfile {:?}", report.name);
                warn!("{}", watch_errors::describe_api_error(&action, &error));
            }
        }
        let Some(delay) = delays.next() else { return };
        tokio::time::sleep(delay).await;
    }
}
