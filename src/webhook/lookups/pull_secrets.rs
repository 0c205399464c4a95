//! Reads the pull secrets of a pod by the rules of the kubelet: a secret that is missing or cannot be read is
//! ignored.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout};

/// How long a Secret is cached. A burst of pods reads it once, and a changed password is used soon.
const CACHED: Duration = Duration::from_mins(1);
/// The maximum number of cached Secrets.
const MAX_CACHED: usize = 256;
/// The maximum number of Secrets of a pod. More than one is rare.
const MAX_EACH: usize = 16;

/// The key of a Secret of type `kubernetes.io/dockerconfigjson`.
const CONFIG: &str = ".dockerconfigjson";
/// The key of the older type `kubernetes.io/dockercfg`, whose content is the value of `auths` in the other.
const LEGACY: &str = ".dockercfg";

/// Reads pull secrets in the namespaces for which the webhook has permission.
pub struct PullSecretLookup {
    client: Option<Client>,
    namespaces: BTreeSet<String>,
    limit: Duration,
    cache: Mutex<HashMap<Name, CacheEntry>>,
}

/// The namespace and the name of a Secret.
type Name = (String, String);
/// The time of the request for a Secret, and its content when it is read. Concurrent lookups wait for the
/// same content.
type CacheEntry = (Instant, Arc<OnceCell<Vec<u8>>>);

/// The pull secrets of a pod.
#[derive(Default)]
pub(super) struct PullSecretResult {
    /// The contents of those that could be read, in the format of `.dockerconfigjson`.
    pub(super) contents: Vec<Vec<u8>>,
    /// The errors of the others, with their remedies.
    pub(super) missing: Option<String>,
}

impl PullSecretLookup {
    /// A lookup in these namespaces, with the timeout `limit` for each Secret.
    #[must_use]
    pub fn new(client: Client, namespaces: impl IntoIterator<Item = String>, limit: Duration) -> Self {
        let namespaces = namespaces.into_iter().collect();
        Self { client: Some(client), namespaces, limit, cache: Mutex::default() }
    }

    /// A lookup without a cluster, which reads no Secret.
    #[must_use]
    pub fn none() -> Self {
        Self { client: None, namespaces: BTreeSet::new(), limit: Duration::ZERO, cache: Mutex::default() }
    }

    /// Reads the Secrets with these names.
    pub(super) async fn read(&self, namespace: &str, names: &[String]) -> PullSecretResult {
        let Some(client) = &self.client else { return PullSecretResult::default() };
        if names.is_empty() {
            return PullSecretResult::default();
        }
        if !self.namespaces.contains(namespace) {
            let missing = format!(
                "the webhook does not read pull secrets in namespace {namespace:?}: add it to entrypoints.pullSecrets in the \
                 values of the chart"
            );
            return PullSecretResult { missing: Some(missing), ..PullSecretResult::default() };
        }
        let api = Api::namespaced(client.clone(), namespace);
        let names = names.iter().filter(|name| !name.is_empty()).take(MAX_EACH);
        let read = futures::future::join_all(names.map(|name| self.one(&api, namespace, name))).await;
        let (mut contents, mut missing) = (Vec::new(), Vec::new());
        for result in read {
            match result {
                Ok(content) => contents.push(content),
                Err(problem) => missing.push(problem),
            }
        }
        PullSecretResult { contents, missing: (!missing.is_empty()).then(|| missing.join("; ")) }
    }

    async fn one(&self, api: &Api<Secret>, namespace: &str, name: &str) -> Result<Vec<u8>, String> {
        let cell = self.cell((namespace.to_owned(), name.to_owned()));
        let content = cell.get_or_try_init(|| self.get(api, name)).await;
        content.cloned().map_err(|problem| format!("pull secret {name:?} {problem}"))
    }

    async fn get(&self, api: &Api<Secret>, name: &str) -> Result<Vec<u8>, String> {
        let error = |problem: &str| Err(problem.to_owned());
        let secret = match timeout(self.limit, api.get(name)).await {
            Ok(Ok(secret)) => secret,
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => {
                return error("not found in the namespace of the pod: create it");
            }
            Ok(Err(kube::Error::Api(status))) if status.code == 403 => {
                return error(
                    "is not readable: add it to entrypoints.pullSecrets in the values of the chart",
                );
            }
            Ok(Err(source)) => return Err(format!("could not be read: {source}")),
            Err(_) => return error("could not be read: the request to the API server timed out"),
        };
        let mut data = secret.data.unwrap_or_default();
        if let Some(config) = data.remove(CONFIG) {
            return Ok(config.0);
        }
        let legacy = data.remove(LEGACY).ok_or_else(|| {
            format!("is invalid: must have the type kubernetes.io/dockerconfigjson and the key {CONFIG}")
        })?;
        Ok([b"{\"auths\":", legacy.0.as_slice(), b"}"].concat())
    }

    /// The entry of a Secret in the cache.
    fn cell(&self, name: Name) -> Arc<OnceCell<Vec<u8>>> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |(since, _): &CacheEntry| since.elapsed() < CACHED;
        if let Some((_, cell)) = cache.get(&name).filter(|entry| fresh(entry)) {
            return Arc::clone(cell);
        }
        cache.retain(|_, entry| fresh(entry));
        if cache.len() >= MAX_CACHED {
            let oldest = cache.iter().min_by_key(|(_, (since, _))| *since).map(|(name, _)| name.clone());
            oldest.and_then(|oldest| cache.remove(&oldest));
        }
        let cell = Arc::default();
        cache.insert(name, (Instant::now(), Arc::clone(&cell)));
        cell
    }
}

impl std::fmt::Debug for PullSecretLookup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PullSecrets").field("namespaces", &self.namespaces).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::body::Body;
    use axum::http::{Request, Response};
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use kube::client;
    use serde_json::{Value, json};

    use super::*;

    /// An API server with Secrets in any namespace, which counts requests.
    fn api(secrets: &[(&'static str, Value)]) -> (Client, Arc<AtomicUsize>) {
        let requests = Arc::new(AtomicUsize::new(0));
        let (secrets, count) = (secrets.to_vec(), Arc::clone(&requests));
        let service = tower::service_fn(move |request: Request<client::Body>| {
            count.fetch_add(1, Ordering::Relaxed);
            let name = request.uri().path().rsplit('/').next().unwrap().to_owned();
            let status = |code| json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "", "message": "", "code": code});
            let (code, response) = match secrets.iter().find(|(known, _)| *known == name) {
                Some((_, Value::Null)) => (403, status(403)),
                Some((_, data)) => (200, json!({"metadata": {"name": name}, "data": data})),
                None => (404, status(404)),
            };
            let response = Response::builder().status(code).body(Body::from(response.to_string()));
            async move { Ok::<_, Infallible>(response.unwrap()) }
        });
        (Client::new(service, "default"), requests)
    }

    fn data(key: &str, content: &str) -> Value {
        json!({key: STANDARD.encode(content)})
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[tokio::test]
    async fn readable_secrets_are_used_and_others_reported() {
        let auths = r#"{"auths":{"a.example":{"username":"u","password":"hunter2"}}}"#;
        let (client, _) = api(&[
            ("new", data(".dockerconfigjson", auths)),
            ("old", data(".dockercfg", r#"{"a.example":{"username":"u","password":"hunter2"}}"#)),
            ("other", data("password", "hunter2")),
            ("forbidden", Value::Null),
        ]);
        let secrets = PullSecretLookup::new(client, ["team".to_owned()], Duration::from_secs(5));
        let read = secrets.read("team", &names(&["new", "gone", "old", "other", "forbidden", ""])).await;
        assert_eq!(read.contents, [auths.as_bytes(), auths.as_bytes()]);
        let missing = read.missing.unwrap();
        let expected = [
            "pull secret \"gone\" not found in the namespace of the pod: create it",
            "pull secret \"other\" is invalid: must have the type kubernetes.io/dockerconfigjson and the key .dockerconfigjson",
            "pull secret \"forbidden\" is not readable: add it to entrypoints.pullSecrets in the values of the chart",
        ];
        assert_eq!(missing, expected.join("; "));
        assert!(!format!("{missing} {secrets:?}").contains("hunter2"));
    }

    #[tokio::test]
    async fn secrets_of_other_namespaces_are_not_read() {
        let (client, requests) = api(&[("new", data(".dockerconfigjson", "{}"))]);
        let secrets = PullSecretLookup::new(client, ["team".to_owned()], Duration::from_secs(5));
        let read = secrets.read("other", &names(&["new"])).await;
        assert!(read.contents.is_empty());
        assert!(read.missing.unwrap().contains("pull secrets in namespace \"other\""));
        assert_eq!(requests.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_pods_reads_a_secret_once() {
        let (client, requests) = api(&[("new", data(".dockerconfigjson", "{}"))]);
        let secrets = PullSecretLookup::new(client, ["team".to_owned()], Duration::from_secs(5));
        let secret = names(&["new"]);
        let all = futures::future::join_all((0..50).map(|_| secrets.read("team", &secret))).await;
        assert!(all.iter().all(|read| read.contents == [b"{}"]));
        assert_eq!(requests.load(Ordering::Relaxed), 1);
        tokio::time::advance(CACHED).await;
        secrets.read("team", &secret).await;
        assert_eq!(requests.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_secret_that_is_created_later_is_found() {
        let (client, requests) = api(&[]);
        let secrets = PullSecretLookup::new(client, ["team".to_owned()], Duration::from_secs(5));
        for _ in 0..2 {
            assert!(secrets.read("team", &names(&["new"])).await.missing.is_some());
        }
        assert_eq!(requests.load(Ordering::Relaxed), 2, "a missing Secret is not cached");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_hangs_times_out() {
        let service = tower::service_fn(|_: Request<client::Body>| {
            std::future::pending::<Result<Response<Body>, Infallible>>()
        });
        let client = Client::new(service, "default");
        let secrets = PullSecretLookup::new(client, ["team".to_owned()], Duration::from_secs(1));
        let read = secrets.read("team", &names(&["new"])).await;
        assert_eq!(
            read.missing.unwrap(),
            "pull secret \"new\" could not be read: the request to the API server timed out"
        );
    }
}
