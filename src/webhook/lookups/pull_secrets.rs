//! Reads the pull secrets of a pod by the rules of the kubelet: a secret that is missing or cannot be read is
//! ignored.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use parking_lot::Mutex;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::registry::credentials::KEY as CONFIG;
use crate::server::ttl_cache::{Ttl, TtlCache};

/// How long a Secret is cached. A burst of pods reads it once, and a changed password is used soon.
const CACHED: Duration = Duration::from_mins(1);
/// The maximum number of cached Secrets.
const MAX_CACHED: usize = 256;
/// The maximum number of Secrets of a pod. More than one is rare.
const MAX_EACH: usize = 16;

/// The key of the older type `kubernetes.io/dockercfg`, whose content is the value of `auths` in the other.
const LEGACY: &str = ".dockercfg";

/// Reads pull secrets in the namespaces for which the webhook has permission.
pub struct PullSecretLookup {
    client: Option<Client>,
    namespaces: BTreeSet<String>,
    limit: Duration,
    cache: Mutex<TtlCache<Name, SecretContent>>,
}

/// The namespace and the name of a Secret.
type Name = (String, String);
/// The content of a Secret when it is read. Concurrent lookups wait for the same content.
type SecretContent = Arc<OnceCell<Vec<u8>>>;

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
        Self { client: Some(client), namespaces, limit, cache: cache() }
    }

    /// A lookup without a cluster, which reads no Secret.
    #[must_use]
    pub fn none() -> Self {
        Self { client: None, namespaces: BTreeSet::new(), limit: Duration::ZERO, cache: cache() }
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
    fn cell(&self, name: Name) -> SecretContent {
        let mut cache = self.cache.lock();
        if let Some(cell) = cache.get(&name) {
            return Arc::clone(cell);
        }
        let cell = SecretContent::default();
        cache.insert(name, Arc::clone(&cell), Ttl::AtMost(CACHED));
        cell
    }
}

fn cache() -> Mutex<TtlCache<Name, SecretContent>> {
    Mutex::new(TtlCache::new(MAX_CACHED))
}

impl std::fmt::Debug for PullSecretLookup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PullSecrets").field("namespaces", &self.namespaces).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use bootlace_test_api_server::ApiServer;
    use serde_json::{Value, json};
    use tokio::time::Instant;

    use super::*;

    const SECRETS: &str = "/api/v1/namespaces/team/secrets";

    /// Creates a Secret with one key.
    fn add(api: &ApiServer, name: &str, key: &str, content: &str) {
        let data: Value = json!({key: STANDARD.encode(content)});
        api.put(&format!("{SECRETS}/{name}"), json!({"metadata": {"name": name}, "data": data}));
    }

    fn lookup(api: &ApiServer) -> PullSecretLookup {
        PullSecretLookup::new(api.client(), ["team".to_owned()], Duration::from_secs(5))
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[tokio::test]
    async fn readable_secrets_are_used_and_others_reported() {
        let api = ApiServer::new();
        let auths = r#"{"auths":{"a.example":{"username":"u","password":"hunter2"}}}"#;
        add(&api, "new", ".dockerconfigjson", auths);
        add(&api, "old", ".dockercfg", r#"{"a.example":{"username":"u","password":"hunter2"}}"#);
        add(&api, "other", "password", "hunter2");
        api.fail(&format!("{SECRETS}/forbidden"), 403);
        let secrets = lookup(&api);
        let read = secrets.read("team", &names(&["new", "gone", "old", "other", "forbidden", ""])).await;
        assert_eq!(read.contents, [auths.as_bytes(), auths.as_bytes()]);
        let missing = read.missing.unwrap();
        let problems: Vec<_> = missing.split("; ").collect();
        assert_eq!(problems.len(), 3, "{missing}");
        let details =
            [("\"gone\"", "pod"), ("\"other\"", CONFIG), ("\"forbidden\"", "entrypoints.pullSecrets")];
        for (problem, (name, detail)) in problems.iter().zip(details) {
            assert!(problem.contains(name) && problem.contains(detail), "{problem}");
        }
        assert!(!format!("{missing} {secrets:?}").contains("hunter2"));
    }

    #[tokio::test]
    async fn secrets_of_other_namespaces_are_not_read() {
        let api = ApiServer::new();
        add(&api, "new", ".dockerconfigjson", "{}");
        let read = lookup(&api).read("other", &names(&["new"])).await;
        assert!(read.contents.is_empty());
        assert!(read.missing.unwrap().contains("\"other\""));
        assert!(api.requests().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_pods_reads_a_secret_once() {
        let api = ApiServer::new();
        add(&api, "new", ".dockerconfigjson", "{}");
        let (secrets, secret) = (lookup(&api), names(&["new"]));
        let all = futures::future::join_all((0..50).map(|_| secrets.read("team", &secret))).await;
        assert!(all.iter().all(|read| read.contents == [b"{}"]));
        assert_eq!(api.requests().len(), 1);
        tokio::time::advance(CACHED).await;
        secrets.read("team", &secret).await;
        assert_eq!(api.requests().len(), 2);
    }

    #[tokio::test]
    async fn a_secret_that_is_created_later_is_found() {
        let api = ApiServer::new();
        let (secrets, secret) = (lookup(&api), names(&["new"]));
        for _ in 0..2 {
            assert!(secrets.read("team", &secret).await.missing.is_some());
        }
        assert_eq!(api.requests().len(), 2, "a missing Secret is not cached");
        add(&api, "new", ".dockerconfigjson", "{}");
        assert_eq!(secrets.read("team", &secret).await.contents, [b"{}"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_hangs_times_out() {
        let api = ApiServer::new();
        api.set_silent(true);
        let begun = Instant::now();
        let read = lookup(&api).read("team", &names(&["new"])).await;
        assert!(read.missing.unwrap().contains("\"new\""));
        assert_eq!(begun.elapsed().as_secs(), 5);
    }
}
