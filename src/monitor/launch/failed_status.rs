//! The patch of `pods/status` that fails a pod. Pure.
//!
//! It sets the phase, the condition and the cause at once, so that a Job decides by the condition, and an
//! annotation. A kubelet does not act on a change of the status alone, and would write its own phase again
//! (kubernetes/kubernetes, `HandlePodReconcile` and `needsReconcile`). It acts on a change of an annotation,
//! sees the phase, cancels image pulls and mounts, and stops the containers (`UpdatePod` in
//! `pkg/kubelet/pod_workers.go`). So the same patch works in every state, also for a pod without a node, and
//! needs no permission to patch or delete pods.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::verdict::Failure;
use bootlace_core::names;

/// The strategic merge patch. The API server refuses it if `pod` has changed.
#[must_use]
pub fn patch(pod: &Pod, failure: &Failure, message: &str, diagnosis: &str, now: Timestamp) -> Value {
    let (type_, status) = failure.condition();
    let condition = json!({
        "type": type_, "status": status, "reason": failure.reason(), "message": message, "lastTransitionTime": Time(now),
    });
    json!({
        "metadata": {
            "uid": pod.metadata.uid,
            "resourceVersion": pod.metadata.resource_version,
            "annotations": {names::ANNOTATION_DIAGNOSIS: diagnosis},
        },
        "status": {
            "phase": "Failed",
            "reason": failure.reason(),
            "message": message,
            "conditions": [condition],
        },
    })
}
