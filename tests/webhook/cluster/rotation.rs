//! Several replicas renew certificates and CAs during reviews.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bootlace::server::listener::Limits;
use bootlace::server::tls::rotation::Timing;
use bootlace::server::tls::{Lifetimes, Names, certificate};
use bootlace_test_api_server::ApiServer;
use rustls::pki_types::CertificateDer;
use serde_json::json;

use crate::client::{Connection, trusting};
use crate::cluster::{CONFIGURATION, Replica, SECRET, configuration, trusted};
use crate::harness::{REVIEW, Webhook, client_of, response, until};

const ROTATE: &str = "bootlace.dev/rotate";

fn timing(lifetimes: Lifetimes) -> Timing {
    let (look, settle) = (Duration::from_millis(20), Duration::from_millis(200));
    Timing { lifetimes, look, settle, spread: Duration::ZERO }
}

/// A running replica.
async fn start(api: &ApiServer, timing: Timing) -> (Webhook, Replica) {
    let webhook = Webhook::start_with(Limits::default()).await;
    let serving = Arc::clone(&webhook.serving);
    let replica = Replica::start_as(&client_of(api), &Arc::default(), serving, Names::of_loopback(), timing);
    until("the replica", async || replica.readiness.report().is_empty()).await;
    (webhook, replica)
}

/// The CAs in the current caBundle.
fn bundle(api: &ApiServer) -> Vec<u8> {
    STANDARD.decode(trusted(api).unwrap().as_str().unwrap()).unwrap()
}

/// The certificates of all reviews, and their issuers.
#[derive(Default)]
struct Seen {
    leaves: BTreeSet<Vec<u8>>,
    cas: BTreeSet<String>,
}

impl Seen {
    /// Sends a review on a new connection, like an API server with a slightly outdated configuration whose
    /// caBundle is `ca`. A failed handshake fails the test.
    async fn review(&mut self, webhook: &Webhook, ca: &[u8]) -> CertificateDer<'static> {
        let connection = Connection::open(webhook.address, trusting(ca)).await;
        let mut connection = connection.unwrap_or_else(|error| {
            let (leaves, cas) = (self.leaves.len(), &self.cas);
            panic!("a handshake failed after {leaves} certificates of {cas:?}: {error}")
        });
        response(&connection.review(REVIEW.as_bytes()).await.unwrap());
        let leaf = connection.certificate();
        self.cas.insert(certificate::facts(&leaf).unwrap().issuer);
        self.leaves.insert(leaf.to_vec());
        leaf
    }
}

#[tokio::test]
async fn no_review_fails_while_certificates_and_cas_end() {
    let api = ApiServer::new();
    api.put(CONFIGURATION, configuration());
    // Leaves seconds between renewal and expiry, for a busy machine.
    let lifetimes = Lifetimes { ca: time::Duration::seconds(24), serving: time::Duration::seconds(12) };
    let timing = timing(lifetimes);
    let (first, second) = (start(&api, timing).await, start(&api, timing).await);
    let mut replicas = vec![first, second];
    let initial = bundle(&api);
    let (mut seen, mut is_changed) = (Seen::default(), false);
    // The caBundle of an API server that sees changes with a delay.
    let mut late = initial.clone();
    until("a second CA", async || {
        for (webhook, _) in &replicas {
            seen.review(webhook, &late).await;
            // A pod that only trusts the first CA.
            seen.review(webhook, &initial).await;
        }
        late = bundle(&api);
        tokio::time::sleep(Duration::from_millis(45)).await;
        // While the second CA is published, one replica starts and another ends.
        if !is_changed && certificate::chain(&late).unwrap().len() == 2 {
            is_changed = true;
            replicas.push(start(&api, timing).await);
            replicas.remove(0);
            replicas.push(start(&api, timing).await);
        }
        seen.cas.len() == 2
    })
    .await;
    assert!(is_changed && seen.leaves.len() >= 3, "{is_changed} {}", seen.leaves.len());
}

#[tokio::test]
async fn a_requested_rotation_is_done_once_by_all_replicas() {
    let api = ApiServer::new();
    api.put(CONFIGURATION, configuration());
    let timing = timing(Lifetimes::default());
    let replicas = [start(&api, timing).await, start(&api, timing).await, start(&api, timing).await];
    let initial = bundle(&api);
    let mut seen = Seen::default();
    seen.review(&replicas[0].0, &initial).await;
    let ask = |what: &str| {
        let mut secret = api.get(SECRET).unwrap();
        secret["metadata"]["annotations"] = json!({ROTATE: what, "of-somebody": "else"});
        api.put(SECRET, secret);
    };
    let is_asked = || api.get(SECRET).unwrap()["metadata"]["annotations"].get(ROTATE).is_some();
    for (what, writes, cas) in [("certificate", 1, 1), ("ca", 2, 2), ("ca", 2, 3), ("drop-old-cas", 1, 1)] {
        let before = api.writes(SECRET);
        ask(what);
        until(what, async || {
            for (webhook, _) in &replicas {
                seen.review(webhook, &bundle(&api)).await;
                if what != "drop-old-cas" {
                    seen.review(webhook, &initial).await;
                }
            }
            !is_asked()
        })
        .await;
        assert_eq!(api.writes(SECRET) - before, writes, "{what}");
        assert_eq!(api.get(SECRET).unwrap()["metadata"]["annotations"]["of-somebody"], "else");
        until("the bundle", async || {
            trusted(&api).as_ref() == api.get(SECRET).unwrap()["data"].get("ca.crt")
        })
        .await;
        let bundle = bundle(&api);
        assert_eq!(certificate::chain(&bundle).unwrap().len(), cas, "{what}");
        let secret = api.get(SECRET).unwrap();
        let leaf = STANDARD.decode(secret["data"]["tls.crt"].as_str().unwrap()).unwrap();
        let leaf = certificate::chain(&leaf).unwrap().remove(0);
        until("every replica to serve it", async || {
            let mut served = Vec::new();
            for (webhook, _) in &replicas {
                served.push(seen.review(webhook, &bundle).await);
            }
            served.iter().all(|served| *served == leaf)
        })
        .await;
    }
    assert_eq!((seen.cas.len(), seen.leaves.len()), (3, 4));
    // An invalid value is kept.
    ask("everything");
    let writes = api.writes(SECRET);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(is_asked() && api.writes(SECRET) == writes);
}

/// As long as the new CA cannot be published, it signs no serving certificate.
#[tokio::test]
async fn a_ca_that_is_not_published_signs_no_serving_certificate() {
    let api = ApiServer::new();
    api.put(CONFIGURATION, configuration());
    let timing = timing(Lifetimes::default());
    let (webhook, _replica) = start(&api, timing).await;
    let initial = bundle(&api);
    api.fail(CONFIGURATION, 403);
    let mut secret = api.get(SECRET).unwrap();
    secret["metadata"]["annotations"] = json!({ROTATE: "ca"});
    api.put(SECRET, secret);
    until("the announcement", async || api.get(SECRET).unwrap()["data"].get("next-ca.crt").is_some()).await;
    tokio::time::sleep(timing.settle * 3).await;
    let mut seen = Seen::default();
    seen.review(&webhook, &initial).await;
    assert!(api.get(SECRET).unwrap()["data"].get("next-ca.crt").is_some());
    api.mend(CONFIGURATION);
    // The controller of the configuration checks it only after a change.
    api.put(CONFIGURATION, configuration());
    until("the new CA", async || {
        seen.review(&webhook, &initial).await;
        seen.cas.len() == 2
    })
    .await;
}

/// A user destroys the content of the Secret: the certificate stays active and is restored.
#[tokio::test]
async fn an_emptied_secret_is_restored_from_the_active_certificate() {
    let api = ApiServer::new();
    api.put(CONFIGURATION, configuration());
    let (webhook, _replica) = start(&api, timing(Lifetimes::default())).await;
    let initial = bundle(&api);
    let before = api.get(SECRET).unwrap()["data"].clone();
    for damage in
        [json!({}), json!({"ca.crt": "AAAA", "ca.key": "AAAA", "tls.crt": "AAAA", "tls.key": "AAAA"})]
    {
        let mut secret = api.get(SECRET).unwrap();
        secret["data"] = damage;
        api.put(SECRET, secret);
        until("the content", async || api.get(SECRET).unwrap()["data"] == before).await;
        Seen::default().review(&webhook, &initial).await;
    }
}
