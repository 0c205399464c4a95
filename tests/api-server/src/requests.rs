//! The response to each kind of request.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::http::request::Parts;
use http_body_util::BodyExt as _;
use kube::client::Body;
use serde_json::Value;

use crate::ApiServer;
use crate::path::ResourcePath;
use crate::responses::{Response, counted, failure, slow, success};
use crate::state::{Selector, State, not_found};
use crate::watch::watch;

pub(crate) type Request = axum::http::Request<Body>;

impl ApiServer {
    /// Responds to a request.
    pub(crate) async fn respond(&self, request: Request) -> Response {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let (is_silent, slowness) = {
            let mut state = self.state();
            state.requests.push(format!("{} {}", head.method, head.uri));
            (state.is_silent, state.slow)
        };
        if is_silent {
            return std::future::pending().await;
        }
        let query: BTreeMap<String, String> =
            form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        if query.contains_key("watch") {
            let path = head.uri.path();
            if let Some(failed) = self.state().failure(path) {
                return failed;
            }
            let since = query.get("resourceVersion").map_or(0, |version| version.parse().unwrap());
            return watch(self, path.to_owned(), Selector::parse(&query), since);
        }
        let response = self.change(|state| state.answer(self, &head, &query, &body));
        match slowness {
            Some(slowness) => slow(response, slowness).await,
            None => response,
        }
    }
}

impl State {
    /// The error for a path, if a test has set one.
    fn failure(&self, path: &str) -> Option<Response> {
        let failing = self.failures.iter().find(|failing| path.starts_with(&failing.path))?;
        Some(failure(failing.code, "the test fails this request"))
    }

    fn answer(
        &mut self,
        server: &ApiServer,
        head: &Parts,
        query: &BTreeMap<String, String>,
        body: &Bytes,
    ) -> Response {
        let path = head.uri.path();
        if let Some(failed) = self.failure(path) {
            return failed;
        }
        let body = || serde_json::from_slice::<Value>(body).unwrap();
        match head.method.as_str() {
            "GET" => match (self.get(path), ResourcePath::parse(path)) {
                (Some(object), _) => success(object),
                (None, Some(collection)) if collection.name.is_none() => {
                    counted(&self.list(&collection, query), &server.shared.lists)
                }
                (None, _) => failure(404, &not_found(path)),
            },
            "POST" if path.ends_with("/tokenreviews") => success(&self.review(&body()["spec"]["token"])),
            "POST" => self.create(path, body()),
            "PUT" => {
                let object = body();
                match self.check(path, &object["metadata"]) {
                    Err(response) => *response,
                    Ok(_) => self.written(path, object),
                }
            }
            "PATCH" => self.patch(path, head, &body()),
            "DELETE" => match self.check(path, &body()["preconditions"]) {
                Err(response) => *response,
                Ok(object) => {
                    self.remove(path);
                    success(&object)
                }
            },
            other => panic!("{other} {path} is not supported"),
        }
    }

    fn create(&mut self, collection: &str, object: Value) -> Response {
        let path = format!("{collection}/{}", object["metadata"]["name"].as_str().unwrap());
        match self.refused {
            _ if self.get(&path).is_some() => failure(409, "the object already exists"),
            Some((part, status, message)) if path.contains(part) => failure(status, message),
            _ => self.written(&path, object),
        }
    }

    fn patch(&mut self, path: &str, head: &Parts, change: &Value) -> Response {
        let (path, is_status) = match path.strip_suffix("/status") {
            Some(path) => (path, true),
            None => (path, false),
        };
        let mut object = match self.check(path, &change["metadata"]) {
            Err(response) => return *response,
            Ok(object) => object,
        };
        match head.headers["content-type"].to_str().unwrap() {
            "application/apply-patch+yaml" => apply(&mut object, change),
            "application/merge-patch+json" => {
                // The subresource changes the status and metadata, and the main resource all but the status.
                let mut change = change.clone();
                let is_reached = |field: &str| field == "metadata" || (field == "status") == is_status;
                change.as_object_mut().unwrap().retain(|field, _| is_reached(field));
                json_patch::merge(&mut object, &change);
            }
            "application/strategic-merge-patch+json" => {
                let is_pod = ResourcePath::parse(path).is_some_and(|path| path.resource == "pods");
                assert!(
                    is_status && is_pod,
                    "a strategic merge patch is only supported for the status of pods"
                );
                // The status of a pod also changes its annotations.
                strategic_merge(&mut object, change);
            }
            other => panic!("{other} is not supported"),
        }
        self.written(path, object)
    }

    /// Writes an object for a client.
    fn written(&mut self, path: &str, object: Value) -> Response {
        *self.writes.entry(path.to_owned()).or_default() += 1;
        success(&self.write(path, object))
    }
}

/// A strategic merge patch of a pod, whose conditions are merged by type.
fn strategic_merge(object: &mut Value, patch: &Value) {
    match (object, patch) {
        (Value::Object(object), Value::Object(patch)) => {
            for (field, value) in patch {
                strategic_merge(object.entry(field).or_insert(Value::Null), value);
            }
        }
        (Value::Array(elements), Value::Array(patch)) => {
            for value in patch {
                match elements.iter_mut().find(|element| element["type"] == value["type"]) {
                    Some(element) => strategic_merge(element, value),
                    None => elements.push(value.clone()),
                }
            }
        }
        (object, patch) => *object = patch.clone(),
    }
}

/// Server-side apply, for lists of objects that are merged by name.
fn apply(object: &mut Value, patch: &Value) {
    match (object, patch) {
        (Value::Object(object), Value::Object(patch)) => {
            for (field, value) in patch {
                apply(object.entry(field).or_insert(Value::Null), value);
            }
        }
        (Value::Array(elements), Value::Array(patch)) => {
            for value in patch {
                let element = elements.iter_mut().find(|element| element["name"] == value["name"]);
                apply(element.expect("an element with this name"), value);
            }
        }
        (object, patch) => *object = patch.clone(),
    }
}
