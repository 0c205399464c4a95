//! A webhook in this process.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bootlace::profile_files;
use bootlace::server::api_client::TimeoutLayer;
use bootlace::server::listener::{Limits, Server, ShutdownController, ShutdownStage, Transport};
use bootlace::server::tls::{CertResolver, Certificate, ClientVerifier, Issued, Lifetimes, Names, authority};
use bootlace::webhook::lookups::Lookups;
use bootlace::webhook::metrics::WebhookMetrics;
use bootlace::webhook::profiles::ActiveProfiles;
use bootlace::webhook::reviews::{CallerPolicy, Reviews};
use bootlace_core::plan::InstallationSettings;
use bootlace_test_api_server::ApiServer;
use kube::Client;
use kube::client::ClientBuilder;
use rustls::ClientConfig;
use serde_json::Value;
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::client::{self, Connection, Reply};

/// A review of a pod that is injected.
pub(crate) const REVIEW: &str = include_str!("review.json");
/// The UID of the review.
pub(crate) const UID: &str = "6f0a3c9e-8d55-4b0e-9f57-0f9a2f3c1b7d";

/// The timeout of tests.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Waits for `future`, with a timeout.
pub(crate) async fn within<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("waited too long: {what}"))
}

/// Waits until `condition` is true, with a timeout.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    within(what, async {
        let mut looks = tokio::time::interval(Duration::from_millis(5));
        while !condition().await {
            looks.tick().await;
        }
    })
    .await;
}

pub(crate) fn issue() -> Issued {
    authority::issue(&Names::of_loopback(), OffsetDateTime::now_utc(), Lifetimes::default()).unwrap()
}

pub(crate) fn certificate(issued: &Issued) -> Certificate {
    Certificate::from_pem(issued.cert.as_bytes(), issued.key.as_bytes()).unwrap()
}

/// A client of an API server with a short timeout for each request.
pub(crate) fn client_of(api: &ApiServer) -> Client {
    let limit = TimeoutLayer(Duration::from_millis(250));
    ClientBuilder::new(api.service(), "default").with_layer(&limit).build()
}

/// A running webhook.
pub(crate) struct Webhook {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Arc<ClientConfig>,
    /// The CA of its certificate, as PEM.
    pub(crate) ca: Vec<u8>,
    pub(crate) metrics: Arc<WebhookMetrics>,
    pub(crate) serving: Arc<CertResolver>,
    pub(crate) profiles: Arc<ActiveProfiles>,
    pub(crate) director: ShutdownController,
    /// Completes when the webhook has drained.
    pub(crate) task: JoinHandle<()>,
}

impl Webhook {
    pub(crate) async fn start() -> Self {
        Self::start_with(Limits::default()).await
    }

    pub(crate) async fn start_with(limits: Limits) -> Self {
        let webhook = Self::start_without_profiles(limits).await;
        let profile = Path::new(env!("BOOTLACE_ROOT")).join("tests/webhook/profile.yaml");
        webhook.profiles.swap(profile_files::read(&profile).unwrap()).unwrap();
        webhook
    }

    pub(crate) async fn start_without_profiles(limits: Limits) -> Self {
        Self::start_empty(limits, Lookups::default(), WebhookMetrics::default()).await
    }

    /// Serves with `lookups`, without a profile.
    pub(crate) async fn start_empty(limits: Limits, lookups: Lookups, metrics: WebhookMetrics) -> Self {
        Self::start_for(CallerPolicy::Any, None, limits, lookups, metrics).await
    }

    /// The same for these callers.
    pub(crate) async fn start_for(
        callers: CallerPolicy,
        clients: Option<Arc<ClientVerifier>>,
        limits: Limits,
        lookups: Lookups,
        metrics: WebhookMetrics,
    ) -> Self {
        let issued = issue();
        let (metrics, serving, profiles) = (
            Arc::new(metrics),
            Arc::new(CertResolver::default()),
            ActiveProfiles::without_namespaces(InstallationSettings::default()),
        );
        serving.swap(&certificate(&issued));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let director = ShutdownController::default();
        let server = Server {
            transport: Transport::Tls(TlsAcceptor::from(Arc::new(serving.config(clients).unwrap()))),
            app: Reviews::new(Arc::clone(&profiles), Arc::clone(&metrics), Arc::new(lookups))
                .for_callers(callers)
                .router(),
            limits,
            metrics: metrics.server.clone(),
            stage: director.follower(),
        };
        let task = tokio::spawn(server.serve(listener));
        let tls = client::trusting(issued.ca_cert.as_bytes());
        let ca = issued.ca_cert.into_bytes();
        Self { address, tls, ca, metrics, serving, profiles, director, task }
    }

    pub(crate) async fn connect(&self) -> Connection {
        within("a connection", Connection::open(self.address, Arc::clone(&self.tls))).await.unwrap()
    }

    /// The value of a metric by its name with labels. 0 if it does not exist.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let page = self.metrics.encode().unwrap();
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or(0.0)
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.director.enter(ShutdownStage::Over);
    }
}

/// Parses and validates a response like the API server.
pub(crate) fn response(reply: &Reply) -> Value {
    let text = String::from_utf8_lossy(&reply.body);
    assert_eq!(reply.status, 200, "{text}");
    assert!(reply.head.to_ascii_lowercase().contains("content-type: application/json"), "{}", reply.head);
    let review: Value = serde_json::from_slice(&reply.body).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(review["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(review["kind"], "AdmissionReview");
    let response = review["response"].clone();
    assert!(response["allowed"].is_boolean() && response["uid"].is_string(), "{text}");
    assert_eq!(response.get("patch").is_some(), response.get("patchType").is_some(), "{text}");
    response
}
