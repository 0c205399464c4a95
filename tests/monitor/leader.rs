//! Two replicas: which one acts, and what happens if it is killed at any request.

use bootlace_test_api_server::{ApiServer, Cut};
use serde_json::json;
use tokio::time::{Duration, Instant};

use crate::support::{LONG, Replica, cluster, on_node, path, phase, pod, put, until, waiting};

fn put_pod(cluster: &ApiServer) {
    let image = waiting("ErrImagePull", "not found");
    let settings = json!({"launch": {"startSeconds": 120}});
    put(cluster, "load", on_node(pod(&settings), "10:00:00", &json!({"main": image})));
}

/// The pod has failed once, and there is one Event and one diagnosis about it.
fn assert_failed_once(cluster: &ApiServer, context: &str) {
    assert_eq!(phase(cluster, "load"), "Failed", "{context}");
    assert_eq!(cluster.writes(&path("load")), 1, "{context}");
    assert_eq!(cluster.all("events").len(), 1, "{context}");
    assert_eq!(cluster.all("configmaps").len(), 1, "{context}");
}

#[tokio::test(start_paused = true)]
async fn one_replica_watches_and_the_other_one_only_asks_for_the_lease() {
    let cluster = cluster();
    put_pod(&cluster);
    let start = Instant::now();
    let first = Replica::start(&cluster, "a", start);
    until("the first does not lead", || first.metrics.starting() == 1).await;
    let before = cluster.requests().len();
    let second = Replica::start(&cluster, "b", start);
    tokio::time::sleep(Duration::from_mins(1)).await;
    let requests = cluster.requests();
    let (aborts, others): (Vec<_>, Vec<_>) = requests[before..]
        .iter()
        .filter(|request| !request.contains("/leases/"))
        .partition(|request| request.contains("/aborts?"));
    // Two passes of the leader.
    assert!(others.is_empty() && aborts.len() <= 2, "{others:?}, {aborts:?}");
    assert_eq!(second.metrics.starting(), 0);
    until("it does not fail", || phase(&cluster, "load") == "Failed").await;
    tokio::time::sleep(LONG).await;
    assert_failed_once(&cluster, "two replicas");
    assert_eq!((first.liveness.report(), second.liveness.report()), (Vec::new(), Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_ends_gives_the_lease_up_at_once() {
    let cluster = cluster();
    put_pod(&cluster);
    let start = Instant::now();
    let first = Replica::start(&cluster, "a", start);
    until("the first does not lead", || first.metrics.starting() == 1).await;
    let second = Replica::start(&cluster, "b", start);
    tokio::time::sleep(Duration::from_secs(20)).await;
    first.stop().await;
    let took = until("the second does not lead", || second.metrics.starting() == 1).await;
    assert!(took <= Duration::from_secs(6), "{took:?}");
}

/// The leader is killed before and after each of its requests. Another replica leads then, and the pod fails
/// once, with one Event and one diagnosis.
#[tokio::test(start_paused = true)]
async fn a_leader_that_is_killed_at_any_request_loses_nothing() {
    let mut killed_while_acting = 0;
    for number in 0..70 {
        for cut in [Cut::Before(number), Cut::After(number)] {
            let (cluster, start) = (cluster(), Instant::now());
            put_pod(&cluster);
            let first = Replica::start_with(cluster.replica(Some(cut), Vec::new()), "a", start);
            // The first replica leads before the second one starts.
            tokio::time::sleep(Duration::from_secs(1)).await;
            let second = Replica::start(&cluster, "b", start);
            until(&format!("{cut:?}"), || phase(&cluster, "load") == "Failed").await;
            tokio::time::sleep(Duration::from_mins(1)).await;
            assert_failed_once(&cluster, &format!("{cut:?}"));
            let acted = |replica: &Replica| replica.metrics.starting();
            killed_while_acting += usize::from(start.elapsed() > Duration::from_secs(185));
            assert_eq!((acted(&first), acted(&second)), (0, 0), "{cut:?}");
        }
    }
    assert!(killed_while_acting > 0, "no kill delayed the failure of the pod");
}
