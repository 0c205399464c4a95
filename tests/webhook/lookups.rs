//! Reviews with lookups in docker-registry of Debian, with TLS of a private CA and a password in a pull
//! secret.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bootlace::profile_files;
use bootlace::server::listener::Limits;
use bootlace::webhook::entrypoints::{EntrypointSettings, Entrypoints};
use bootlace::webhook::lookups::{ImageLookup, Lookups, PullSecretLookup};
use bootlace::webhook::metrics::WebhookMetrics;
use bootlace_core::names;
use bootlace_test_api_server::ApiServer;
use bootlace_test_registry::{Access, PASSWORD, Registry, manifest};
use serde_json::{Value, json};

use crate::harness::{REVIEW, Webhook, client_of, response};

const SECRET: &str = "/api/v1/namespaces/etl/secrets/registry-login";

async fn registry() -> Registry {
    let registry = Registry::start(IpAddr::V4(Ipv4Addr::LOCALHOST), Access::Password).unwrap();
    let config = json!({"config": {"Entrypoint": ["/run", "$(REGION)"], "Cmd": ["--help"]}}).to_string();
    let config = registry.blob("team/etl", "application/vnd.oci.image.config.v1+json", config).await.unwrap();
    registry.manifest("team/etl", "v1", &manifest(&config, &[])).await.unwrap();
    registry
}

/// A webhook with access to the pull secrets of these namespaces.
async fn webhook(registry: &Registry, api: &ApiServer, namespaces: &[&str]) -> Webhook {
    let metrics = WebhookMetrics::default();
    let settings = EntrypointSettings {
        deadline: Duration::from_secs(30),
        ca: Some(registry.ca().into()),
        registries: vec![registry.host().to_owned()],
        loopback: true,
    };
    let entrypoints = Entrypoints::new(&settings, metrics.entrypoints.clone()).unwrap();
    let namespaces = namespaces.iter().map(|&namespace| namespace.to_owned());
    let secrets = PullSecretLookup::new(client_of(api), namespaces, Duration::from_secs(30));
    let images = Some(Arc::new(ImageLookup::new(entrypoints, secrets)));
    let lookups = Lookups { images, ..Lookups::default() };
    let webhook = Webhook::start_empty(Limits::default(), lookups, metrics).await;
    let profile = Path::new(env!("BOOTLACE_ROOT")).join("tests/webhook/profile.yaml");
    webhook.profiles.swap(profile_files::read(&profile).unwrap()).unwrap();
    webhook
}

fn api(registry: &Registry) -> ApiServer {
    let api = ApiServer::new();
    let content = STANDARD.encode(registry.pull_secret(PASSWORD));
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "registry-login", "namespace": "etl"},
        "type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": content},
    });
    api.put(SECRET, secret);
    api
}

/// A review of a pod without a command.
fn review(registry: &Registry, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut review: Value = serde_json::from_str(REVIEW).unwrap();
    let pod = &mut review["request"]["object"];
    pod["spec"]["imagePullSecrets"] = json!([{"name": "registry-login"}]);
    let container = pod["spec"]["containers"][0].as_object_mut().unwrap();
    container.remove("command");
    container.remove("args");
    container["image"] = json!(format!("{}/team/etl:v1", registry.host()));
    change(pod);
    serde_json::to_vec(&review).unwrap()
}

async fn answer(webhook: &Webhook, review: &[u8]) -> Value {
    let response = response(&webhook.connect().await.review(review).await.unwrap());
    assert!(!response.to_string().contains(PASSWORD), "{response}");
    response
}

/// The operation of a patch for this path.
fn operation(response: &Value, path: &str) -> Value {
    let operations = STANDARD.decode(response["patch"].as_str().unwrap()).unwrap();
    let operations: Vec<Value> = serde_json::from_slice(&operations).unwrap();
    operations.into_iter().find(|operation| operation["path"] == path).unwrap_or_default()
}

fn mark(response: &Value) -> Value {
    let operation = operation(response, "/metadata/annotations/bootlace.dev~1injected");
    serde_json::from_str(operation["value"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn the_launcher_starts_the_entrypoint_of_the_image() {
    let registry = registry().await;
    let webhook = webhook(&registry, &api(&registry), &["etl"]).await;
    let large = |pod: &mut Value| pod["metadata"]["annotations"]["large"] = json!("x".repeat(200_000));
    for review in [review(&registry, |_| ()), review(&registry, large)] {
        let response = answer(&webhook, &review).await;
        assert_eq!(response["allowed"], true, "{response}");
        assert_eq!(response.get("warnings"), None);
        let command = operation(&response, "/spec/containers/0/command");
        let launch = ["/bootlace/bin/launch", "exec", "--container=base", "--"];
        let expected = [&launch[..], &["/run", "$$(REGION)", "--help"]].concat();
        assert_eq!(command["value"], json!(expected));
        let mark = mark(&response);
        assert!(mark["reason"].as_str().unwrap().contains("registry"), "{mark}");
    }
    assert_eq!(webhook.metric(r#"bootlace_entrypoint_lookups_total{result="found"}"#), 2.0);
    assert_eq!(webhook.metric(r#"bootlace_reviews_total{outcome="injected",reason=""}"#), 2.0);
}

#[tokio::test]
async fn a_failed_lookup_is_a_warning_unless_the_launcher_is_required() {
    let registry = registry().await;
    let webhook = webhook(&registry, &api(&registry), &["other"]).await;
    let response = answer(&webhook, &review(&registry, |_| ())).await;
    let warning = response["warnings"][0].as_str().unwrap();
    for part in ["container \"base\" ", "401 Unauthorized", "namespace \"etl\"", "entrypoints.pullSecrets"] {
        assert!(warning.contains(part), "{part:?} is not in {warning:?}");
    }
    let mark = mark(&response);
    assert_eq!(mark["envMode"], "none", "there is no store here");
    assert!(mark["reason"].as_str().unwrap().contains("(https://127.0.0.1:"), "{mark}");

    let insist =
        |pod: &mut Value| pod["metadata"]["annotations"][names::ANNOTATION_ENV_MODE] = json!("Launch");
    let response = answer(&webhook, &review(&registry, insist)).await;
    assert_eq!(response["allowed"], false);
    let refusal = response["status"]["message"].as_str().unwrap();
    assert!(refusal.contains("(https://127.0.0.1:") && refusal.ends_with("[BL1301]"), "{refusal}");
}

#[tokio::test]
async fn other_registries_cause_no_requests() {
    let (listed, other) = (registry().await, registry().await);
    let api = api(&listed);
    // Reading a Secret fails.
    api.fail("/api/v1/namespaces/etl/secrets", 500);
    let webhook = webhook(&listed, &api, &["etl"]).await;
    let response = answer(&webhook, &review(&other, |_| ())).await;
    let warning = response["warnings"][0].as_str().unwrap();
    assert!(
        warning.contains(&format!("{:?}", other.host())) && warning.contains("entrypoints.registries"),
        "{warning}"
    );
    assert!(!warning.contains("registry-login"), "{warning}");
    assert_eq!(webhook.metric(r#"bootlace_entrypoint_lookups_total{result="refused"}"#), 1.0);
}
