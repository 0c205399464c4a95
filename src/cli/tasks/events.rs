//! The Events of pods that do not start: only they tell which image is pulled, and which volume cannot be
//! mounted.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;
use kube::{Api, Client};

use super::list::PAGE;
use super::state::PodEvent;
use super::task::Task;
use crate::command_error::CommandError;
use crate::pod_status::event_time;
use crate::server::api_client::next_page;

/// What follows if Events cannot be read.
pub(super) const INCOMPLETE: &str = "the states of pods that do not start are incomplete";
/// Up to this many pods of a namespace, the Events of each are read. For more, those of all pods are.
const MAX_SEPARATE: usize = 20;
/// Maximum Events that are read of a namespace. A state whose Event is beyond has no details.
const MAX_EVENTS: usize = 20_000;

/// Adds to the states of `tasks` what Events tell.
///
/// # Errors
/// Events cannot be listed.
pub(super) async fn explain(client: &Client, tasks: &mut [Task]) -> Result<(), CommandError> {
    let mut by_namespace = BTreeMap::<&str, BTreeSet<&str>>::new();
    for task in tasks.iter().filter(|task| task.state.needs_events) {
        by_namespace.entry(&task.namespace).or_default().insert(&task.uid);
    }
    let mut events = BTreeMap::new();
    for (namespace, pods) in by_namespace {
        let api = Api::namespaced(client.clone(), namespace);
        let add = read(&api, &pods, &mut events).await;
        add.map_err(|error| CommandError::cluster_request("list events", Some(namespace), &error))?;
    }
    for task in tasks.iter_mut().filter(|task| task.state.needs_events) {
        task.state = task.state.clone().explained_by(events.get(&task.uid));
    }
    Ok(())
}

/// The newest Event of each pod, by its UID.
type Newest = BTreeMap<String, PodEvent>;

/// Adds the Events of `pods`.
async fn read(api: &Api<Event>, pods: &BTreeSet<&str>, newest: &mut Newest) -> Result<(), kube::Error> {
    if pods.len() > MAX_SEPARATE {
        return pages(api, "involvedObject.kind=Pod", pods, newest).await;
    }
    for uid in pods {
        pages(api, &format!("involvedObject.uid={uid}"), pods, newest).await?;
    }
    Ok(())
}

async fn pages(
    api: &Api<Event>,
    selector: &str,
    pods: &BTreeSet<&str>,
    newest: &mut Newest,
) -> Result<(), kube::Error> {
    let first = ListParams::default().fields(selector).limit(PAGE);
    let (mut params, mut read) = (first.clone(), 0);
    loop {
        let page = api.list(&params).await?;
        read += page.items.len();
        for event in page.items {
            add(event, pods, newest);
        }
        match next_page(page.metadata).filter(|_| read < MAX_EVENTS) {
            Some(token) => params = first.clone().continue_token(&token),
            None => return Ok(()),
        }
    }
}

fn add(event: Event, pods: &BTreeSet<&str>, newest: &mut Newest) {
    let time = event_time(&event);
    let uid = event.involved_object.uid.unwrap_or_default();
    let Some(last) = time.filter(|_| pods.contains(uid.as_str())) else { return };
    if newest.get(&uid).is_none_or(|known| known.last <= last) {
        let found = PodEvent {
            last,
            is_warning: event.type_.as_deref() == Some("Warning"),
            reason: event.reason.unwrap_or_default(),
            message: event.message.unwrap_or_default(),
        };
        newest.insert(uid, found);
    }
}
