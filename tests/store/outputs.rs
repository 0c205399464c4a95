//! What is stored for a key, and which producer the Pipe names.

use bootlace_core::code::Code;
use bootlace_core::output::{Pipe, Quota};
use bootlace_test_api_server::ApiServer;
use serde_json::{Value, json};

use crate::support::{Attempt, NAMESPACE, stored_once};

fn pipes(cluster: &ApiServer) -> Vec<Pipe> {
    cluster.all("pipes").into_iter().map(|pipe| serde_json::from_value(pipe).unwrap()).collect()
}

#[tokio::test]
async fn the_same_bytes_again_change_nothing() {
    let (cluster, attempt) = (ApiServer::new(), Attempt::default());
    assert!(attempt.store(cluster.client(), "10:00:00").await.unwrap());
    let before = (cluster.all("pipes"), cluster.all("secrets"));
    assert!(!attempt.store(cluster.client(), "10:00:01").await.unwrap());
    assert_eq!((cluster.all("pipes"), cluster.all("secrets")), before);
    stored_once(&cluster);
}

#[tokio::test]
async fn readers_get_the_newest_attempt() {
    let cluster = ApiServer::new();
    for (number, content, now) in
        [("1", "A", "10:00:00"), ("2", "B", "10:01:00"), ("3", "A", "10:02:00"), ("2", "B", "10:03:00")]
    {
        let attempt = Attempt { number, content, ..Attempt::default() };
        attempt.store(cluster.client(), now).await.unwrap();
    }
    // The first and the third attempt have the same content, from two pods; the second one is repeated by the
    // same pod.
    let pipes = pipes(&cluster);
    assert_eq!(pipes.len(), 2);
    let newest = pipes.iter().max_by(|one, other| one.by_age(other)).unwrap();
    assert_eq!(newest.spec.producer.attempt.as_deref(), Some("3"));
    assert_eq!(newest.spec.producer.pod, "load-3");
    assert_eq!(newest.spec.expires.as_deref(), Some("2026-11-21T11:02:00.000000Z"));
    assert_eq!(newest.stored(), Some("2026-11-21T10:02:00.000000Z"));
    // It has been ready since its content was stored first.
    let status = serde_json::to_value(&newest.status).unwrap();
    let ready = json!([{
        "type": "Ready", "status": "True", "reason": "Stored", "lastTransitionTime": "2026-11-21T10:00:00Z",
        "message": format!("stored as Secret {}", newest.spec.object),
    }]);
    assert_eq!(status["conditions"], ready);
    assert_eq!(cluster.all("secrets").len(), 2);
}

#[tokio::test]
async fn an_earlier_attempt_does_not_replace_a_later_one() {
    let cluster = ApiServer::new();
    for (number, now) in [("2", "10:00:00"), ("1", "10:01:00")] {
        Attempt { number, ..Attempt::default() }.store(cluster.client(), now).await.unwrap();
    }
    assert_eq!(pipes(&cluster)[0].spec.producer.attempt.as_deref(), Some("2"));
}

#[tokio::test]
async fn a_pipe_with_the_name_that_describes_another_output_is_a_conflict() {
    let (cluster, attempt) = (ApiServer::new(), Attempt::default());
    let mut strange = serde_json::to_value(attempt.pipe("10:00:00")).unwrap();
    strange["spec"]["producer"]["run"] = json!("another");
    strange["status"] = json!({"stored": "2026-11-21T09:00:00.000000Z"});
    let name = strange["metadata"]["name"].as_str().unwrap();
    cluster.put(&format!("/apis/bootlace.dev/v1alpha1/namespaces/{NAMESPACE}/pipes/{name}"), strange.clone());
    let denial = attempt.store(cluster.client(), "10:00:00").await.unwrap_err();
    assert!(denial.status == 409 && denial.code == Code::PipeConflict, "{denial}");
    assert!(cluster.all("secrets").is_empty());
}

#[tokio::test]
async fn no_more_pipes_are_stored_than_the_quota_allows() {
    for (quota, field) in [
        (Quota { per_run: Some(2), per_namespace: None }, "pipes.quota.perRun"),
        (Quota { per_run: Some(5), per_namespace: Some(2) }, "pipes.quota.perNamespace"),
        (Quota { per_run: Some(0), per_namespace: None }, "pipes.quota.perRun"),
    ] {
        let cluster = ApiServer::new();
        let mut stored = 0;
        let mut refused = 0;
        for key in ["A", "B", "C", "D"] {
            let attempt = Attempt { key, quota, ..Attempt::default() };
            match attempt.store(cluster.client(), "10:00:00").await {
                Ok(_) => stored += 1,
                Err(denial) => {
                    assert!(denial.is_final() && denial.message.contains(field), "{denial}");
                    refused += 1;
                }
            }
        }
        let most = quota.per_namespace.or(quota.per_run).unwrap();
        assert_eq!((stored, refused), (most, 4 - most));
        // The refused Pipe was removed, and existing outputs can be stored again.
        assert_eq!(pipes(&cluster).len(), most as usize);
        if most > 0 {
            let again = Attempt { key: "A", quota, ..Attempt::default() };
            assert!(!again.store(cluster.client(), "10:00:01").await.unwrap());
        }
    }
}

#[tokio::test]
async fn a_refusal_of_the_api_server_leaves_nothing_and_is_reported() {
    for (status, message, code) in [
        (403, "secrets \"x\" is forbidden: exceeded quota: small", Code::ResourceQuotaExceeded),
        (422, "metadata.name: Invalid value", Code::StoreApiRefused),
        (413, "request entity too large", Code::StoreApiRefused),
    ] {
        let cluster = ApiServer::new();
        cluster.refuse_create("/secrets/", status, message);
        let denial = Attempt::default().store(cluster.client(), "10:00:00").await.unwrap_err();
        assert!(denial.code == code && denial.is_final() && denial.message.contains(message), "{denial}");
        assert!(cluster.all("pipes").is_empty());
    }
    // An upgrade without the CRD.
    let cluster = ApiServer::new();
    cluster.refuse_create("/pipes/", 404, "404 page not found");
    let denial = Attempt::default().store(cluster.client(), "10:00:00").await.unwrap_err();
    assert!(denial.is_final() && denial.code == Code::PipeCrdOutdated, "{denial}");
    // It is unknown whether it was created.
    let cluster = ApiServer::new();
    cluster.refuse_create("/secrets/", 500, "etcd is away");
    let denial = Attempt::default().store(cluster.client(), "10:00:00").await.unwrap_err();
    assert!(!denial.is_final(), "{denial}");
    assert_eq!(cluster.all("pipes")[0]["status"], Value::Null);
}
