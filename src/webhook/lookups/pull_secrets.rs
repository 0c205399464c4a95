//! What a pod's pull secrets hold, by the kubelet's rules: each that can be read counts, and one that is missing does not
//! stand in the others' way.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout};

/// How long a Secret is kept: a burst of pods reads it once, and a changed password counts soon.
const KEPT: Duration = Duration::from_mins(1);
/// How many are kept.
const MAX_KEPT: usize = 256;
/// How many of a pod's are read: more than one is rare.
const MAX_EACH: usize = 16;

/// The key of a Secret of type `kubernetes.io/dockerconfigjson`.
const CONFIG: &str = ".dockerconfigjson";
/// The key of the older type `kubernetes.io/dockercfg`: what stands under `auths` in the other.
const LEGACY: &str = ".dockercfg";

/// Reads pull secrets where the webhook was given the right to.
pub struct PullSecretLookup {
    client: Option<Client>,
    namespaces: BTreeSet<String>,
    limit: Duration,
    kept: Mutex<HashMap<Name, Kept>>,
}

/// A Secret's namespace and name.
type Name = (String, String);
/// Since when a Secret is kept, and what it holds once it is read: whoever asks meanwhile waits for the same answer.
type Kept = (Instant, Arc<OnceCell<Vec<u8>>>);

/// What a pod's pull secrets came to.
#[derive(Default)]
pub(super) struct PullSecretResult {
    /// Of each that could be read, in the form of `.dockerconfigjson`.
    pub(super) contents: Vec<Vec<u8>>,
    /// Why others could not be, and what to do.
    pub(super) missing: Option<String>,
}

impl PullSecretLookup {
    /// Reads those of these namespaces, each within `limit`.
    #[must_use]
    pub fn new(client: Client, namespaces: impl IntoIterator<Item = String>, limit: Duration) -> Self {
        let namespaces = namespaces.into_iter().collect();
        Self { client: Some(client), namespaces, limit, kept: Mutex::default() }
    }

    /// Reads none: there is no cluster.
    #[must_use]
    pub fn none() -> Self {
        Self { client: None, namespaces: BTreeSet::new(), limit: Duration::ZERO, kept: Mutex::default() }
    }

    /// What the Secrets of these names hold.
    pub(super) async fn read(&self, namespace: &str, names: &[String]) -> PullSecretResult {
        let Some(client) = &self.client else { return PullSecretResult::default() };
        if names.is_empty() {
            return PullSecretResult::default();
        }
        if !self.namespaces.contains(namespace) {
            let missing = format!(
                "the webhook reads no pull secrets in the namespace {namespace}: name it under entrypoints.pullSecrets in \
                 the chart's values"
            );
            return PullSecretResult { missing: Some(missing), ..PullSecretResult::default() };
        }
        let api = Api::namespaced(client.clone(), namespace);
        let names = names.iter().filter(|name| !name.is_empty()).take(MAX_EACH);
        let read = futures::future::join_all(names.map(|name| self.one(&api, namespace, name))).await;
        let (mut contents, mut missing) = (Vec::new(), Vec::new());
        for one in read {
            match one {
                Ok(content) => contents.push(content),
                Err(why) => missing.push(why),
            }
        }
        PullSecretResult { contents, missing: (!missing.is_empty()).then(|| missing.join("; ")) }
    }

    async fn one(&self, api: &Api<Secret>, namespace: &str, name: &str) -> Result<Vec<u8>, String> {
        let cell = self.cell((namespace.to_owned(), name.to_owned()));
        let content = cell.get_or_try_init(|| self.get(api, name)).await;
        content.cloned().map_err(|why| format!("pull secret {name} {why}"))
    }

    async fn get(&self, api: &Api<Secret>, name: &str) -> Result<Vec<u8>, String> {
        let told = |what: &str| Err(what.to_owned());
        let secret = match timeout(self.limit, api.get(name)).await {
            Ok(Ok(secret)) => secret,
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => {
                return told("does not exist in the pod's namespace: create it");
            }
            Ok(Err(kube::Error::Api(status))) if status.code == 403 => {
                return told("may not be read: name it under entrypoints.pullSecrets in the chart's values");
            }
            Ok(Err(error)) => return Err(format!("could not be read: {error}")),
            Err(_) => return told("could not be read in time from the API server"),
        };
        let mut data = secret.data.unwrap_or_default();
        if let Some(config) = data.remove(CONFIG) {
            return Ok(config.0);
        }
        let legacy = data.remove(LEGACY).ok_or_else(|| {
            format!("is not of the type kubernetes.io/dockerconfigjson: it has no key {CONFIG}")
        })?;
        Ok([b"{\"auths\":", legacy.0.as_slice(), b"}"].concat())
    }

    /// Where the answer is, or will be.
    fn cell(&self, name: Name) -> Arc<OnceCell<Vec<u8>>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |(since, _): &Kept| since.elapsed() < KEPT;
        if let Some((_, cell)) = kept.get(&name).filter(|kept| fresh(kept)) {
            return Arc::clone(cell);
        }
        kept.retain(|_, kept| fresh(kept));
        if kept.len() >= MAX_KEPT {
            let oldest = kept.iter().min_by_key(|(_, (since, _))| *since).map(|(name, _)| name.clone());
            oldest.and_then(|oldest| kept.remove(&oldest));
        }
        let cell = Arc::default();
        kept.insert(name, (Instant::now(), Arc::clone(&cell)));
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

    /// An API server that has Secrets, of any namespace, and counts how often it is asked.
    fn api(secrets: &[(&'static str, Value)]) -> (Client, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let (secrets, count) = (secrets.to_vec(), Arc::clone(&asked));
        let service = tower::service_fn(move |request: Request<client::Body>| {
            count.fetch_add(1, Ordering::Relaxed);
            let name = request.uri().path().rsplit('/').next().unwrap().to_owned();
            let status = |code| json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "", "message": "", "code": code});
            let (code, answer) = match secrets.iter().find(|(known, _)| *known == name) {
                Some((_, Value::Null)) => (403, status(403)),
                Some((_, data)) => (200, json!({"metadata": {"name": name}, "data": data})),
                None => (404, status(404)),
            };
            let answer = Response::builder().status(code).body(Body::from(answer.to_string()));
            async move { Ok::<_, Infallible>(answer.unwrap()) }
        });
        (Client::new(service, "default"), asked)
    }

    fn data(key: &str, content: &str) -> Value {
        json!({key: STANDARD.encode(content)})
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[tokio::test]
    async fn each_that_can_be_read_counts_and_the_rest_is_told() {
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
            "pull secret gone does not exist in the pod's namespace: create it",
            "pull secret other is not of the type kubernetes.io/dockerconfigjson: it has no key .dockerconfigjson",
            "pull secret forbidden may not be read: name it under entrypoints.pullSecrets in the chart's values",
        ];
        assert_eq!(missing, expected.join("; "));
        assert!(!format!("{missing} {secrets:?}").contains("hunter2"));
    }

    #[tokio::test]
    async fn other_namespaces_are_not_looked_into() {
        let (client, asked) = api(&[("new", data(".dockerconfigjson", "{}"))]);
        let secrets = PullSecretLookup::new(client, ["team".to_owned()], Duration::from_secs(5));
        let read = secrets.read("other", &names(&["new"])).await;
        assert!(read.contents.is_empty());
        assert!(read.missing.unwrap().contains("no pull secrets in the namespace other: name it under"));
        assert_eq!(asked.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_pods_reads_a_secret_once_and_later_ones_read_it_anew() {
        let (client, asked) = api(&[("new", data(".dockerconfigjson", "{}"))]);
        let secrets = PullSecretLookup::new(client, ["team".to_owned()], Duration::from_secs(5));
        let wanted = names(&["new"]);
        let all = futures::future::join_all((0..50).map(|_| secrets.read("team", &wanted))).await;
        assert!(all.iter().all(|read| read.contents == [b"{}"]));
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        tokio::time::advance(KEPT).await;
        secrets.read("team", &wanted).await;
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_secret_that_comes_later_is_found() {
        let (client, asked) = api(&[]);
        let secrets = PullSecretLookup::new(client, ["team".to_owned()], Duration::from_secs(5));
        for _ in 0..2 {
            assert!(secrets.read("team", &names(&["new"])).await.missing.is_some());
        }
        assert_eq!(asked.load(Ordering::Relaxed), 2, "that it is not there is not kept");
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_hangs_is_not_waited_for() {
        let service = tower::service_fn(|_: Request<client::Body>| {
            std::future::pending::<Result<Response<Body>, Infallible>>()
        });
        let client = Client::new(service, "default");
        let secrets = PullSecretLookup::new(client, ["team".to_owned()], Duration::from_secs(1));
        let read = secrets.read("team", &names(&["new"])).await;
        assert_eq!(read.missing.unwrap(), "pull secret new could not be read in time from the API server");
    }
}
