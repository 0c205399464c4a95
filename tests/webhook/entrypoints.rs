//! Entrypoints of images in docker-registry of Debian, with TLS of a private CA and a password.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bootlace::registry::ImageConfig;
use bootlace::webhook::entrypoints::{
    EntrypointMetrics, EntrypointQuery, EntrypointSettings, Entrypoints, LookupError,
};
use bootlace_test_registry::{Access, PASSWORD, Registry, manifest};
use prometheus_client::encoding::text;
use serde_json::json;
use tokio::net::TcpListener;

const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// The component and its metrics.
struct Webhook {
    entrypoints: Entrypoints,
    counted: prometheus_client::registry::Registry,
}

impl Webhook {
    fn new(ca: &str, host: &str, deadline: Duration) -> Self {
        let mut counted = prometheus_client::registry::Registry::default();
        let metrics = EntrypointMetrics::default();
        metrics.register(&mut counted);
        let registries = vec![host.to_owned()];
        let settings =
            EntrypointSettings { deadline, ca: Some(ca.as_bytes().to_vec()), registries, loopback: true };
        Self { entrypoints: Entrypoints::new(&settings, metrics).unwrap(), counted }
    }

    fn of(registry: &Registry) -> Self {
        Self::new(registry.ca(), registry.host(), Duration::from_secs(30))
    }

    async fn ask(&self, image: &str, secrets: &[String]) -> Result<Arc<ImageConfig>, Arc<LookupError>> {
        let pull_secrets: Vec<_> = secrets.iter().map(|secret| secret.as_bytes().to_vec()).collect();
        let question = EntrypointQuery { image, pull_secrets: &pull_secrets, architecture: Some("arm64") };
        let answer = self.entrypoints.resolve(&question).await;
        if let Err(error) = &answer {
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
        answer
    }

    async fn refusal(&self, image: &str, secrets: &[String]) -> String {
        self.ask(image, secrets).await.unwrap_err().to_string()
    }

    /// The value of a metric.
    fn count(&self, line: &str) -> u64 {
        let mut encoded = String::new();
        text::encode(&mut encoded, &self.counted).unwrap();
        let value =
            encoded.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' ')).unwrap_or("0");
        value.parse().unwrap()
    }
}

fn registry() -> Registry {
    Registry::start(IpAddr::V4(Ipv4Addr::LOCALHOST), Access::Password).unwrap()
}

/// Pushes an image with this entrypoint, in the format of OCI or Docker.
async fn push(
    registry: &Registry,
    tag: &str,
    entrypoint: &str,
    docker: bool,
) -> bootlace_test_registry::Blob {
    let config =
        json!({"config": {"Entrypoint": [entrypoint], "Cmd": ["--help"], "Env": ["A=b"]}}).to_string();
    let kind = if docker { "application/vnd.docker.container.image.v1+json" } else { OCI_CONFIG };
    let config = registry.blob("team/image", kind, config).await.unwrap();
    let mut manifest = manifest(&config, &[]);
    if docker {
        manifest["mediaType"] = json!("application/vnd.docker.distribution.manifest.v2+json");
    }
    registry.manifest("team/image", tag, &manifest).await.unwrap()
}

#[tokio::test]
async fn an_image_by_tag_by_digest_and_from_an_index() {
    let registry = registry();
    let webhook = Webhook::of(&registry);
    let secrets = [registry.pull_secret(PASSWORD)];
    let name = |version: &str| format!("{}/team/image{version}", registry.host());
    let oci = push(&registry, "v1", "/arm", false).await;
    let docker = push(&registry, "v2", "/amd", true).await;
    for (kind, image, tag) in [
        ("application/vnd.oci.image.index.v1+json", &oci, "index"),
        ("application/vnd.docker.distribution.manifest.list.v2+json", &docker, "list"),
    ] {
        let other = if tag == "index" { &docker } else { &oci };
        let images = [other.clone().made_for("linux/amd64"), image.clone().made_for("linux/arm64")];
        let images: Vec<_> = images.iter().map(bootlace_test_registry::Blob::descriptor).collect();
        let index = json!({"schemaVersion": 2, "mediaType": kind, "manifests": images});
        registry.manifest("team/image", tag, &index).await.unwrap();
    }
    for (version, entrypoint) in [
        (":v1".to_owned(), "/arm"),
        (":v2".to_owned(), "/amd"),
        (format!("@{}", oci.digest()), "/arm"),
        (":index".to_owned(), "/arm"),
        (":list".to_owned(), "/amd"),
    ] {
        let config = webhook.ask(&name(&version), &secrets).await.unwrap();
        assert_eq!(config.entrypoint, [entrypoint], "{version}");
        assert_eq!((&*config.cmd[0], &*config.env[0]), ("--help", "A=b"));
    }
    let amd = EntrypointQuery {
        image: &name(":index"),
        pull_secrets: &[secrets[0].clone().into()],
        architecture: Some("amd64"),
    };
    assert_eq!(webhook.entrypoints.resolve(&amd).await.unwrap().entrypoint, ["/amd"]);
    assert_eq!(webhook.count("entrypoint_lookups_total{result=\"found\"}"), 6);
}

#[tokio::test]
async fn a_result_is_cached_for_the_same_credentials() {
    let registry = registry();
    let webhook = Webhook::of(&registry);
    push(&registry, "v1", "/a", false).await;
    let image = format!("{}/team/image:v1", registry.host());
    let other = json!({"auths": {"other.example.com": {"username": "a", "password": "hunter2"}}}).to_string();
    let own = registry.pull_secret(PASSWORD);
    // Several secrets. The second one is for this registry.
    let secrets = [other.clone(), own.clone()];
    let config = webhook.ask(&image, &secrets).await.unwrap();
    let refused = webhook.refusal(&image, std::slice::from_ref(&other)).await;
    let is_unauthorized = |message: &str| message.contains("401 Unauthorized");
    assert!(is_unauthorized(&refused), "{refused}");
    let wrong = webhook.refusal(&image, &[registry.pull_secret("hunter2")]).await;
    assert!(is_unauthorized(&wrong), "{wrong}");
    drop(registry);
    assert_eq!(webhook.ask(&image, &secrets).await.unwrap(), config);
    assert_eq!(webhook.ask(&image, &[own]).await.unwrap(), config);
    assert_eq!(webhook.refusal(&image, &[]).await, refused, "an error is kept, too");
    assert_eq!(webhook.count("entrypoint_lookups_total{result=\"refused\"}"), 3);
}

#[tokio::test]
async fn failed_lookups_have_a_message() {
    let registry = registry();
    let webhook = Webhook::of(&registry);
    let secrets = [registry.pull_secret(PASSWORD)];
    registry.artifact("team/image", "artifact", &[("a", b"a")]).await.unwrap();
    let long = json!({"config": {"Env": ["x".repeat(40_000)]}}).to_string();
    let long = registry.blob("team/image", OCI_CONFIG, long).await.unwrap();
    registry.manifest("team/image", "long", &manifest(&long, &[])).await.unwrap();
    let broken = registry.blob("team/image", OCI_CONFIG, "hunter2").await.unwrap();
    registry.manifest("team/image", "broken", &manifest(&broken, &[])).await.unwrap();
    for (tag, detail) in [
        (":artifact", "team/image:artifact\" is invalid: "),
        (":gone", "404 Not Found"),
        (":long", "16384 bytes"),
        (":broken", "line 1 column 1"),
        (":-", "/team/image:-"),
    ] {
        let message = webhook.refusal(&format!("{}/team/image{tag}", registry.host()), &secrets).await;
        assert!(message.contains(detail), "{message}");
    }
    let image = format!("{}/team/image:v1", registry.host());
    let message = webhook.refusal(&image, &["hunter2".to_owned()]).await;
    assert!(message.starts_with("a pull secret ") && !message.contains("hunter2"), "{message}");
    let elsewhere = Webhook::new(self::registry().ca(), registry.host(), Duration::from_secs(30));
    let message = elsewhere.refusal(&image, &secrets).await;
    assert!(message.contains("certificate"), "{message}");
}

#[tokio::test]
async fn addresses_of_the_node_are_rejected() {
    let registries = ["169.254.169.254", "127.0.0.1:6443", "localhost:6443"].map(str::to_owned).to_vec();
    let settings = EntrypointSettings { registries, ..EntrypointSettings::default() };
    let entrypoints = Entrypoints::new(&settings, EntrypointMetrics::default()).unwrap();
    for (image, why) in [
        ("169.254.169.254/a:v1", "an address of the node"),
        ("127.0.0.1:6443/a:v1", "an address of the node"),
        ("localhost:6443/a:v1", "an address of the node"),
    ] {
        let question = EntrypointQuery { image, pull_secrets: &[], architecture: None };
        let error = entrypoints.resolve(&question).await.unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

/// A registry that accepts connections and does not respond: the delay is limited, and soon zero.
#[tokio::test]
async fn lookups_in_a_registry_that_hangs_time_out_and_pause() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = silent.local_addr().unwrap().to_string();
    let deadline = Duration::from_millis(300);
    let webhook = Webhook::new(registry().ca(), &host, deadline);
    for number in 0..3 {
        let begun = Instant::now();
        let message = webhook.refusal(&format!("{host}/a:{number}"), &[]).await;
        assert!(message.contains(&format!("{host:?}")) && message.contains(" 0.3 s"), "{message}");
        assert!(begun.elapsed() >= deadline);
    }
    assert_eq!(webhook.count("entrypoint_circuits_open"), 1);
    for number in 3..10 {
        let message = webhook.refusal(&format!("{host}/a:{number}"), &[]).await;
        assert!(
            message.contains(&format!("{host:?}")) && message.contains(" 0.3 s"),
            "the last error: {message}"
        );
    }
    assert_eq!(webhook.count("entrypoint_lookups_total{result=\"timed_out\"}"), 3);
    assert_eq!(webhook.count("entrypoint_lookups_total{result=\"circuit_open\"}"), 7);
}

#[tokio::test]
async fn concurrent_lookups_share_their_result() {
    let registry = registry();
    let webhook = Webhook::of(&registry);
    push(&registry, "v1", "/a", false).await;
    let (image, secrets) = (format!("{}/team/image:v1", registry.host()), [registry.pull_secret(PASSWORD)]);
    let all = futures::future::join_all((0..50).map(|_| webhook.ask(&image, &secrets))).await;
    let first = all[0].as_ref().unwrap();
    assert!(
        all.iter().all(|answer| Arc::ptr_eq(answer.as_ref().unwrap(), first)),
        "the same answer, not an equal one"
    );
}
