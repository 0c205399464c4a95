//! Client certificates: callers without one get no results of lookups.

use std::sync::Arc;

use bootlace::profile_files;
use bootlace::server::listener::Limits;
use bootlace::server::tls::ClientVerifier;
use bootlace::webhook::lookups::{Lookups, PipeLookup};
use bootlace::webhook::metrics::WebhookMetrics;
use bootlace::webhook::reviews::CallerPolicy;
use bootlace_core::identity::Identity;
use bootlace_core::names;
use bootlace_core::output::run_label;
use bootlace_test_api_server::ApiServer;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};

use crate::client::{self, Connection};
use crate::harness::{REVIEW, Webhook, client_of, response, within};

/// A CA that signs certificates.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "clients");
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A client that trusts `server` and has a certificate for this name.
    fn client(&self, name: &str, server: &[u8]) -> Arc<ClientConfig> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
        client::showing(server, chain, PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap())
    }
}

/// A webhook that requests client certificates of the CA `clients`.
async fn webhook(clients: &Authority, others: bool) -> Webhook {
    let api = ApiServer::new();
    let run = json!({"scheduler": "annotation", "workflow": "shop", "run": "r1"});
    let run: Identity = serde_json::from_value(run).unwrap();
    let pipe = json!({
        "apiVersion": "bootlace.dev/v1alpha1", "kind": "Pipe",
        "metadata": {"name": "secret-object-1", "labels": {names::LABEL_PIPE_RUN: run_label(&run)}},
        "spec": {
            "key": "Key0", "kind": "Secret", "object": "secret-object-1", "size": 1, "files": ["a"],
            "hash": "", "producer": {
                "scheduler": "annotation", "workflow": "shop", "run": "r1", "task": "secretproject",
                "pod": "p", "podUid": "u", "container": "main",
            },
        },
        "status": {"stored": "2026-11-21T10:00:00.000000Z"},
    });
    api.put("/apis/bootlace.dev/v1alpha1/namespaces/etl/pipes/secret-object-1", pipe);
    let lookups = Lookups { pipes: PipeLookup::new(client_of(&api)), ..Lookups::default() };
    let callers = CallerPolicy::Named { names: vec!["kube-apiserver".to_owned()], others };
    let clients = ClientVerifier::under(clients.pem.as_bytes()).unwrap();
    let webhook =
        Webhook::start_for(callers, Some(clients), Limits::default(), lookups, WebhookMetrics::default())
            .await;
    let profile = std::path::Path::new(env!("BOOTLACE_ROOT")).join("tests/webhook/profile.yaml");
    webhook.profiles.swap(profile_files::read(&profile).unwrap()).unwrap();
    webhook
}

/// A review of a pod with an input from an earlier task of its run.
fn pod_with_input() -> Vec<u8> {
    let mut review: Value = serde_json::from_str(REVIEW).unwrap();
    review["request"]["namespace"] = json!("etl");
    let metadata = &mut review["request"]["object"]["metadata"];
    metadata["annotations"]["bootlace.dev/workflow"] = json!("shop");
    metadata["annotations"]["bootlace.dev/run"] = json!("r1");
    metadata["annotations"]["bootlace.dev/pipe-in"] = json!("- {key: Key1, env: A}");
    serde_json::to_vec(&review).unwrap()
}

async fn post(webhook: &Webhook, tls: Arc<ClientConfig>, review: &[u8]) -> (u16, Vec<u8>) {
    let opened = within("a connection", Connection::open(webhook.address, tls)).await;
    let reply = opened.unwrap().review(review).await.unwrap();
    (reply.status, reply.body)
}

#[tokio::test]
async fn nothing_is_looked_up_for_callers_without_the_certificate() {
    let clients = Authority::new();
    let webhook = webhook(&clients, true).await;
    let ours = clients.client("kube-apiserver", &webhook.ca);
    let (_, body) = post(&webhook, Arc::clone(&ours), &pod_with_input()).await;
    assert!(String::from_utf8_lossy(&body).contains("secretproject"), "{}", String::from_utf8_lossy(&body));
    // The certificate of a node is from the same CA, but not that of the API server.
    for tls in [Arc::clone(&webhook.tls), clients.client("system:node:a", &webhook.ca)] {
        let (status, body) = post(&webhook, Arc::clone(&tls), &pod_with_input()).await;
        let text = String::from_utf8_lossy(&body);
        assert!(status == 200 && !text.contains("secret"), "{text}");
        assert!(text.contains("[BL1004]"), "{text}");
        // A review without lookups gets a response.
        let reply = Connection::open(webhook.address, tls).await.unwrap().review(REVIEW.as_bytes()).await;
        assert_eq!(response(&reply.unwrap())["allowed"], true);
    }
}

#[tokio::test]
async fn if_certificates_are_required_other_callers_are_rejected() {
    let clients = Authority::new();
    let webhook = webhook(&clients, false).await;
    for tls in [Arc::clone(&webhook.tls), clients.client("system:node:a", &webhook.ca)] {
        let (status, body) = post(&webhook, tls, REVIEW.as_bytes()).await;
        let text = String::from_utf8_lossy(&body);
        assert!(status == 403 && text.contains("--client-ca"), "{status} {text}");
    }
    assert_eq!(webhook.metric("bootlace_reviews_of_unknown_callers_total"), 2.0);
    let ours = clients.client("kube-apiserver", &webhook.ca);
    assert_eq!(post(&webhook, ours, REVIEW.as_bytes()).await.0, 200);
}

#[tokio::test]
async fn a_certificate_of_another_ca_is_rejected() {
    let clients = Authority::new();
    let webhook = webhook(&clients, true).await;
    let forged = Authority::new().client("kube-apiserver", &webhook.ca);
    // With TLS 1.3, the first response reports the error.
    let answered = match Connection::open(webhook.address, forged).await {
        Ok(mut connection) => connection.review(&pod_with_input()).await.map(|reply| reply.status),
        Err(error) => Err(error),
    };
    assert!(answered.is_err(), "{answered:?}");
}
