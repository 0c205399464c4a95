//! Replicas that are killed at any request, and two replicas that store the same output concurrently.

use std::sync::Arc;
use std::time::Duration;

use bootlace::server::lease::LeaderLease;
use bootlace::server::liveness::Liveness;
use bootlace::store::garbage_collector::Collector;
use bootlace::store::metrics::StoreMetrics;
use bootlace_core::code::Code;
use bootlace_test_api_server::{ApiServer, Cut};
use proptest::prelude::*;

use crate::support::{Attempt, NAMESPACE, consistent, stored_once, time};

/// An output, and an output that is awaited under a second name.
fn attempts() -> [Attempt; 2] {
    [false, true].map(|awaited| Attempt { awaited, ..Attempt::default() })
}

/// All moments at which a replica can be killed while it stores an output.
async fn moments(attempt: &Attempt) -> Vec<Cut> {
    let mut moments = Vec::new();
    for number in 0.. {
        moments.push(Cut::Before(number));
        let cluster = ApiServer::new();
        let cut = Some(Cut::After(number));
        moments.extend(cut);
        if attempt.store(cluster.replica(cut, Vec::new()), "10:00:00").await.is_ok() {
            break;
        }
    }
    assert!(moments.len() > 6, "a Pipe, an object and a word take three requests: {moments:?}");
    moments
}

async fn all_moments() -> Vec<(Attempt, Cut)> {
    let mut all = Vec::new();
    for attempt in attempts() {
        all.extend(moments(&attempt).await.into_iter().map(|cut| (attempt.clone(), cut)));
    }
    all
}

#[tokio::test]
async fn a_retry_succeeds_wherever_the_first_replica_was_killed() {
    for (attempt, cut) in all_moments().await {
        let cluster = ApiServer::new();
        let first = attempt.store(cluster.replica(Some(cut), Vec::new()), "10:00:00").await;
        assert!(first.is_ok() || first.is_err_and(|denial| !denial.is_final()), "{cut:?}");
        consistent(&cluster);
        attempt.store_with_retries(&cluster, "10:00:01").await;
        cluster.collect_garbage();
        stored_once(&cluster);
    }
}

#[tokio::test]
async fn without_a_retry_the_output_is_stored_or_removed_within_ten_minutes() {
    for (attempt, cut) in all_moments().await {
        let cluster = ApiServer::new();
        let _ = attempt.store(cluster.replica(Some(cut), Vec::new()), "10:00:00").await;
        let (client, metrics) = (cluster.client(), StoreMetrics::default());
        let (interval, grace_period) = (Duration::from_mins(1), Duration::from_mins(5));
        let lease =
            LeaderLease::new(client.clone(), "bootlace", "lease".to_owned(), "a".to_owned(), interval * 2);
        let mut sweeper = Collector {
            client,
            lease,
            interval,
            grace_period,
            metrics: &metrics,
            heartbeat: Arc::<Liveness>::default().expect("Pipes"),
        };
        sweeper.sweep(time("10:04:00")).await.unwrap();
        consistent(&cluster);
        // The default interval after the default grace period, and the same time again for another replica to
        // acquire the Lease.
        let removed = sweeper.sweep(time("10:09:00")).await.unwrap();
        cluster.collect_garbage();
        match removed {
            0 if cluster.all("pipes").is_empty() => assert!(cluster.all("secrets").is_empty(), "{cut:?}"),
            0 => stored_once(&cluster),
            _ => assert!(cluster.all("pipes").is_empty() && cluster.all("secrets").is_empty(), "{cut:?}"),
        }
    }
}

#[tokio::test]
async fn an_object_of_another_client_is_never_used_as_the_output() {
    let attempt = Attempt { awaited: true, ..Attempt::default() };
    let spec = attempt.pipe("10:00:00").spec;
    for name in [spec.object, spec.awaited.unwrap()] {
        let cluster = ApiServer::new();
        let path = format!("/api/v1/namespaces/{NAMESPACE}/secrets/{name}");
        cluster.put(&path, serde_json::json!({"metadata": {"name": name}, "data": {"file": "ZXZpbA=="}}));
        for _ in 0..3 {
            let denial = attempt.store(cluster.client(), "10:00:00").await.unwrap_err();
            assert!(denial.status == 503 && denial.code == Code::PipeChanged, "{denial}");
            assert!(denial.message.contains(&name), "{denial}");
            assert!(cluster.all("pipes").is_empty());
            cluster.collect_garbage();
        }
    }
}

fn pauses() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(0..4_u8, 0..8)
}

proptest! {
    #[test]
    fn two_replicas_at_once_store_it_once(
        one in pauses(), two in pauses(), late in 0..12_usize, awaited in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (cluster, attempt) = (ApiServer::new(), Attempt { awaited, ..Attempt::default() });
            let second = async {
                for _ in 0..late {
                    tokio::task::yield_now().await;
                }
                attempt.store(cluster.replica(None, two), "10:00:00").await
            };
            let first = attempt.store(cluster.replica(None, one), "10:00:00");
            let (first, second) = tokio::join!(first, second);
            for result in [first, second] {
                assert!(result.is_ok() || result.is_err_and(|denial| !denial.is_final()));
            }
            consistent(&cluster);
            attempt.store_with_retries(&cluster, "10:00:01").await;
            cluster.collect_garbage();
            stored_once(&cluster);
        });
    }

    /// Two attempts of a task with different content: one has the name, and the Pipe with the name has its
    /// content.
    #[test]
    fn of_two_contents_one_is_stored_under_the_awaited_name(one in pauses(), two in pauses(), late in 0..12_usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let cluster = ApiServer::new();
            let attempt = |number, content| Attempt { number, content, awaited: true, ..Attempt::default() };
            let (first, second) = (attempt("1", "A"), attempt("2", "B"));
            let delayed = async {
                for _ in 0..late {
                    tokio::task::yield_now().await;
                }
                second.store(cluster.replica(None, two), "10:00:01").await
            };
            let results = tokio::join!(first.store(cluster.replica(None, one), "10:00:00"), delayed);
            for result in [results.0, results.1] {
                assert!(result.is_ok() || result.is_err_and(|denial| !denial.is_final()));
            }
            consistent(&cluster);
            first.store_with_retries(&cluster, "10:00:02").await;
            second.store_with_retries(&cluster, "10:00:03").await;
            consistent(&cluster);
            let pipes = cluster.all("pipes");
            let had = pipes.iter().filter(|pipe| pipe["status"]["awaited"] == "Stored").count();
            let not_had = pipes.iter().filter(|pipe| pipe["status"]["awaited"] == "Taken").count();
            assert!((had, not_had) == (1, 1) && cluster.all("secrets").len() == 3, "{pipes:?}");
        });
    }
}
