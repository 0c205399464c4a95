//! With required client certificates, the webhook accepts reviews only from the API server.

use anyhow::{Context as _, Result};
use bootlace_cluster::scenario::release::{LABEL, Release, selecting};
use bootlace_cluster::scenario::{Namespace, scenario};
use k8s_openapi::api::core::v1::{Secret, Service};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;

#[tokio::test]
async fn with_certificates_required_the_api_server_alone_is_answered() -> Result<()> {
    let home = scenario("callers-home").label(LABEL, "home");
    let tasks = scenario("callers").label(LABEL, "tasks");
    home.run(async |home| tasks.run(async |tasks| required(home, tasks).await).await).await
}

async fn required(home: &Namespace, tasks: &Namespace) -> Result<()> {
    // The CA of this cluster also signs client certificates, and is in a ConfigMap in every namespace.
    let certificates = json!({"ca": {"configMap": "kube-root-ca.crt"}, "required": true});
    let values =
        json!({"replicas": 1, "clientCertificates": certificates, "webhook": selecting(&[tasks.name()])});
    // Returns when a pod was injected, so the API server is accepted.
    let release = Release::install(home, tasks, &values.to_string()).await?;

    let full_name = release.full_name();
    let service = home.api::<Service>().get(&full_name).await?;
    let address = service.spec.and_then(|spec| spec.cluster_ip).context("the Service has no cluster IP")?;
    let secret = home.api::<Secret>().get(&format!("{full_name}-tls")).await?;
    let ca = secret.data.as_ref().and_then(|data| data.get("ca.crt")).context("the Secret has no ca.crt")?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&ca.0)?)?;
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let host = format!("{full_name}.{}.svc", home.name());
    let http = reqwest::Client::builder()
        .tls_backend_preconfigured(tls.with_root_certificates(roots).with_no_client_auth())
        .resolve(&host, format!("{address}:443").parse()?)
        .no_proxy()
        .build()?;
    let response = http.post(format!("https://{host}/mutate")).body("{}").send().await?;
    assert_eq!(response.status(), 403);
    let text = response.text().await?;
    assert!(text.contains("API server"), "{text}");
    release.uninstall().await
}
