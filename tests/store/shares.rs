//! What callers can hold of the store: others are answered meanwhile.

use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::Request;
use bootlace_core::input::AwaitedOutput;
use bootlace_core::output::ObjectKind;
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use crate::cluster::Cluster;
use crate::requests::{body, pod};
use crate::support::service;

/// A store, and a cluster with pods that declare an output.
fn store(pods: usize) -> (Cluster, Router) {
    let cluster = Cluster::default();
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

/// A body that begins and never goes on, with its announced size or without.
fn stalled() -> Body {
    let start = stream::iter([Ok::<_, std::io::Error>(Bytes::from("{\"container\""))]);
    Body::from_stream(start.chain(stream::pending()))
}

#[tokio::test]
async fn a_pod_whose_bodies_stall_keeps_nobody_out() {
    let (_cluster, router) = store(20);
    let mut stalls = JoinSet::new();
    // One pod's, and then as many pods' of the namespace as there are turns for.
    for pod in std::iter::repeat_n(0, 100).chain(1..10) {
        let router = router.clone();
        stalls.spawn(async move { put(&router, &format!("p{pod}"), stalled()).await });
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let asked = Instant::now();
    assert_eq!(put(&router, "p19", good()).await, 200);
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    // Most of the first pod's were sent away at once, to ask again.
    let mut sent_away = 0;
    while let Some(Ok(status)) = stalls.try_join_next() {
        assert_eq!(status, 429);
        sent_away += 1;
    }
    assert_eq!(sent_away, 96);
}

#[tokio::test]
async fn a_namespace_has_its_share_and_another_namespace_its_own() {
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

/// A Pipe as whoever may write them can make it: with as many names of files as there can be, each as long as it can be.
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
async fn of_a_run_of_large_pipes_a_page_is_held_whose_bytes_are_bounded() {
    let from = json!({"scheduler": "airflow", "workflow": "etl", "run": "r1", "task": "load"});
    let awaits = AwaitedOutput::new("Last", ObjectKind::Secret, serde_json::from_value(from).unwrap(), 60);
    let run = bootlace_core::output::run_label(&awaits.from);
    // A hundred of the first are more than a page may hold, and so are ten of the second.
    for (pipes, annotation) in [(120, 0), (12, 240 * 1024)] {
        let cluster = Cluster::default();
        crate::awaited::waiting(&cluster, "waits", &awaits);
        for number in 0..pipes {
            let path = format!("/apis/bootlace.dev/v1alpha1/namespaces/etl/pipes/large-{number:04}");
            cluster.put(&path, large_pipe(number, &run, annotation));
        }
        let (status, answer) = crate::awaited::ask(&cluster, "waits", &awaits.object).await;
        assert_eq!((status, &answer["state"]), (200, &json!("NotYet")), "{answer}");
        assert_eq!(answer["soFar"].as_array().unwrap().len(), 10);
        let largest = cluster.largest_read();
        assert!(largest <= 2 * 1024 * 1024 + 64 * 1024, "{largest} bytes of one answer were read");
    }
}

#[tokio::test]
async fn many_callers_that_wait_hold_few_pages_at_once() {
    let from = json!({"scheduler": "airflow", "workflow": "etl", "run": "r1", "task": "load"});
    let awaits = AwaitedOutput::new("Last", ObjectKind::Secret, serde_json::from_value(from).unwrap(), 60);
    let run = bootlace_core::output::run_label(&awaits.from);
    let cluster = Cluster::default();
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
    let most = cluster.most_reads();
    assert!((1..=2).contains(&most), "{most} pages at once");
}
