//! Whether a pod has ended. Pure.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use k8s_openapi::jiff::Timestamp;

/// How long a node may need to report that a pod has ended, after its grace period. The node kills its
/// containers at the end of the grace period.
const MARGIN: Duration = Duration::from_secs(30);

/// Whether the pod with this UID has ended, so that its sidecar cannot send anything any more. `pod` is the
/// pod that has its name.
///
/// | pod | ended |
/// |---|---|
/// | does not exist, or another one has its name | yes |
/// | is being deleted | if its grace period ended [`MARGIN`] ago: its node does not report |
/// | has the phase `Succeeded` or `Failed` | if none of its containers runs: others can set the phase too |
/// | other | no. Its node can be lost, but its tasks may run |
#[must_use]
pub fn has_ended(pod: Option<&Pod>, uid: &str, now: Timestamp) -> bool {
    let Some(pod) = pod.filter(|pod| pod.metadata.uid.as_deref() == Some(uid)) else { return true };
    if let Some(end) = &pod.metadata.deletion_timestamp {
        // The API server writes the end of the grace period.
        return end.0.checked_add(MARGIN).is_ok_and(|end| end <= now);
    }
    let Some(status) = &pod.status else { return false };
    matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) && !has_running_container(status)
}

fn has_running_container(status: &PodStatus) -> bool {
    let init = status.init_container_statuses.iter().flatten();
    init.chain(status.container_statuses.iter().flatten())
        .any(|container| container.state.as_ref().is_some_and(|state| state.running.is_some()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn ended(pod: &Value) -> bool {
        let pod = serde_json::from_value(pod.clone()).unwrap();
        has_ended(Some(&pod), "u-1", "2026-11-21T10:00:00Z".parse().unwrap())
    }

    fn pod(metadata: &Value, status: &Value) -> Value {
        let mut metadata = metadata.clone();
        metadata["uid"] = json!("u-1");
        json!({"metadata": metadata, "spec": {"containers": []}, "status": status})
    }

    #[test]
    fn a_pod_that_is_gone_has_ended() {
        assert!(has_ended(None, "u-1", Timestamp::UNIX_EPOCH));
        let other = json!({"metadata": {"uid": "u-2"}, "status": {"phase": "Running"}});
        assert!(ended(&other));
    }

    #[test]
    fn a_pod_that_is_deleted_has_ended_some_time_after_its_grace_period() {
        let deleted = |end: &str| {
            let metadata = json!({"deletionTimestamp": format!("2026-11-21T{end}Z")});
            ended(&pod(&metadata, &json!({"phase": "Running"})))
        };
        assert!(!deleted("10:00:20") && !deleted("09:59:31") && deleted("09:59:30"));
    }

    #[test]
    fn a_pod_whose_phase_others_have_set_has_not_ended_while_its_containers_run() {
        let with = |phase: &str, state: &Value| {
            let container = json!({
                "name": "bootlace-pipe", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
                "state": state,
            });
            ended(&pod(&json!({}), &json!({"phase": phase, "initContainerStatuses": [container]})))
        };
        let (running, terminated) = (json!({"running": {}}), json!({"terminated": {"exitCode": 137}}));
        assert!(!with("Failed", &running) && !with("Running", &running) && !with("Running", &terminated));
        assert!(with("Failed", &terminated) && with("Succeeded", &terminated));
        assert!(ended(&pod(&json!({}), &json!({"phase": "Failed", "reason": "Evicted"}))));
    }
}
