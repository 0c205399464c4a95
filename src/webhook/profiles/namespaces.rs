//! Watches the default profiles of namespaces, which are labels. A review does not contain the labels of the
//! namespace, and a request during each review would delay every pod of the cluster. Only the metadata of
//! namespaces with the label is watched.

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

const WATCHING: WatchedResource =
    WatchedResource { resource: "namespaces", absent: "check the address of the API server" };

/// Updates the default profiles of namespaces in `profiles`. Does not return. Ready after the first list. If
/// the watch fails later, the last state stays active.
pub async fn watch(
    client: Client,
    profiles: Arc<ActiveProfiles>,
    readiness: Arc<Readiness>,
    beat: Heartbeat,
) {
    let config = watcher::Config::default().labels(names::LABEL_PROFILE);
    let events = watcher(Api::<PartialObjectMeta<Namespace>>::all(client), config).default_backoff();
    let mut events = std::pin::pin!(events);
    let mut known = KnownNamespaces::default();
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
                if !known.apply(event) {
                    continue;
                }
                profiles.swap_namespaces(known.defaults.clone());
                if readiness.is_missing(Part::Namespaces) {
                    info!(count = known.defaults.len(), "namespaces listed");
                    readiness.in_place(Part::Namespaces);
                }
            }
            Err(error) => {
                if let Some(reason) = WATCHING.trouble(&error)
                    && readiness.is_missing(Part::Namespaces)
                {
                    readiness.missing(Part::Namespaces, reason);
                }
            }
        }
    }
}

/// The state of the watch.
#[derive(Debug, Default)]
struct KnownNamespaces {
    defaults: NamespaceDefaults,
    /// The part of an incomplete list, which replaces the state when it is complete.
    listed: NamespaceDefaults,
}

impl KnownNamespaces {
    /// Applies an event. Returns whether `defaults` can have changed.
    fn apply(&mut self, event: Event<PartialObjectMeta<Namespace>>) -> bool {
        let label = |namespace: &PartialObjectMeta<Namespace>| {
            namespace.labels().get(names::LABEL_PROFILE).filter(|profile| !profile.is_empty()).cloned()
        };
        let is_complete = !matches!(event, Event::Init | Event::InitApply(_));
        match event {
            Event::Init => self.listed = NamespaceDefaults::default(),
            Event::InitApply(namespace) => self.listed.set(namespace.name_any(), label(&namespace)),
            Event::InitDone => self.defaults = std::mem::take(&mut self.listed),
            Event::Apply(namespace) => self.defaults.set(namespace.name_any(), label(&namespace)),
            // Also the event of a namespace that lost the label.
            Event::Delete(namespace) => self.defaults.set(namespace.name_any(), None),
        }
        is_complete
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
    fn changes_update_the_state_and_a_list_replaces_it() {
        let mut known = KnownNamespaces::default();
        let labelled = |name, profile: &str| namespace(name, &json!({names::LABEL_PROFILE: profile}));
        assert!(!known.apply(Event::Init));
        known.apply(Event::InitApply(labelled("a", "etl")));
        assert_eq!(known.defaults.get("a"), None, "the list is incomplete");
        assert!(known.apply(Event::InitDone));
        assert_eq!(known.defaults.get("a"), Some("etl"));
        known.apply(Event::Apply(labelled("b", "ml")));
        known.apply(Event::Apply(labelled("c", "")));
        assert_eq!((known.defaults.get("b"), known.defaults.get("c")), (Some("ml"), None));
        known.apply(Event::Delete(labelled("a", "etl")));
        known.apply(Event::Apply(namespace("b", &json!({}))));
        assert!(known.defaults.is_empty());
        known.apply(Event::Apply(labelled("a", "etl")));
        known.apply(Event::Init);
        known.apply(Event::InitApply(labelled("d", "ml")));
        assert_eq!(known.defaults.get("a"), Some("etl"));
        assert!(known.apply(Event::InitDone));
        assert_eq!((known.defaults.get("a"), known.defaults.get("d")), (None, Some("ml")));
    }
}
