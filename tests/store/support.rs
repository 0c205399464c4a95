//! An output of a pod, and the invariants of the cluster.

use std::sync::Arc;

use bootlace::store::api::StoreService;
use bootlace::store::api_error::ApiError;
use bootlace::store::metrics::StoreMetrics;
use bootlace::store::pipe::{PipeWriter, objects};
use bootlace::store::progress::ProgressWriter;
use bootlace::store::signing::VerificationKeys;
use bootlace_core::output::{ObjectData, ObjectKind, Pipe, Quota, SidecarConfig};
use bootlace_core::signature::{self, PodName, SigningKeys, Specs};
use bootlace_test_api_server::ApiServer;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use serde_json::{Value, json};

pub(crate) const NAMESPACE: &str = "etl";

/// An attempt of a task to store an output.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) task: &'static str,
    pub(crate) number: &'static str,
    pub(crate) key: &'static str,
    pub(crate) content: &'static str,
    pub(crate) awaited: bool,
    pub(crate) quota: Quota,
}

impl Default for Attempt {
    fn default() -> Self {
        let (task, number, key, content) = ("load", "1", "Cert", "x");
        Self { task, number, key, content, awaited: false, quota: Quota::default() }
    }
}

impl Attempt {
    pub(crate) fn files(&self) -> ObjectData {
        [("file".to_owned(), ByteString(self.content.into()))].into()
    }

    /// The Pipe that the store creates.
    pub(crate) fn pipe(&self, now: &str) -> Pipe {
        let config: SidecarConfig<'_> = serde_json::from_value(json!({
            "task": {"scheduler": "airflow", "workflow": "etl", "run": "r1", "task": self.task, "attempt": self.number},
            "profile": {"name": "default", "generation": 1}, "store": {"url": "", "ca": ""},
            "outputs": [{"key": self.key, "kind": "Secret", "container": "base", "awaited": self.awaited}],
            "timeToLiveSeconds": 3600, "deadlineSeconds": 60, "graceSeconds": 20,
        }))
        .unwrap();
        let name = format!("{}-{}", self.task, self.number);
        let pod: Pod =
            serde_json::from_value(json!({"metadata": {"name": name, "uid": format!("uid-{name}")}}))
                .unwrap();
        assert_eq!(config.outputs[0].kind, ObjectKind::Secret);
        objects::pipe(&pod, &config, &config.outputs[0], &self.files(), 8, time(now))
    }

    /// Stores it at a time of the day.
    pub(crate) async fn store(&self, client: Client, now: &str) -> Result<bool, ApiError> {
        PipeWriter::new(client).write(NAMESPACE, &self.pipe(now), self.files(), self.quota, time(now)).await
    }

    /// Stores it with retries, as the sidecar does, while the garbage collector runs.
    pub(crate) async fn store_with_retries(&self, cluster: &ApiServer, now: &str) -> bool {
        for _ in 0..5 {
            match self.store(cluster.client(), now).await {
                Ok(created) => return created,
                Err(denial) => assert!(!denial.is_final(), "{denial}"),
            }
            consistent(cluster);
            cluster.collect_garbage();
        }
        panic!("it is not stored")
    }
}

/// The key of the webhook and the store, which is older than all pods here.
pub(crate) fn keys() -> SigningKeys {
    let data = [("key-1700000000", vec![7; 32]), ("since", b"1700000000".to_vec())];
    SigningKeys::read(data, 1_700_000_000).unwrap()
}

pub(crate) fn service(cluster: &ApiServer) -> Arc<StoreService> {
    let (metrics, keys) = (Arc::<StoreMetrics>::default(), VerificationKeys::with(keys()));
    StoreService::new(cluster.client(), metrics, keys, ProgressWriter::default())
}

/// A pod with these init containers, as the webhook admits it to `namespace`.
pub(crate) fn signed(namespace: &str, name: &str, init: &Value) -> Value {
    let mut init = init.as_array().unwrap().clone();
    init.push(json!({"name": "bootlace-boot", "env": [{"name": "BOOTLACE_SPEC", "value": "{}"}]}));
    let mut pod = json!({
        "metadata": {"name": name, "annotations": {"bootlace.dev/injected": "{}"}},
        "spec": {"containers": [{"name": "main"}], "initContainers": init},
    });
    sign(namespace, name, &mut pod);
    pod
}

/// Signs a pod as it is.
pub(crate) fn sign(namespace: &str, name: &str, pod: &mut Value) {
    let init = pod["spec"]["initContainers"].as_array_mut().unwrap();
    let specs = Specs::of(|container, variable| {
        let container = init.iter().find(|found| found["name"] == container)?;
        container["env"].as_array()?.iter().find(|found| found["name"] == variable)?["value"].as_str()
    });
    let signature = signature::sign(&keys(), namespace, PodName::Name(name), &specs);
    let boot = init.iter_mut().find(|found| found["name"] == "bootlace-boot").unwrap();
    let env = boot["env"].as_array_mut().unwrap();
    env.push(json!({"name": "BOOTLACE_SIGNATURE", "value": signature}));
}

pub(crate) fn time(of_day: &str) -> Timestamp {
    format!("2026-11-21T{of_day}Z").parse().unwrap()
}

/// If a Pipe is stored, its object exists and is owned by the Pipe. The Pipe is ready then, and not before.
pub(crate) fn consistent(cluster: &ApiServer) {
    let secrets = cluster.all("secrets");
    for pipe in cluster.all("pipes") {
        let ready = pipe["status"]["conditions"][0]["type"] == "Ready"
            && pipe["status"]["conditions"][0]["status"] == "True";
        assert_eq!(ready, !pipe["status"]["stored"].is_null(), "{pipe}");
    }
    for pipe in cluster.all("pipes").iter().filter(|pipe| !pipe["status"]["stored"].is_null()) {
        let mut names = vec![&pipe["spec"]["object"]];
        if pipe["status"]["awaited"] == "Stored" {
            names.push(&pipe["spec"]["awaited"]);
        }
        for name in names {
            let of_name = |secret: &&Value| secret["metadata"]["name"] == *name;
            let secret = secrets.iter().find(of_name).expect("a stored Pipe has its objects");
            assert_eq!(secret["metadata"]["ownerReferences"][0]["uid"], pipe["metadata"]["uid"]);
        }
    }
}

/// One output is stored, with both names if it is declared as awaited, and nothing else exists.
pub(crate) fn stored_once(cluster: &ApiServer) {
    consistent(cluster);
    let pipe = match &cluster.all("pipes")[..] {
        [pipe] => pipe.clone(),
        pipes => panic!("{} Pipes", pipes.len()),
    };
    assert!(!pipe["status"]["stored"].is_null());
    let awaited = !pipe["spec"]["awaited"].is_null();
    assert_eq!(pipe["status"]["awaited"] == "Stored", awaited, "{pipe}");
    assert_eq!(cluster.all("secrets").len(), 1 + usize::from(awaited));
}
