//! Aborts that are left: whose hooks the monitor sends, how often, and what it writes about them. The server
//! of the hooks is real, so these tests use the real clock and make the passes themselves.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use bootlace::monitor::aborts::AbortMonitor;
use bootlace::monitor::metrics::MonitorMetrics;
use bootlace::monitor::replica::Replica;
use bootlace::server::api_client::{API_REQUEST_TIMEOUT, TimeoutLayer};
use bootlace::server::leadership::{Election, LEASE_DURATION};
use bootlace::server::lease::LeaderLease;
use bootlace::server::liveness::Liveness;
use bootlace_test_api_server::ApiServer;
use kube::client::ClientBuilder;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{path, time};

/// A server that cancels jobs.
#[derive(Clone, Default)]
struct Remote {
    cancelled: Arc<Mutex<Vec<String>>>,
    /// The status of its responses.
    status: Arc<Mutex<StatusCode>>,
}

impl Remote {
    async fn start() -> (Self, String) {
        let remote = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answer = async |State(remote): State<Self>, uri: Uri| {
            remote.cancelled.lock().push(uri.path().to_owned());
            *remote.status.lock()
        };
        let router = axum::Router::new().fallback(answer).with_state(remote.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (remote, url)
    }

    fn cancelled(&self) -> Vec<String> {
        self.cancelled.lock().clone()
    }
}

/// A cluster with a profile whose hook cancels the job of a task.
fn cluster(url: &str, client: &Value) -> ApiServer {
    let cluster = ApiServer::new();
    let http = json!({"url": url, "path": "jobs/{{ abort }}/{{ container }}", "client": client});
    let spec = json!({"hooks": {"abort": [{"name": "cancel", "http": http}]}});
    cluster.put(
        "/apis/bootlace.dev/v1alpha1/bootprofiles/spark",
        json!({"metadata": {"name": "spark", "generation": 4}, "spec": spec}),
    );
    cluster
}

/// The path of the Abort of a pod.
fn abort_path(pod: &str) -> String {
    format!("/apis/bootlace.dev/v1alpha1/namespaces/etl/aborts/{pod}.main")
}

/// The task of this pod has submitted a job. The pod can be gone.
fn put_abort(cluster: &ApiServer, pod: &str) {
    let uid = cluster.get(&path(pod)).map_or(json!("gone"), |pod| pod["metadata"]["uid"].clone());
    let spec = json!({
        "pod": pod, "podUid": uid, "container": "main", "start": 1, "text": format!("of-{pod}"),
        "profile": {"name": "spark", "generation": 4}, "task": {"task": "load"},
    });
    let metadata = json!({"name": format!("{pod}.main"), "namespace": "etl"});
    cluster.put(&abort_path(pod), json!({"metadata": metadata, "spec": spec}));
}

fn put_pod(cluster: &ApiServer, name: &str, deleted: Option<&str>, phase: &str) {
    let deleted = deleted.map(|at| format!("2026-11-21T{at}Z"));
    let metadata = json!({
        "name": name, "namespace": "etl", "deletionTimestamp": deleted,
    });
    cluster.put(
        &path(name),
        json!({"metadata": metadata, "spec": {"containers": []}, "status": {"phase": phase}}),
    );
}

/// A pass of a leader at a time of the day.
async fn pass(cluster: &ApiServer, at: &'static str) {
    let client = ClientBuilder::new(cluster.service(), "default")
        .with_layer(&TimeoutLayer(API_REQUEST_TIMEOUT))
        .build();
    let lease =
        LeaderLease::new(client.clone(), "bootlace", "monitor".to_owned(), "a".to_owned(), LEASE_DURATION);
    let liveness = Arc::<Liveness>::default();
    let (election, mut leadership) = Election::new(lease, liveness.expect("the Lease"));
    let election = tokio::spawn(election.run(std::future::pending()));
    leadership.gained().await;
    let metrics = Arc::<MonitorMetrics>::default();
    let replica = Replica {
        client,
        metrics,
        leadership,
        settle: Duration::ZERO,
        instance: "a".to_owned(),
        clock: Arc::new(move || time(at)),
    };
    AbortMonitor(replica).pass(&liveness.expect("aborts")).await.unwrap();
    election.abort();
}

/// The reasons and notes of all Events.
fn events(cluster: &ApiServer) -> Vec<String> {
    let text =
        |event: &Value| format!("{} {}", event["reason"].as_str().unwrap(), event["note"].as_str().unwrap());
    cluster.all("events").iter().map(text).collect()
}

#[tokio::test]
async fn the_jobs_of_pods_that_have_ended_are_cancelled_once() {
    let (remote, url) = Remote::start().await;
    let cluster = cluster(&url, &json!({}));
    put_pod(&cluster, "runs", None, "Running");
    put_pod(&cluster, "stops", Some("10:00:20"), "Running");
    put_pod(&cluster, "lost", Some("09:59:00"), "Running");
    put_pod(&cluster, "evicted", None, "Failed");
    for pod in ["runs", "stops", "lost", "gone", "evicted"] {
        put_abort(&cluster, pod);
    }
    for _ in 0..2 {
        pass(&cluster, "10:00:00").await;
    }
    let mut cancelled = remote.cancelled();
    cancelled.sort();
    assert_eq!(cancelled, ["/jobs/of-evicted/main", "/jobs/of-gone/main", "/jobs/of-lost/main"]);
    for pod in ["runs", "stops"] {
        assert!(cluster.get(&abort_path(pod)).is_some(), "{pod}");
    }
    assert_eq!(cluster.all("aborts").len(), 2);
    let told = events(&cluster);
    assert_eq!(told.len(), 3);
    assert_eq!(told[0], "Aborted container main: the pod has ended without it; abort hooks sent: cancel");
    // The sidecar had the time of its grace period, and did not use it.
    pass(&cluster, "10:01:00").await;
    assert!(remote.cancelled().contains(&"/jobs/of-stops/main".to_owned()));
}

#[tokio::test]
async fn a_server_that_does_not_respond_is_tried_again_for_an_hour() {
    let (remote, url) = Remote::start().await;
    *remote.status.lock() = StatusCode::SERVICE_UNAVAILABLE;
    let cluster = cluster(&url, &json!({}));
    let spec = json!({"hooks": {"abort": [{"name": "cancel", "timeoutSeconds": 1, "http": {"url": url}}]}});
    cluster.put(
        "/apis/bootlace.dev/v1alpha1/bootprofiles/spark",
        json!({"metadata": {"name": "spark", "generation": 5}, "spec": spec}),
    );
    put_abort(&cluster, "gone");
    pass(&cluster, "10:00:00").await;
    let status = cluster.get(&abort_path("gone")).unwrap()["status"].clone();
    assert_eq!((&status["phase"], &status["since"]), (&json!("Left"), &json!("2026-11-21T10:00:00Z")));
    assert!(status["message"].as_str().unwrap().contains("503"), "{status}");
    assert!(events(&cluster).is_empty());

    *remote.status.lock() = StatusCode::OK;
    pass(&cluster, "10:59:00").await;
    assert!(cluster.all("aborts").is_empty());
    assert!(events(&cluster)[0].starts_with("Aborted "));
}

#[tokio::test]
async fn what_the_monitor_cannot_send_stays_with_what_is_left_to_do() {
    let (remote, url) = Remote::start().await;
    let cluster = cluster(&url, &json!({"headersFromSecret": "login"}));
    put_abort(&cluster, "gone");
    for _ in 0..2 {
        pass(&cluster, "10:00:00").await;
    }
    let status = cluster.get(&abort_path("gone")).unwrap()["status"].clone();
    assert_eq!(status["phase"], "Failed");
    let message = status["message"].as_str().unwrap();
    assert!(message.contains("needs Secret login") && message.ends_with("[BL6404]"), "{message}");
    assert_eq!(events(&cluster), [format!("AbortFailed container main: {message}")]);
    assert!(remote.cancelled().is_empty());
}

#[tokio::test]
async fn a_profile_that_is_gone_leaves_the_abort() {
    let cluster = ApiServer::new();
    put_abort(&cluster, "gone");
    pass(&cluster, "10:00:00").await;
    let status = cluster.get(&abort_path("gone")).unwrap()["status"].clone();
    assert!(status["message"].as_str().unwrap().starts_with("BootProfile \"spark\""), "{status}");
    assert_eq!(status["phase"], "Failed");
}
