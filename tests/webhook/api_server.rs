//! The parts of an API server that the webhook needs, in memory: get, list by name, watch, create, replace
//! with optimistic concurrency, apply. It is a service for the client of kube.
//!
//! Authorization, field ownership and validation are tested on a cluster.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bootlace::server::api_client::TimeoutLayer;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::{Body, ClientBuilder};
use serde_json::{Value, json};
use tokio::sync::broadcast;

type Request = axum::http::Request<Body>;
type Response = axum::http::Response<axum::body::Body>;

/// A change, as watches report it.
#[derive(Clone)]
struct Change {
    path: String,
    event: Value,
}

#[derive(Default)]
struct State {
    /// The number of changes. Every object has the number of its last change.
    version: u64,
    objects: BTreeMap<String, Value>,
    writes: BTreeMap<String, usize>,
    failing: BTreeMap<String, u16>,
    /// Whether requests get no response.
    is_silent: bool,
}

/// An API server in memory.
#[derive(Clone)]
pub(crate) struct ApiServer {
    state: Arc<Mutex<State>>,
    changes: broadcast::Sender<Change>,
}

impl ApiServer {
    pub(crate) fn start() -> Self {
        Self { state: Arc::default(), changes: broadcast::channel(1024).0 }
    }

    /// A client of it, with a short timeout for each request.
    pub(crate) fn client(&self) -> Client {
        let limit = TimeoutLayer(Duration::from_millis(250));
        ClientBuilder::new(self.service(), "default").with_layer(&limit).build()
    }

    /// A client without a timeout, like a faulty part of the webhook.
    pub(crate) fn client_without_limit(&self) -> Client {
        Client::new(self.service(), "default")
    }

    fn service(
        &self,
    ) -> impl tower::Service<
        Request,
        Response = Response,
        Error = Infallible,
        Future = BoxFuture<'static, Result<Response, Infallible>>,
    > + Clone
    + use<> {
        let server = self.clone();
        tower::service_fn(move |request: Request| -> BoxFuture<'static, Result<Response, Infallible>> {
            let server = server.clone();
            Box::pin(async move { Ok(server.answer(request).await) })
        })
    }

    /// Stops or resumes responding to requests.
    pub(crate) fn be_silent(&self, is_silent: bool) {
        self.state.lock().unwrap().is_silent = is_silent;
    }

    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        self.state.lock().unwrap().objects.get(path).cloned()
    }

    /// Writes an object like another client.
    pub(crate) fn put(&self, path: &str, object: Value) {
        self.store(&mut self.state.lock().unwrap(), path, object);
    }

    pub(crate) fn delete(&self, path: &str) {
        let mut state = self.state.lock().unwrap();
        state.version += 1;
        let mut object = state.objects.remove(path).unwrap();
        object["metadata"]["resourceVersion"] = json!(state.version.to_string());
        let _ = self
            .changes
            .send(Change { path: path.to_owned(), event: json!({"type": "DELETED", "object": object}) });
    }

    /// How often the webhook wrote an object.
    pub(crate) fn writes(&self, path: &str) -> usize {
        self.state.lock().unwrap().writes.get(path).copied().unwrap_or_default()
    }

    /// Fails every request for a collection.
    pub(crate) fn fail(&self, collection: &str, code: u16) {
        self.state.lock().unwrap().failing.insert(collection.to_owned(), code);
    }

    /// Stops failing requests.
    pub(crate) fn mend(&self, collection: &str) {
        self.state.lock().unwrap().failing.remove(collection);
    }

    fn store(&self, state: &mut State, path: &str, mut object: Value) -> Value {
        state.version += 1;
        object["metadata"]["resourceVersion"] = json!(state.version.to_string());
        let before = state.objects.insert(path.to_owned(), object.clone());
        let kind = if before.is_some() { "MODIFIED" } else { "ADDED" };
        let _ = self
            .changes
            .send(Change { path: path.to_owned(), event: json!({"type": kind, "object": object}) });
        object
    }

    async fn answer(&self, request: Request) -> Response {
        let (head, body) = request.into_parts();
        let path = head.uri.path().to_owned();
        let query: BTreeMap<_, _> =
            head.uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('=')).collect();
        let body = body.collect().await.unwrap().to_bytes();
        let body = || serde_json::from_slice::<Value>(&body).unwrap();
        if self.state.lock().unwrap().is_silent {
            return std::future::pending().await;
        }
        let mut state = self.state.lock().unwrap();
        let failing = state.failing.iter().find(|(collection, _)| path.starts_with(*collection));
        if let Some((_, code)) = failing {
            return failure(*code);
        }
        match head.method.as_str() {
            "GET" if query.contains_key("watch") => {
                // Subscribes while the state is locked, so that no change between list and watch is lost.
                let changes = self.changes.subscribe();
                let since = query["resourceVersion"].parse().unwrap();
                watch(changes, path, name_in(&query), since, &state)
            }
            "GET" => match state.objects.get(&path) {
                Some(object) => success(object),
                None if is_collection(&path) => success(&list(&state, &path, name_in(&query).as_deref())),
                None => failure(404),
            },
            "POST" => {
                let object = body();
                let path = format!("{path}/{}", object["metadata"]["name"].as_str().unwrap());
                if state.objects.contains_key(&path) {
                    return failure(409);
                }
                *state.writes.entry(path.clone()).or_default() += 1;
                success(&self.store(&mut state, &path, object))
            }
            "PUT" => {
                let object = body();
                let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
                match state.objects.get(&path).map(version) {
                    None => failure(404),
                    Some(current) if current != version(&object) => failure(409),
                    Some(_) => {
                        *state.writes.entry(path.clone()).or_default() += 1;
                        success(&self.store(&mut state, &path, object))
                    }
                }
            }
            "PATCH" if path.ends_with("/status") => {
                let object_path = path.strip_suffix("/status").unwrap();
                let Some(mut object) = state.objects.get(object_path).cloned() else { return failure(404) };
                let merge = body();
                if merge["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"] {
                    return failure(409);
                }
                object["status"] = merge["status"].clone();
                *state.writes.entry(object_path.to_owned()).or_default() += 1;
                success(&self.store(&mut state, object_path, object))
            }
            "PATCH" => {
                assert_eq!(head.headers["content-type"], "application/apply-patch+yaml");
                let mut object = state.objects[&path].clone();
                apply(&mut object, &body());
                *state.writes.entry(path.clone()).or_default() += 1;
                success(&self.store(&mut state, &path, object))
            }
            other => panic!("{other} {path} is not known here"),
        }
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
                apply(element.expect("a webhook of that name"), value);
            }
        }
        (object, patch) => *object = patch.clone(),
    }
}

fn is_collection(path: &str) -> bool {
    path.rsplit('/').next().unwrap().ends_with('s')
}

fn name_in(query: &BTreeMap<&str, &str>) -> Option<String> {
    let selector = query.get("fieldSelector")?.replace("%3D", "=");
    Some(selector.strip_prefix("metadata.name=").expect("a selector by name").to_owned())
}

fn selected(path: &str, collection: &str, name: Option<&str>) -> bool {
    let found = path.strip_prefix(collection).and_then(|rest| rest.strip_prefix('/'));
    found.is_some_and(|found| name.is_none_or(|name| name == found))
}

fn list(state: &State, path: &str, name: Option<&str>) -> Value {
    let items =
        state.objects.iter().filter(|(object, _)| selected(object, path, name)).map(|(_, object)| object);
    let items: Vec<_> = items.collect();
    json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": state.version.to_string()}, "items": items})
}

/// A stream of changes: existing ones after `since`, then new ones.
fn watch(
    changes: broadcast::Receiver<Change>,
    path: String,
    name: Option<String>,
    since: u64,
    state: &State,
) -> Response {
    let version =
        |object: &Value| object["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap();
    let missed: Vec<_> = state
        .objects
        .iter()
        .filter(|(object, value)| selected(object, &path, name.as_deref()) && version(value) > since)
        .map(|(_, value)| json!({"type": "MODIFIED", "object": value}))
        .collect();
    let to_come =
        futures::stream::unfold(changes, |mut changes| async { Some((changes.recv().await.ok()?, changes)) });
    let to_come = to_come
        .filter(move |change| std::future::ready(selected(&change.path, &path, name.as_deref())))
        .map(|change| change.event);
    let lines = futures::stream::iter(missed)
        .chain(to_come)
        .map(|event| Ok::<_, Infallible>(serde_json::to_string(&event).unwrap() + "\n"));
    Response::new(axum::body::Body::from_stream(lines))
}

fn success(object: &Value) -> Response {
    Response::new(serde_json::to_vec(object).unwrap().into())
}

fn failure(code: u16) -> Response {
    let reason = match code {
        404 => "NotFound",
        409 => "Conflict",
        _ => "Forbidden",
    };
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "message": "told so by the test",
        "reason": reason,
    });
    let mut response = success(&status);
    *response.status_mut() = code.try_into().unwrap();
    response
}
