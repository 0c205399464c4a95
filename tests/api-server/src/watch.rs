//! Streams of changes.

use std::convert::Infallible;

use futures::stream;
use serde_json::{Value, json};

use crate::ApiServer;
use crate::path::ResourcePath;
use crate::responses::Response;
use crate::state::{Change, Selector};

/// The changes of a collection after the version `since`: first those that have happened, then new ones.
pub(crate) fn watch(server: &ApiServer, collection: String, selector: Selector, since: usize) -> Response {
    let (server, changed) = (server.clone(), server.shared.changes.subscribe());
    let start = (since, changed);
    let lines = stream::unfold(start, move |(mut position, mut changed)| {
        let (server, collection, selector) = (server.clone(), collection.clone(), selector.clone());
        async move {
            loop {
                let change = server.state().changes.get(position).cloned();
                let Some(change) = change else {
                    changed.changed().await.ok()?;
                    continue;
                };
                position += 1;
                if let Some(event) = event(&change, position, &collection, &selector) {
                    let line = serde_json::to_string(&event).unwrap() + "\n";
                    return Some((Ok::<_, Infallible>(line), (position, changed)));
                }
            }
        }
    });
    Response::new(axum::body::Body::from_stream(lines))
}

/// The event of a change, which has the version `version`; `None` if the watch does not select the object.
fn event(change: &Change, version: usize, collection: &str, selector: &Selector) -> Option<Value> {
    let collection = ResourcePath::parse(collection)?;
    if !collection.contains(&ResourcePath::parse(&change.path)?) {
        return None;
    }
    let select = |object: &Option<std::sync::Arc<Value>>| {
        object.as_ref().filter(|object| selector.matches(object)).map(|object| Value::clone(object))
    };
    match (select(&change.before), select(&change.after)) {
        (None, Some(after)) => Some(json!({"type": "ADDED", "object": after})),
        (Some(_), Some(after)) => Some(json!({"type": "MODIFIED", "object": after})),
        // Deleted, or no longer selected.
        (Some(mut before), None) => {
            before["metadata"]["resourceVersion"] = json!(version.to_string());
            Some(json!({"type": "DELETED", "object": before}))
        }
        (None, None) => None,
    }
}
