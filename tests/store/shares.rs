//! Limits on concurrent requests: a caller cannot block others.

use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::Request;
use bootlace_core::input::AwaitedOutput;
use bootlace_core::output::ObjectKind;
use bootlace_test_api_server::ApiServer;
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use crate::requests::{body, pod};
use crate::support::service;

/// A store, and a cluster with pods that declare an output.
fn store(pods: usize) -> (ApiServer, Router) {
    let cluster = ApiServer::new();
    for number in 0..pods {
        pod(&cluster, &format!("p{number}"), &json!([{"key": "A", "kind": "Secret", "container": "main"}]));
    }
    let service = service(&cluster);
    (cluster, service.router())
}

async fn put(router: &Router, token: &str, body: Body) -> u16 {
    let request = Request::put("/v1/pipes/A").header("authorization", format!("Bearer {token}"));
    router.clone().oneshot(request.body(body).unwrap()).await.unwrap().status().as_u16()
}

fn good() -> Body {
    Body::from(body("main", "Secret", "a", b"x").to_string())
}

/// A body that starts and never continues.
fn stalled() -> Body {
    let start = stream::iter([Ok::<_, std::io::Error>(Bytes::from("{\"container\""))]);
    Body::from_stream(start.chain(stream::pending()))
}

#[tokio::test]
async fn stalled_bodies_do_not_block_others() {
    let (_cluster, router) = store(20);
    let mut stalls = JoinSet::new();
    // The requests of one pod, and then of as many pods of the namespace as there are slots.
    for pod in std::iter::repeat_n(0, 100).chain(1..10) {
        let router = router.clone();
        stalls.spawn(async move { put(&router, &format!("p{pod}"), stalled()).await });
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let asked = Instant::now();
    assert_eq!(put(&router, "p19", good()).await, 200);
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    // Most requests of the first pod were refused at once, and can be retried.
    let mut sent_away = 0;
    while let Some(Ok(status)) = stalls.try_join_next() {
        assert_eq!(status, 429);
        sent_away += 1;
    }
    assert_eq!(sent_away, 96);
}

#[tokio::test]
async fn each_namespace_has_its_own_limit() {
    let (cluster, router) = store(20);
    let theirs = json!([{"key": "A", "kind": "Secret", "container": "main"}]);
    crate::requests::pod_in(&cluster, "other", "p0", &theirs);
    let mut stalls = JoinSet::new();
    for pod in 0..20 {
        let router = router.clone();
        stalls.spawn(async move { put(&router, &format!("p{pod}"), stalled()).await });
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(put(&router, "p19", good()).await, 429, "the namespace has 16 requests on the way");
    assert_eq!(put(&router, "other/p0", good()).await, 200);
}

/// The largest Pipe that a client can write: with the maximum number of file names, each of the maximum
/// length.
pub(crate) fn large_pipe(number: usize, run: &str, annotation: usize) -> Value {
    let files: Vec<_> = (0..100).map(|file| format!("{file:0253}")).collect();
    json!({
        "apiVersion": "bootlace.dev/v1alpha1", "kind": "Pipe",
        "metadata": {
            "name": format!("large-{number:04}"), "labels": {"bootlace.dev/pipe-run": run},
            "annotations": {"example.com/large": "x".repeat(annotation)},
        },
        "spec": {
            "key": format!("K{number}"), "kind": "Secret", "object": "o", "size": 1, "hash": "", "files": files,
            "producer": {
                "scheduler": "airflow", "workflow": "etl", "run": "r1", "task": "load", "pod": "p", "podUid": "u",
                "container": "main",
            },
        },
        "status": {"stored": "2026-11-21T10:00:00.000000Z"},
    })
}

#[tokio::test]
async fn the_size_of_a_page_of_large_pipes_is_limited() {
    let from = json!({"scheduler": "airflow", "workflow": "etl", "run": "r1", "task": "load"});
    let awaits = AwaitedOutput::new("Last", ObjectKind::Secret, serde_json::from_value(from).unwrap(), 60);
    let run = bootlace_core::output::run_label(&awaits.from);
    // A hundred of the first are more than the limit of a page, and so are ten of the second.
    for (pipes, annotation) in [(120, 0), (12, 240 * 1024)] {
        let cluster = ApiServer::new();
        crate::awaited::waiting(&cluster, "waits", &awaits);
        for number in 0..pipes {
            let path = format!("/apis/bootlace.dev/v1alpha1/namespaces/etl/pipes/large-{number:04}");
            cluster.put(&path, large_pipe(number, &run, annotation));
        }
        let (status, answer) = crate::awaited::ask(&cluster, "waits", &awaits.object).await;
        assert_eq!((status, &answer["state"]), (200, &json!("NotYet")), "{answer}");
        assert_eq!(answer["soFar"].as_array().unwrap().len(), 10);
        let largest = cluster.largest_list();
        assert!(largest <= 2 * 1024 * 1024 + 64 * 1024, "{largest} bytes of one answer were read");
    }
}

#[tokio::test]
async fn many_waiting_callers_have_few_pages_in_memory() {
    let from = json!({"scheduler": "airflow", "workflow": "etl", "run": "r1", "task": "load"});
    let awaits = AwaitedOutput::new("Last", ObjectKind::Secret, serde_json::from_value(from).unwrap(), 60);
    let run = bootlace_core::output::run_label(&awaits.from);
    let cluster = ApiServer::new();
    for number in 0..8 {
        let path = format!("/apis/bootlace.dev/v1alpha1/namespaces/etl/pipes/large-{number:04}");
        cluster.put(&path, large_pipe(number, &run, 0));
    }
    let router = service(&cluster).router();
    let mut callers = JoinSet::new();
    for pod in 0..8 {
        let name = format!("waits-{pod}");
        crate::awaited::waiting(&cluster, &name, &awaits);
        let request = Request::get(format!("/v1/awaited/{}", awaits.object));
        let request = request.header("authorization", format!("Bearer {name}")).body(Body::empty()).unwrap();
        let router = router.clone();
        callers.spawn(async move { router.oneshot(request).await.unwrap().status().as_u16() });
    }
    assert_eq!(callers.join_all().await, [200; 8]);
    let most = cluster.concurrent_lists();
    assert!((1..=2).contains(&most), "{most} pages at once");
}
