//! The containers of a pod with their states, in the order in which they start.

use k8s_openapi::api::core::v1::{Container, ContainerState, ContainerStatus, Pod};

use crate::pod_status::is_sidecar;

/// The kind of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An init container that runs to completion.
    Init,
    /// A native sidecar: an init container that runs as long as the pod.
    Sidecar,
    /// A regular container.
    Regular,
}

impl Kind {
    /// The kind in messages.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Init => "init container",
            Self::Sidecar => "sidecar",
            Self::Regular => "container",
        }
    }
}

/// A container and its status, if the kubelet has reported one.
#[derive(Debug, Clone, Copy)]
pub(super) struct ContainerView<'p> {
    pub(super) name: &'p str,
    pub(super) kind: Kind,
    pub(super) status: Option<&'p ContainerStatus>,
}

/// All containers of a pod: first the init containers, then the regular ones.
pub(super) fn containers(pod: &Pod) -> impl Iterator<Item = ContainerView<'_>> {
    let (spec, status) = (pod.spec.as_ref(), pod.status.as_ref());
    let init = spec.and_then(|spec| spec.init_containers.as_deref()).unwrap_or_default();
    let regular = spec.map(|spec| &*spec.containers).unwrap_or_default();
    let init_statuses = status.and_then(|status| status.init_container_statuses.as_deref());
    let statuses = status.and_then(|status| status.container_statuses.as_deref());
    let init = init.iter().map(move |container| {
        let kind = if is_sidecar(container) { Kind::Sidecar } else { Kind::Init };
        view(container, kind, init_statuses)
    });
    init.chain(regular.iter().map(move |container| view(container, Kind::Regular, statuses)))
}

fn view<'p>(
    container: &'p Container,
    kind: Kind,
    statuses: Option<&'p [ContainerStatus]>,
) -> ContainerView<'p> {
    let status = statuses.unwrap_or_default().iter().find(|status| status.name == container.name);
    ContainerView { name: &container.name, kind, status }
}

impl<'p> ContainerView<'p> {
    /// Its state.
    pub(super) fn state(&self) -> Option<&'p ContainerState> {
        self.status.and_then(|status| status.state.as_ref())
    }

    /// Whether it has ever started.
    pub(super) fn has_started(&self) -> bool {
        let Some(status) = self.status else { return false };
        let mut known = [&status.state, &status.last_state].into_iter().flatten();
        known.any(|state| state.running.is_some() || state.terminated.is_some())
    }

    /// Whether it has ended, and is not waiting for a restart.
    pub(super) fn has_ended(&self) -> bool {
        self.state().is_some_and(|state| state.terminated.is_some())
    }

    /// Whether the containers after it can start.
    pub(super) fn lets_others_start(&self) -> bool {
        match self.kind {
            Kind::Init => {
                self.state().and_then(|state| state.terminated.as_ref()).is_some_and(|end| end.exit_code == 0)
            }
            Kind::Sidecar => self.status.is_some_and(|status| status.started == Some(true)),
            Kind::Regular => true,
        }
    }
}
