//! The removal of Pipes, and which replica does it.

use std::sync::Arc;
use std::time::Duration;

use bootlace::server::api_client::{API_REQUEST_TIMEOUT, TimeoutLayer};
use bootlace::server::lease::LeaderLease;
use bootlace::server::liveness::Liveness;
use bootlace::store::garbage_collector::Collector;
use bootlace::store::metrics::StoreMetrics;
use bootlace_test_api_server::ApiServer;
use kube::Client;
use kube::client::ClientBuilder;
use serde_json::json;

use crate::support::{NAMESPACE, time};

const EVERY: Duration = Duration::from_mins(1);

fn sweeper<'m>(cluster: &ApiServer, holder: &str, metrics: &'m StoreMetrics) -> Collector<'m> {
    sweeper_of(cluster.client(), holder, metrics)
}

fn sweeper_of<'m>(client: Client, holder: &str, metrics: &'m StoreMetrics) -> Collector<'m> {
    let lease = LeaderLease::new(
        client.clone(),
        "bootlace",
        "bootlace-store".to_owned(),
        holder.to_owned(),
        EVERY * 2,
    );
    Collector {
        client,
        lease,
        interval: EVERY,
        grace_period: Duration::from_mins(5),
        metrics,
        heartbeat: Arc::<Liveness>::default().expect("Pipes"),
    }
}

fn pipe(cluster: &ApiServer, name: &str, expires: Option<&str>) {
    let producer = json!({"pod": "p", "podUid": "u", "container": "c"});
    let object = json!({
        "metadata": {"name": name}, "status": {"stored": "2026-11-21T10:00:00.000000Z"},
        "spec": {"key": "A", "kind": "Secret", "object": name, "size": 1, "hash": "", "producer": producer,
                 "expires": expires},
    });
    cluster.put(&format!("/apis/bootlace.dev/v1alpha1/namespaces/{NAMESPACE}/pipes/{name}"), object);
}

#[tokio::test]
async fn expired_pipes_are_removed_page_by_page_and_others_are_kept() {
    let (cluster, metrics) = (ApiServer::new(), StoreMetrics::default());
    for number in 0..600 {
        pipe(&cluster, &format!("old-{number:03}"), Some("2026-11-21T10:30:00.000000Z"));
    }
    pipe(&cluster, "young", Some("2026-11-21T11:30:00.000000Z"));
    pipe(&cluster, "owned", None);
    let mut sweeper = sweeper(&cluster, "a", &metrics);
    assert_eq!(sweeper.sweep(time("11:00:00")).await.unwrap(), 600);
    let left: Vec<_> = cluster.all("pipes").iter().map(|pipe| pipe["metadata"]["name"].clone()).collect();
    assert_eq!(left, ["owned", "young"]);
}

#[tokio::test(start_paused = true)]
async fn one_replica_sweeps_until_it_stops() {
    let (cluster, metrics) = (ApiServer::new(), StoreMetrics::default());
    let (mut first, mut second) = (sweeper(&cluster, "a", &metrics), sweeper(&cluster, "b", &metrics));
    for turn in 0..10 {
        assert!(first.lease.try_acquire().await.unwrap(), "{turn}");
        assert!(!second.lease.try_acquire().await.unwrap(), "{turn}");
        tokio::time::advance(EVERY).await;
    }
    // The first replica has stopped: the second one sees that the Lease was not renewed for its duration.
    assert!(!second.lease.try_acquire().await.unwrap());
    tokio::time::advance(EVERY).await;
    assert!(!second.lease.try_acquire().await.unwrap());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(second.lease.try_acquire().await.unwrap());
    let lease = &cluster.all("leases")[0];
    assert_eq!(
        (&lease["spec"]["holderIdentity"], &lease["spec"]["leaseTransitions"]),
        (&json!("b"), &json!(1))
    );
    // The first replica is back, but does not hold the Lease.
    assert!(!first.lease.try_acquire().await.unwrap());
    pipe(&cluster, "old", Some("2026-11-21T10:30:00.000000Z"));
    assert_eq!(first.sweep(time("11:00:00")).await.unwrap(), 0);
    assert_eq!(second.sweep(time("11:00:00")).await.unwrap(), 1);
}

#[tokio::test]
async fn an_error_about_the_lease_is_returned() {
    let (cluster, metrics) = (ApiServer::new(), StoreMetrics::default());
    cluster.refuse_create("/leases/", 403, "leases is forbidden");
    let error = sweeper(&cluster, "a", &metrics).sweep(time("11:00:00")).await.unwrap_err();
    assert!(error.to_string().contains("leases is forbidden"), "{error}");
}

/// Sweeps for an hour with an API server that does not respond, and returns the liveness report.
async fn swept_in_silence(limit: Duration) -> Vec<String> {
    let cluster = ApiServer::new();
    cluster.set_silent(true);
    let client = ClientBuilder::new(cluster.service(), "default").with_layer(&TimeoutLayer(limit)).build();
    let (liveness, metrics) = (Arc::<Liveness>::default(), StoreMetrics::default());
    let heartbeat = liveness.expect("expired Pipes");
    let sweeper = Collector { client: client.clone(), heartbeat, ..sweeper_of(client, "a", &metrics) };
    let ended = tokio::time::timeout(Duration::from_hours(1), sweeper.run()).await;
    assert!(ended.is_err(), "it ended");
    liveness.report()
}

#[tokio::test(start_paused = true)]
async fn timeouts_are_survived_and_a_sweep_that_waits_forever_is_reported() {
    assert_eq!(swept_in_silence(API_REQUEST_TIMEOUT).await, [""; 0]);
    let noticed = swept_in_silence(Duration::from_hours(24)).await;
    assert!(noticed.len() == 1 && noticed[0].starts_with("the loop for expired Pipes"), "{noticed:?}");
}
