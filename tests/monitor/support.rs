//! Pods, and replicas of the monitor with the clock of the test.

use std::sync::Arc;
use std::time::Duration;

use bootlace::monitor;
use bootlace::monitor::metrics::MonitorMetrics;
use bootlace::monitor::run::lead;
use bootlace::server::api_client::{API_REQUEST_TIMEOUT, TimeoutLayer};
use bootlace::server::leadership::{Election, LEASE_DURATION};
use bootlace::server::lease::LeaderLease;
use bootlace::server::liveness::Liveness;
use bootlace_test_api_server::ApiServer;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::client::ClientBuilder;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub(crate) const NODE: &str = "/api/v1/nodes/n1";
/// Longer than any limit of a test.
pub(crate) const LONG: Duration = Duration::from_mins(30);

pub(crate) fn time(of_day: &str) -> Timestamp {
    format!("2026-11-21T{of_day}Z").parse().unwrap()
}

pub(crate) fn path(name: &str) -> String {
    format!("/api/v1/namespaces/etl/pods/{name}")
}

/// A pod that was created at 10:00:00, with these settings of its profile. It has a task, an own sidecar
/// `proxy`, and waits for a node.
pub(crate) fn pod(settings: &Value) -> Value {
    let mut injected = json!({"profile": "etl", "generation": 1, "version": "0.1.0", "containers": ["main"]});
    injected.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    let label = if settings["onSidecarFailure"] == "Fail" { "sidecars" } else { "launch" };
    json!({
        "metadata": {
            "name": "load", "namespace": "etl", "uid": "u-1", "creationTimestamp": "2026-11-21T10:00:00Z",
            "labels": {"bootlace.dev/monitor": label},
            "annotations": {"bootlace.dev/injected": injected.to_string()},
        },
        "spec": {
            "initContainers": [
                {"name": "proxy", "restartPolicy": "Always"}, {"name": "bootlace-wait"}, {"name": "bootlace-boot"},
            ],
            "containers": [{"name": "main"}, {"name": "logs"}],
        },
        "status": {"phase": "Pending"},
    })
}

/// The condition `PodScheduled`.
pub(crate) fn scheduled(status: &str, reason: &str, message: &str, since: Option<&str>) -> Value {
    let since = since.map(|since| format!("2026-11-21T{since}Z"));
    json!({
        "type": "PodScheduled", "status": status, "reason": reason, "message": message, "lastTransitionTime": since,
    })
}

/// Gives the pod a node at a time of the day. All init containers but those in `states` have succeeded.
pub(crate) fn on_node(mut pod: Value, since: &str, states: &Value) -> Value {
    pod["spec"]["nodeName"] = json!("n1");
    pod["status"]["conditions"] = json!([scheduled("True", "", "", Some(since))]);
    let container = |name: &str, default: Value| {
        let state = states.get(name).cloned().unwrap_or(default);
        let mut object = json!({
            "name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 0, "started": false,
        });
        object.as_object_mut().unwrap().extend(state.as_object().unwrap().clone());
        object
    };
    let done = || json!({"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}});
    let waiting = || json!({"state": {"waiting": {"reason": "PodInitializing"}}});
    pod["status"]["initContainerStatuses"] = json!([
        container("proxy", json!({"state": {"running": {}}, "started": true})),
        container("bootlace-wait", done()),
        container("bootlace-boot", done()),
    ]);
    pod["status"]["containerStatuses"] = json!([container("main", waiting()), container("logs", waiting())]);
    pod
}

pub(crate) fn waiting(reason: &str, message: &str) -> Value {
    json!({"state": {"waiting": {"reason": reason, "message": message}}})
}

pub(crate) fn running() -> Value {
    json!({"state": {"running": {"startedAt": "2026-11-21T10:00:10Z"}}, "started": true})
}

pub(crate) fn parsed(pod: &Value) -> Pod {
    serde_json::from_value(pod.clone()).unwrap()
}

/// Creates or changes the pod `name`.
pub(crate) fn put(cluster: &ApiServer, name: &str, mut pod: Value) {
    pod["metadata"]["name"] = json!(name);
    cluster.put(&path(name), pod);
}

/// A cluster with a node that reports.
pub(crate) fn cluster() -> ApiServer {
    let cluster = ApiServer::new();
    set_node(&cluster, "True");
    cluster
}

pub(crate) fn set_node(cluster: &ApiServer, ready: &str) {
    let ready = json!({"type": "Ready", "status": ready, "reason": "KubeletReady"});
    cluster.put(NODE, json!({"metadata": {"name": "n1"}, "status": {"conditions": [ready]}}));
}

/// A replica of the monitor. Its clock shows 10:00:00 when the test starts.
pub(crate) struct Replica {
    pub(crate) metrics: Arc<MonitorMetrics>,
    pub(crate) liveness: Arc<Liveness>,
    end: Option<oneshot::Sender<()>>,
    election: JoinHandle<()>,
    controllers: JoinHandle<()>,
}

impl Replica {
    pub(crate) fn start(cluster: &ApiServer, name: &str, test_start: Instant) -> Self {
        let client =
            ClientBuilder::new(cluster.service(), "default").with_layer(&TimeoutLayer(API_REQUEST_TIMEOUT));
        Self::start_with(client.build(), name, test_start)
    }

    pub(crate) fn start_with(client: Client, name: &str, test_start: Instant) -> Self {
        let lease = LeaderLease::new(
            client.clone(),
            "bootlace",
            "monitor".to_owned(),
            name.to_owned(),
            LEASE_DURATION,
        );
        let (metrics, liveness) = <(Arc<MonitorMetrics>, Arc<Liveness>)>::default();
        let (election, leadership) = Election::new(lease, liveness.expect("the Lease"));
        let (end, ended) = oneshot::channel::<()>();
        let election = tokio::spawn(election.run(async move { drop(ended.await) }));
        let replica = monitor::replica::Replica {
            client,
            metrics: Arc::clone(&metrics),
            leadership,
            settle: Duration::from_secs(30),
            instance: name.to_owned(),
            clock: Arc::new(move || time("10:00:00").checked_add(test_start.elapsed()).unwrap()),
        };
        let controllers = tokio::spawn(lead(replica, "bootlace".to_owned(), Arc::clone(&liveness)));
        Self { metrics, liveness, end: Some(end), election, controllers }
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(&self) {
        self.controllers.abort();
        self.election.abort();
    }

    /// Ends it as SIGTERM does.
    pub(crate) async fn stop(mut self) {
        self.controllers.abort();
        self.end.take().unwrap().send(()).unwrap();
        (&mut self.election).await.unwrap();
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The phase of a pod.
pub(crate) fn phase(cluster: &ApiServer, name: &str) -> String {
    cluster.get(&path(name)).unwrap()["status"]["phase"].as_str().unwrap().to_owned()
}

/// Waits until `condition` is true, and returns after which time of the clock of the test.
pub(crate) async fn until(problem: &str, condition: impl Fn() -> bool) -> Duration {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LONG, "timed out: {problem}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    start.elapsed()
}
