//! The parts of an API server that the store needs: UIDs, optimistic concurrency, preconditions, pages, and a
//! garbage collector that runs on demand. The client of a replica can be cut off at any request, before or
//! after it takes effect.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use futures::StreamExt as _;
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

type Request = axum::http::Request<Body>;
type Response = axum::http::Response<axum::body::Body>;

#[derive(Default)]
struct State {
    /// Counts changes; each object has the count of its last change.
    version: u64,
    objects: BTreeMap<String, Value>,
    /// The response to requests that create an object below this path.
    refused: Option<(&'static str, u16, &'static str)>,
    /// A field that the CRD of Pipes does not have, and that is dropped when a Pipe is written.
    unknown: Option<&'static str>,
}

/// An in-memory API server.
#[derive(Clone, Default)]
pub(crate) struct Cluster {
    state: Arc<Mutex<State>>,
    lists: Arc<Lists>,
}

/// Counts how clients read lists.
#[derive(Default)]
struct Lists {
    /// The bytes that were read of each list.
    read: Mutex<Vec<usize>>,
    /// The number of lists that are being read.
    open: AtomicUsize,
    /// The maximum number of lists that were read concurrently.
    most: AtomicUsize,
}

/// A list that is being read.
struct Reading(Arc<Lists>, usize);

impl Reading {
    fn begin(lists: &Arc<Lists>) -> Self {
        let mut read = lists.read.lock().unwrap();
        read.push(0);
        lists.most.fetch_max(lists.open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        Self(Arc::clone(lists), read.len() - 1)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// When a replica is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Before its request with this number, counted from 0, reaches the API server.
    Before(usize),
    /// After the request has taken effect, but before the replica gets the response.
    After(usize),
}

impl Cluster {
    /// A client that is never cut off.
    pub(crate) fn client(&self) -> Client {
        self.replica(None, Vec::new())
    }

    /// The client of a replica that is killed. Before each request, it yields to other tasks as often as
    /// `pauses` defines.
    pub(crate) fn replica(&self, cut: Option<Cut>, pauses: Vec<u8>) -> Client {
        let (cluster, asked) = (self.clone(), Arc::new(Mutex::new(0)));
        let service = tower::service_fn(move |request: Request| {
            let cluster = cluster.clone();
            let number = {
                let mut asked = asked.lock().unwrap();
                *asked += 1;
                *asked - 1
            };
            let pause = pauses.get(number).copied().unwrap_or_default();
            async move {
                for _ in 0..pause {
                    tokio::task::yield_now().await;
                }
                let killed = || Err(io::Error::other("the replica was killed"));
                match cut {
                    Some(Cut::Before(cut)) if number >= cut => return killed(),
                    Some(Cut::After(cut)) if number > cut => return killed(),
                    _ => {}
                }
                let response = cluster.answer(request).await;
                if cut == Some(Cut::After(number)) { killed() } else { Ok(response) }
            }
        });
        Client::new(service, "default")
    }

    /// Serves it over HTTP for a program, and returns its address. What is read in a namespace whose name
    /// begins with `hostile` is written once: many read it at once, and a program that is built for debugging
    /// writes slowly.
    pub(crate) async fn serve(&self) -> std::net::SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cluster = self.clone();
        let written = Arc::<Mutex<BTreeMap<String, axum::body::Bytes>>>::default();
        let answer = async move |request: axum::http::Request<axum::body::Body>| {
            let path = request.uri().path();
            let is_read_often = request.method() == axum::http::Method::GET
                && path.contains("/namespaces/hostile")
                && (path.ends_with("/pipes") || path.contains("/pods/"));
            let key = request.uri().to_string();
            if let Some(bytes) = written.lock().unwrap().get(&key).filter(|_| is_read_often).cloned() {
                return Response::new(bytes.into());
            }
            if request.uri().path() == "/version" {
                let version = json!({
                    "major": "1", "minor": "37", "gitVersion": "v1.37.1", "gitCommit": "", "gitTreeState": "",
                    "buildDate": "", "goVersion": "", "compiler": "", "platform": "",
                });
                return success(&version);
            }
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let response = cluster.answer(Request::from_parts(head, Body::from(body))).await;
            if !is_read_often || !response.status().is_success() {
                return response;
            }
            let bytes = response.into_body().collect().await.unwrap().to_bytes();
            written.lock().unwrap().insert(key, bytes.clone());
            Response::new(bytes.into())
        };
        tokio::spawn(axum::serve(listener, axum::Router::new().fallback(answer)).into_future());
        address
    }

    /// Every object of a kind (`pipes`), in the order of their names.
    pub(crate) fn all(&self, kind: &str) -> Vec<Value> {
        let state = self.state();
        let of_kind = state.objects.iter().filter(|(path, _)| path.contains(&format!("/{kind}/")));
        of_kind.map(|(_, object)| object.clone()).collect()
    }

    /// Writes an object as another client.
    pub(crate) fn put(&self, path: &str, object: Value) {
        let mut state = self.state();
        state.write(path, object);
    }

    /// Marks an object as being deleted, with a grace period that has not ended.
    pub(crate) fn delete_with_grace(&self, path: &str) {
        let mut state = self.state();
        let object = state.objects.get_mut(path).unwrap();
        object["metadata"]["deletionTimestamp"] = json!("2026-11-21T10:00:30Z");
    }

    /// A token of a pod, which is not valid for another pod with the same name.
    pub(crate) fn token(&self, pod: &str) -> String {
        let state = self.state();
        let uid = &state.objects[&format!("/api/v1/namespaces/etl/pods/{pod}")]["metadata"]["uid"];
        format!("{pod}:{}", uid.as_str().unwrap())
    }

    /// Replaces an object by another one with the same name and content.
    pub(crate) fn recreate(&self, path: &str) {
        let mut state = self.state();
        let mut object = state.objects.remove(path).unwrap();
        object["metadata"].as_object_mut().unwrap().remove("deletionTimestamp");
        state.write(path, object);
    }

    /// The maximum number of bytes of a list that a client has read.
    pub(crate) fn largest_read(&self) -> usize {
        self.lists.read.lock().unwrap().iter().copied().max().unwrap_or_default()
    }

    /// The maximum number of lists that clients have read concurrently.
    pub(crate) fn most_reads(&self) -> usize {
        self.lists.most.load(Ordering::SeqCst)
    }

    /// Refuses to create anything below a path, with this status and message.
    pub(crate) fn refuse(&self, path: &'static str, status: u16, message: &'static str) {
        self.state().refused = Some((path, status, message));
    }

    /// Drops a field in the spec of Pipes, as an older CRD does.
    pub(crate) fn does_not_know(&self, field: &'static str) {
        self.state().unknown = Some(field);
    }

    /// Collects garbage: removes objects whose owner does not exist.
    pub(crate) fn collect(&self) {
        let mut state = self.state();
        loop {
            let uids: Vec<_> =
                state.objects.values().map(|object| object["metadata"]["uid"].clone()).collect();
            let before = state.objects.len();
            state.objects.retain(|_, object| {
                let owners = object["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
                owners.is_empty() || owners.iter().any(|owner| uids.contains(&owner["uid"]))
            });
            if state.objects.len() == before {
                return;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    async fn answer(&self, request: Request) -> Response {
        let (head, body) = request.into_parts();
        let path = head.uri.path().to_owned();
        let query: BTreeMap<_, _> =
            head.uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('=')).collect();
        let body = body.collect().await.unwrap().to_bytes();
        let body = || serde_json::from_slice::<Value>(&body).unwrap();
        let mut state = self.state();
        match head.method.as_str() {
            "GET" => match state.objects.get(&path) {
                Some(object) => success(object),
                None if path.ends_with('s') => counted(&state.list(&path, &query), &self.lists),
                None => failure(404, "not found"),
            },
            "POST" if path.ends_with("/tokenreviews") => success(&state.review(&body()["spec"]["token"])),
            "POST" => {
                let object = body();
                let path = format!("{path}/{}", object["metadata"]["name"].as_str().unwrap());
                match state.refused {
                    _ if state.objects.contains_key(&path) => failure(409, "already exists"),
                    Some((below, status, message)) if path.contains(below) => failure(status, message),
                    _ => success(&state.write(&path, object)),
                }
            }
            "PUT" => {
                let object = body();
                match state.check(&path, &object["metadata"]) {
                    Err(response) => *response,
                    Ok(_) => success(&state.write(&path, object)),
                }
            }
            "PATCH" => {
                assert_eq!(head.headers["content-type"], "application/merge-patch+json");
                let (of_object, status) = match path.strip_suffix("/status") {
                    Some(path) => (path.to_owned(), true),
                    None => (path, false),
                };
                let mut change = body();
                match state.check(&of_object, &change["metadata"]) {
                    Err(response) => *response,
                    Ok(mut object) => {
                        // The status subresource only changes the status, and the main resource everything
                        // else.
                        let fields = change.as_object_mut().unwrap();
                        fields.retain(|field, _| (field == "status") == status);
                        json_patch::merge(&mut object, &change);
                        success(&state.write(&of_object, object))
                    }
                }
            }
            "DELETE" => {
                let preconditions = body()["preconditions"].clone();
                match state.check(&path, &preconditions) {
                    Err(response) => *response,
                    Ok(object) => {
                        state.objects.remove(&path);
                        success(&object)
                    }
                }
            }
            other => panic!("{other} {path} is not known here"),
        }
    }
}

impl State {
    fn write(&mut self, path: &str, mut object: Value) -> Value {
        self.version += 1;
        if let Some((field, spec)) = self.unknown.zip(object["spec"].as_object_mut()) {
            spec.remove(field);
        }
        let metadata = object["metadata"].as_object_mut().unwrap();
        let before = self.objects.get(path).map(|object| object["metadata"].clone());
        let (uid, created) = match before {
            Some(before) => (before["uid"].clone(), before["creationTimestamp"].clone()),
            None => (json!(format!("u-{}", self.version)), json!("2026-11-21T10:00:00Z")),
        };
        let namespace = path.split_once("/namespaces/").unwrap().1.split('/').next().unwrap();
        metadata.insert("namespace".to_owned(), json!(namespace));
        metadata.insert("uid".to_owned(), uid);
        metadata.insert("creationTimestamp".to_owned(), created);
        metadata.insert("resourceVersion".to_owned(), json!(self.version.to_string()));
        self.objects.insert(path.to_owned(), object.clone());
        object
    }

    /// The review of a token. In this cluster, the token of a pod is its name, optionally after its namespace
    /// and before its UID.
    fn review(&self, token: &Value) -> Value {
        let text = token.as_str().unwrap();
        let (namespace, text) = text.split_once('/').unwrap_or(("etl", text));
        let (name, uid) = text.split_once(':').map_or((text, None), |(name, uid)| (name, Some(uid)));
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
        let Some(pod) = self.objects.get(&path) else {
            return json!({"spec": {"token": token}, "status": {"authenticated": false}});
        };
        let extra = json!({
            "authentication.kubernetes.io/pod-name": [name],
            "authentication.kubernetes.io/pod-uid": [uid.map_or_else(|| pod["metadata"]["uid"].clone(), |uid| json!(uid))],
        });
        let user = json!({"username": format!("system:serviceaccount:{namespace}:runner"), "extra": extra});
        let status = json!({"authenticated": true, "audiences": ["bootlace"], "user": user});
        json!({"spec": {"token": token}, "status": status})
    }

    /// The object, if it fulfils the preconditions.
    fn check(&self, path: &str, expected: &Value) -> Result<Value, Box<Response>> {
        let object = self.objects.get(path).ok_or_else(|| Box::new(failure(404, "not found")))?;
        for field in ["uid", "resourceVersion"] {
            if !expected[field].is_null() && expected[field] != object["metadata"][field] {
                return Err(failure(409, "the object has been modified").into());
            }
        }
        Ok(object.clone())
    }

    /// A page of a collection, of one namespace or of all.
    fn list(&self, path: &str, query: &BTreeMap<&str, &str>) -> Value {
        let kind = path.rsplit('/').next().unwrap();
        let selector =
            query.get("labelSelector").map(|selector| selector.replace("%3D", "=").replace("%2F", "/"));
        let selected = |object: &Value| {
            let Some((label, value)) = selector.as_deref().and_then(|selector| selector.split_once('='))
            else {
                return true;
            };
            object["metadata"]["labels"][label] == *value
        };
        let below = |object: &str| {
            if path.contains("/namespaces/") {
                object.starts_with(&format!("{path}/"))
            } else {
                object.contains(&format!("/{kind}/"))
            }
        };
        let items: Vec<_> =
            self.objects.iter().filter(|(path, object)| below(path) && selected(object)).collect();
        let from: usize = query.get("continue").map_or(0, |from| from.parse().unwrap());
        let limit = query.get("limit").map_or(usize::MAX, |limit| limit.parse().unwrap());
        let page: Vec<_> = items.iter().skip(from).take(limit).map(|(_, object)| object).collect();
        let mut metadata = json!({"resourceVersion": self.version.to_string()});
        let rest = items.len().saturating_sub(from + page.len());
        if rest > 0 {
            metadata["continue"] = json!((from + page.len()).to_string());
            if selector.is_none() {
                metadata["remainingItemCount"] = json!(rest);
            }
        }
        json!({"apiVersion": "v1", "kind": "List", "metadata": metadata, "items": page})
    }
}

/// A list in chunks, which counts the chunks that are read.
fn counted(list: &Value, lists: &Arc<Lists>) -> Response {
    let bytes = serde_json::to_vec(list).unwrap();
    let reading = Reading::begin(lists);
    let pieces: Vec<_> = bytes.chunks(16 * 1024).map(<[u8]>::to_vec).collect();
    let pieces = futures::stream::iter(pieces).then(move |piece| {
        reading.0.read.lock().unwrap()[reading.1] += piece.len();
        async {
            tokio::task::yield_now().await;
            Ok::<_, io::Error>(piece)
        }
    });
    Response::new(axum::body::Body::from_stream(pieces))
}

fn success(object: &Value) -> Response {
    Response::new(serde_json::to_vec(object).unwrap().into())
}

fn failure(code: u16, message: &str) -> Response {
    let reason = if code == 404 { "NotFound" } else { "Told" };
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "message": message, "reason": reason,
    });
    let mut response = success(&status);
    *response.status_mut() = code.try_into().unwrap();
    response
}
