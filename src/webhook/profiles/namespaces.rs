//! Which namespaces name a profile for their tasks. The API server sends a pod without its namespace's labels, and
//! asking for them at each review would make every pod of the cluster wait for a second answer of its API server; so
//! they are watched: metadata only, and only of namespaces that carry the label.

use std::sync::Arc;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Namespace;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use tracing::info;

use super::ActiveProfiles;
use crate::server::liveness::{self, Heartbeat};
use crate::server::readiness::{Part, Readiness};
use crate::server::watch_errors::WatchedResource;
use bootlace_core::names;
use bootlace_core::profile::NamespaceDefaults;

const WATCHING: WatchedResource = WatchedResource {
    resource: "namespaces",
    absent: "this is no API server of Kubernetes: check its address",
};

/// Keeps the namespaces' defaults in `in_force` in step with the API server, for ever. Ready after the first list;
/// when the watch breaks later on, what was known stays in force.
pub async fn watch(
    client: Client,
    in_force: Arc<ActiveProfiles>,
    readiness: Arc<Readiness>,
    beat: Heartbeat,
) {
    let config = watcher::Config::default().labels(names::LABEL_PROFILE);
    let events = watcher(Api::<PartialObjectMeta<Namespace>>::all(client), config).default_backoff();
    let mut events = std::pin::pin!(events);
    let mut known = Known::default();
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
                if !known.take(event) {
                    continue;
                }
                in_force.swap_namespaces(known.defaults.clone());
                if readiness.is_missing(Part::Namespaces) {
                    info!(count = known.defaults.len(), "namespaces listed");
                    readiness.in_place(Part::Namespaces);
                }
            }
            Err(error) => {
                if let Some(why) = WATCHING.trouble(&error)
                    && readiness.is_missing(Part::Namespaces)
                {
                    readiness.missing(Part::Namespaces, why);
                }
            }
        }
    }
}

/// What the watch has told. Pure.
#[derive(Debug, Default)]
struct Known {
    defaults: NamespaceDefaults,
    /// What a list that is not over has told; it replaces what was known.
    listed: NamespaceDefaults,
}

impl Known {
    /// True where `defaults` may differ from before.
    fn take(&mut self, event: Event<PartialObjectMeta<Namespace>>) -> bool {
        let label = |namespace: &PartialObjectMeta<Namespace>| {
            namespace.labels().get(names::LABEL_PROFILE).filter(|profile| !profile.is_empty()).cloned()
        };
        let over = !matches!(event, Event::Init | Event::InitApply(_));
        match event {
            Event::Init => self.listed = NamespaceDefaults::default(),
            Event::InitApply(namespace) => self.listed.set(namespace.name_any(), label(&namespace)),
            Event::InitDone => self.defaults = std::mem::take(&mut self.listed),
            Event::Apply(namespace) => self.defaults.set(namespace.name_any(), label(&namespace)),
            // Also what a namespace that lost the label comes as.
            Event::Delete(namespace) => self.defaults.set(namespace.name_any(), None),
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn namespace(name: &str, labels: &Value) -> PartialObjectMeta<Namespace> {
        serde_json::from_value(json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
            "metadata": {"name": name, "labels": labels},
        }))
        .unwrap()
    }

    #[test]
    fn changes_are_followed_and_a_list_replaces_what_was_known() {
        let mut known = Known::default();
        let labelled = |name, profile: &str| namespace(name, &json!({names::LABEL_PROFILE: profile}));
        assert!(!known.take(Event::Init));
        known.take(Event::InitApply(labelled("a", "etl")));
        assert_eq!(known.defaults.get("a"), None, "the list is not over");
        assert!(known.take(Event::InitDone));
        assert_eq!(known.defaults.get("a"), Some("etl"));
        known.take(Event::Apply(labelled("b", "ml")));
        known.take(Event::Apply(labelled("c", "")));
        assert_eq!((known.defaults.get("b"), known.defaults.get("c")), (Some("ml"), None));
        known.take(Event::Delete(labelled("a", "etl")));
        known.take(Event::Apply(namespace("b", &json!({}))));
        assert!(known.defaults.is_empty());
        known.take(Event::Apply(labelled("a", "etl")));
        known.take(Event::Init);
        known.take(Event::InitApply(labelled("d", "ml")));
        assert_eq!(known.defaults.get("a"), Some("etl"));
        assert!(known.take(Event::InitDone));
        assert_eq!((known.defaults.get("a"), known.defaults.get("d")), (None, Some("ml")));
    }
}
