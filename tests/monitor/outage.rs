//! The API server is away for a while.

use serde_json::json;
use tokio::time::{Duration, Instant};

use crate::support::{LONG, Replica, cluster, on_node, path, phase, pod, put, running, until, waiting};

fn settings() -> serde_json::Value {
    pod(&json!({"launch": {"startSeconds": 120}}))
}

/// The task starts while the API server is away, and its node reports this some seconds after it is back. The
/// time of the pod has passed meanwhile.
#[tokio::test(start_paused = true)]
async fn a_task_that_starts_during_the_outage_is_not_failed() {
    for outage in [5, 20, 60, 600] {
        for is_silent in [true, false] {
            let cluster = cluster();
            let pulling = waiting("ImagePullBackOff", "not yet");
            put(&cluster, "load", on_node(settings(), "10:00:00", &json!({"main": pulling})));
            let replica = Replica::start(&cluster, "a", Instant::now());
            tokio::time::sleep(Duration::from_secs(118)).await;
            if is_silent {
                cluster.set_silent(true);
            } else {
                cluster.fail("/", 503);
            }
            tokio::time::sleep(Duration::from_secs(outage)).await;
            if is_silent {
                cluster.set_silent(false);
            } else {
                cluster.mend("/");
            }
            tokio::time::sleep(Duration::from_secs(15)).await;
            let mut started = on_node(settings(), "10:00:00", &json!({"main": running()}));
            started["status"]["phase"] = json!("Running");
            put(&cluster, "load", started);
            tokio::time::sleep(LONG).await;
            assert_eq!(cluster.writes(&path("load")), 0, "{outage} s, silent: {is_silent}");
            assert_eq!(phase(&cluster, "load"), "Running");
            assert!(replica.liveness.report().is_empty(), "{:?}", replica.liveness.report());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_does_not_start_is_failed_after_the_outage() {
    let cluster = cluster();
    let pulling = waiting("ImagePullBackOff", "never");
    put(&cluster, "load", on_node(settings(), "10:00:00", &json!({"main": pulling})));
    let _replica = Replica::start(&cluster, "a", Instant::now());
    tokio::time::sleep(Duration::from_mins(1)).await;
    cluster.fail("/", 503);
    tokio::time::sleep(Duration::from_mins(5)).await;
    cluster.mend("/");
    let took = until("it does not fail", || phase(&cluster, "load") == "Failed").await;
    assert!((30..90).contains(&took.as_secs()), "{took:?}");
}

/// Requests for one pod fail: the others are not delayed, and it is checked again.
#[tokio::test(start_paused = true)]
async fn a_request_that_fails_is_repeated() {
    let cluster = cluster();
    for name in ["load", "other"] {
        put(&cluster, name, on_node(settings(), "10:00:00", &json!({"main": waiting("ErrImagePull", "no")})));
    }
    cluster.fail(&path("load"), 500);
    let _replica = Replica::start(&cluster, "a", Instant::now());
    until("the other pod does not fail", || phase(&cluster, "other") == "Failed").await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(phase(&cluster, "load"), "Pending");
    cluster.mend(&path("load"));
    let took = until("it does not fail", || phase(&cluster, "load") == "Failed").await;
    assert!(took < Duration::from_secs(20), "{took:?}");
}
