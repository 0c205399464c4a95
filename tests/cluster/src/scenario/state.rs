//! The states of containers in the status of a pod.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Pod};

/// How a container ended. If it was restarted since, how it ended the last time.
///
/// # Errors
/// If the pod has no such container, or it has not ended.
pub fn ended<'p>(pod: &'p Pod, container: &str) -> Result<&'p ContainerStateTerminated> {
    let status = status(pod, container).with_context(|| format!("the pod has no container {container}"))?;
    let state = terminated(status.state.as_ref()).or_else(|| terminated(status.last_state.as_ref()));
    state.with_context(|| format!("container {container} has not ended"))
}

/// Whether a container has ended at least once.
#[must_use]
pub fn has_ended(pod: &Pod, container: &str) -> bool {
    ended(pod, container).is_ok()
}

/// The termination message of a container. Empty if it has none.
///
/// # Errors
/// As [`ended`].
pub fn message<'p>(pod: &'p Pod, container: &str) -> Result<&'p str> {
    Ok(ended(pod, container)?.message.as_deref().unwrap_or_default())
}

/// The number of restarts of a container.
#[must_use]
pub fn restarts(pod: &Pod, container: &str) -> i32 {
    status(pod, container).map_or(0, |status| status.restart_count)
}

fn status<'p>(pod: &'p Pod, container: &str) -> Option<&'p ContainerStatus> {
    let status = pod.status.as_ref()?;
    let all = [&status.init_container_statuses, &status.container_statuses];
    all.into_iter().flatten().flatten().find(|status| status.name == container)
}

fn terminated(state: Option<&ContainerState>) -> Option<&ContainerStateTerminated> {
    state?.terminated.as_ref()
}
