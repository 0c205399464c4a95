//! Tells profiles' authors whether what they wrote is in force: the objects' status.

use std::time::Duration;

use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::DynamicObject;
use serde_json::json;
use tracing::{debug, warn};

use crate::server::watch_errors;
use bootlace_core::profile::BootProfileStatus;

/// A status that differs from what the object says.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusWriter {
    /// The profile.
    pub name: String,
    /// The version of the object that this was made from.
    pub resource_version: Option<String>,
    /// What to say.
    pub status: BootProfileStatus,
}

/// How often a write is tried, with twice the time in between each time.
const TRIES: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// Writes a report. All replicas come to the same one at the same time, so each names the version that it saw: the first
/// one's is taken, and the others are told of a conflict and, by the watch, of what the first one wrote.
pub(super) async fn write(api: Api<DynamicObject>, report: StatusWriter) {
    let patch = json!({
        "metadata": {"resourceVersion": report.resource_version},
        "status": report.status,
    });
    let mut wait = FIRST_WAIT;
    for _ in 0..TRIES {
        match api.patch_status(&report.name, &PatchParams::default(), &Patch::Merge(&patch)).await {
            Ok(_) => return,
            Err(kube::Error::Api(status)) if status.code == 409 => {
                debug!(
                    profile = report.name,
                    "another replica wrote its status first, or it has changed since"
                );
                return;
            }
            Err(error) => {
                let doing = format!("the status of BootProfile {} cannot be written", report.name);
                warn!("{}", watch_errors::describe_api_error(&doing, &error));
            }
        }
        tokio::time::sleep(wait).await;
        wait *= 2;
    }
}
