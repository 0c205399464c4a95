//! The objects of the webhook in the cluster: the Secret, the caBundle, the profiles.

mod rotation;
mod silent;

use std::sync::Arc;

use bootlace::server::liveness::Liveness;
use bootlace::server::readiness::{Part, Readiness};
use bootlace::server::tls::rotation::Timing;
use bootlace::server::tls::{CertResolver, Names, ca_bundle, ca_secret};
use bootlace::webhook::metrics::WebhookMetrics;
use bootlace::webhook::profiles::{ActiveProfiles, namespaces, watch::watch};
use bootlace_core::plan::InstallationSettings;
use bootlace_test_api_server::ApiServer;
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::harness::{client_of, until};

const NAMESPACE: &str = "bootlace-system";
pub(crate) const SECRET: &str = "/api/v1/namespaces/bootlace-system/secrets/bootlace-tls";
pub(crate) const CONFIGURATION: &str =
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/bootlace";
pub(crate) const PROFILES: &str = "/apis/bootlace.dev/v1alpha1/bootprofiles";
pub(crate) const NAMESPACES: &str = "/api/v1/namespaces";

/// The parts of a replica for certificates.
pub(crate) struct Replica {
    pub(crate) serving: Arc<CertResolver>,
    pub(crate) readiness: Arc<Readiness>,
    metrics: Arc<WebhookMetrics>,
}

impl Replica {
    fn start(api: &ApiServer) -> Self {
        Self::start_with(&client_of(api), &Arc::default())
    }

    pub(crate) fn start_with(client: &Client, liveness: &Arc<Liveness>) -> Self {
        let names = Names::of_service("bootlace", NAMESPACE);
        Self::start_as(client, liveness, Arc::default(), names, Timing::default())
    }

    /// A replica that serves with `serving` for `names`, and rotates with `timing`.
    pub(crate) fn start_as(
        client: &Client,
        liveness: &Arc<Liveness>,
        serving: Arc<CertResolver>,
        names: Names,
        timing: Timing,
    ) -> Self {
        let replica = Self { serving, readiness: Arc::default(), metrics: Arc::default() };
        let (bundle, bundles) = tokio::sync::watch::channel(None);
        let (published, publications) = tokio::sync::watch::channel(None);
        for part in [Part::Certificate, Part::CaBundle] {
            replica.readiness.missing(part, "not yet");
        }
        let controller = ca_secret::CaSecretController {
            api: Api::namespaced(client.clone(), NAMESPACE),
            name: "bootlace-tls".to_owned(),
            names,
            timing,
            published: Some(publications),
            serving: Arc::clone(&replica.serving),
            bundle,
            readiness: Arc::clone(&replica.readiness),
            metrics: replica.metrics.server.clone(),
            beat: liveness.expect("certificates"),
        };
        tokio::spawn(controller.run());
        let secret = (NAMESPACE, "bootlace-tls".to_owned());
        let (readiness, beat) = (Arc::clone(&replica.readiness), liveness.expect("the caBundle"));
        let controller = ca_bundle::CaBundleController::new(
            client,
            "bootlace".to_owned(),
            secret,
            bundles,
            published,
            readiness,
            beat,
        );
        tokio::spawn(controller.run());
        replica
    }

    fn missing(&self) -> String {
        self.readiness.report().join("; ")
    }
}

pub(crate) fn configuration() -> Value {
    let webhook = |name: &str| {
        json!({
            "name": name, "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "clientConfig": {"service": {"name": "bootlace", "namespace": NAMESPACE, "path": "/mutate"}},
        })
    };
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "bootlace"},
        "webhooks": [webhook("task.bootlace.dev"), webhook("scheduler.bootlace.dev")],
    })
}

/// The CA in the caBundle of all webhooks, if it is the same.
pub(crate) fn trusted(api: &ApiServer) -> Option<Value> {
    let configuration = api.get(CONFIGURATION)?;
    let webhooks = configuration["webhooks"].as_array()?.clone();
    let bundle = webhooks.first()?["clientConfig"].get("caBundle")?.clone();
    webhooks.iter().all(|webhook| webhook["clientConfig"]["caBundle"] == bundle).then_some(bundle)
}

pub(crate) fn is_trusted(api: &ApiServer) -> bool {
    api.get(SECRET).is_some_and(|secret| trusted(api).as_ref() == secret["data"].get("ca.crt"))
}

#[tokio::test]
async fn replicas_that_start_together_share_one_secret_and_one_ca() {
    let api = ApiServer::new();
    api.put(CONFIGURATION, configuration());
    let replicas = [Replica::start(&api), Replica::start(&api), Replica::start(&api)];
    for replica in &replicas {
        until("every replica to be ready", async || replica.readiness.report().is_empty()).await;
        assert!(replica.metrics.encode().unwrap().contains("certificate_expiry_timestamp_seconds 1"));
    }
    assert!(is_trusted(&api));
    let writes = api.writes(SECRET);
    assert_eq!(writes, 1, "the Secret was written {writes} times");
    // The rest of the configuration is unchanged.
    let webhook = &api.get(CONFIGURATION).unwrap()["webhooks"][1];
    assert_eq!(webhook["clientConfig"]["service"]["path"], "/mutate");
}

#[tokio::test]
async fn a_changed_ca_bundle_is_restored() {
    let api = ApiServer::new();
    api.put(CONFIGURATION, configuration());
    let replica = Replica::start(&api);
    until("the bundle", async || replica.readiness.report().is_empty()).await;
    let mut other = api.get(CONFIGURATION).unwrap();
    other["webhooks"][0]["clientConfig"]["caBundle"] = json!("bm90IG91cnM=");
    for reset in [configuration(), other] {
        api.put(CONFIGURATION, reset);
        until("the bundle to be put back", async || is_trusted(&api)).await;
    }
}

#[tokio::test]
async fn a_deleted_secret_is_restored_with_the_same_ca() {
    let api = ApiServer::new();
    api.put(CONFIGURATION, configuration());
    let replica = Replica::start(&api);
    until("the certificate", async || replica.readiness.report().is_empty()).await;
    let before = api.get(SECRET).unwrap();
    api.delete(SECRET);
    until("the Secret to be put back", async || api.get(SECRET).is_some()).await;
    assert_eq!(api.get(SECRET).unwrap()["data"], before["data"]);
}

#[tokio::test]
async fn a_secret_of_another_owner_is_reported_and_not_changed() {
    let api = ApiServer::new();
    let foreign = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bootlace-tls", "namespace": NAMESPACE},
        "data": {"tls.crt": "Zm9v", "tls.key": "YmFy"},
    });
    api.put(SECRET, foreign);
    let replica = Replica::start(&api);
    until("the reason", async || replica.missing().contains("Secret \"bootlace-tls\" ")).await;
    assert_eq!(api.writes(SECRET), 0);
}

#[tokio::test]
async fn a_configuration_that_is_created_later_is_updated() {
    let api = ApiServer::new();
    let replica = Replica::start(&api);
    until("the reason", async || replica.missing().contains("--configuration")).await;
    api.put(CONFIGURATION, configuration());
    until("the bundle", async || replica.readiness.report().is_empty()).await;
    assert!(is_trusted(&api));
}

pub(crate) fn profile(name: &str, generation: i64, timeout: &Value) -> Value {
    json!({
        "apiVersion": "bootlace.dev/v1alpha1", "kind": "BootProfile",
        "metadata": {"name": name, "generation": generation},
        "spec": {"hook": {"timeoutSeconds": timeout}},
    })
}

pub(crate) struct Watching {
    pub(crate) profiles: Arc<ActiveProfiles>,
    pub(crate) readiness: Arc<Readiness>,
}

impl Watching {
    fn start(api: &ApiServer) -> Self {
        Self::start_with(&client_of(api), &Arc::default())
    }

    pub(crate) fn start_with(client: &Client, liveness: &Arc<Liveness>) -> Self {
        let (profiles, readiness) =
            (ActiveProfiles::new(InstallationSettings::default()), Arc::new(Readiness::default()));
        readiness.missing(Part::Profiles, "not yet");
        readiness.missing(Part::Namespaces, "not yet");
        let (client, beat) = (client.clone(), |name| liveness.expect(name));
        tokio::spawn(namespaces::watch(
            client.clone(),
            Arc::clone(&profiles),
            Arc::clone(&readiness),
            beat("namespaces"),
        ));
        tokio::spawn(watch(
            client,
            Arc::clone(&profiles),
            Arc::clone(&readiness),
            Arc::default(),
            beat("BootProfiles"),
        ));
        Self { profiles, readiness }
    }

    /// The active generation.
    pub(crate) fn generation(&self, name: &str) -> Option<i64> {
        Some(self.profiles.get()?.get(name).ok()?.profile.generation)
    }
}

#[tokio::test]
async fn profiles_follow_the_api_server() {
    let api = ApiServer::new();
    api.put(&format!("{PROFILES}/default"), profile("default", 1, &json!(5)));
    let watching = Watching::start(&api);
    until("the first list", async || watching.readiness.report().is_empty()).await;
    assert_eq!(watching.generation("default"), Some(1));
    api.put(&format!("{PROFILES}/default"), profile("default", 2, &json!(6)));
    api.put(&format!("{PROFILES}/etl"), profile("etl", 1, &json!(6)));
    until("both", async || {
        (watching.generation("default"), watching.generation("etl")) == (Some(2), Some(1))
    })
    .await;
    // An invalid change keeps the last valid version, and does not affect other profiles.
    api.put(&format!("{PROFILES}/default"), profile("default", 3, &json!("soon")));
    api.put(&format!("{PROFILES}/etl"), profile("etl", 2, &json!(7)));
    until("the other", async || watching.generation("etl") == Some(2)).await;
    assert_eq!(watching.generation("default"), Some(2));
    api.delete(&format!("{PROFILES}/etl"));
    until("it to go", async || watching.generation("etl").is_none()).await;
}

#[tokio::test]
async fn errors_of_the_list_of_profiles_are_reported() {
    let api = ApiServer::new();
    for (code, hint) in [(404, "crds/bootprofiles.yaml"), (403, "rbac.create")] {
        api.fail(PROFILES, code);
        let watching = Watching::start(&api);
        until(hint, async || watching.readiness.report().join("; ").contains(hint)).await;
        assert!(watching.profiles.get().is_none());
        api.mend(PROFILES);
        until("the first list", async || watching.readiness.report().is_empty()).await;
    }
}

#[tokio::test]
async fn a_namespaces_default_follows_its_label() {
    let api = ApiServer::new();
    let namespace = |profile: &str| {
        json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": "etl", "labels": {"bootlace.dev/profile": profile}},
        })
    };
    api.put(&format!("{NAMESPACES}/etl"), namespace("nightly"));
    let watching = Watching::start(&api);
    until("the first lists", async || watching.readiness.report().is_empty()).await;
    let default = || watching.profiles.get()?.default_of("etl").map(str::to_owned);
    assert_eq!(default().as_deref(), Some("nightly"));
    api.put(&format!("{NAMESPACES}/etl"), namespace("hourly"));
    until("the change", async || default().as_deref() == Some("hourly")).await;
    api.delete(&format!("{NAMESPACES}/etl"));
    until("it to go", async || default().is_none()).await;
}

/// A pod must not boot with `default` because the label of its namespace is not known yet.
#[tokio::test]
async fn reviews_are_rejected_before_namespaces_are_listed() {
    let api = ApiServer::new();
    api.put(&format!("{PROFILES}/default"), profile("default", 1, &json!(5)));
    api.fail(NAMESPACES, 403);
    let watching = Watching::start(&api);
    until("the reason", async || {
        let missing = watching.readiness.report();
        missing.len() == 1 && missing[0].contains("namespaces") && missing[0].contains("rbac.create")
    })
    .await;
    assert!(watching.profiles.get().is_none());
    api.mend(NAMESPACES);
    until("the first list", async || watching.profiles.get().is_some()).await;
}

#[tokio::test]
async fn an_invalid_profile_is_reported_once_and_its_last_valid_version_is_kept() {
    let api = ApiServer::new();
    let path = format!("{PROFILES}/default");
    api.put(&path, profile("default", 1, &json!(5)));
    let replicas = [Watching::start(&api), Watching::start(&api), Watching::start(&api)];
    let ready = |generation: i64| {
        let object = api.get(&path).unwrap();
        let condition = &object["status"]["conditions"][0];
        (object["status"]["observedGeneration"] == generation)
            .then(|| (condition["status"].as_str().unwrap().to_owned(), condition["message"].clone()))
    };
    until("the first status", async || ready(1).is_some()).await;
    assert_eq!(ready(1).unwrap().0, "True");
    let mut broken = api.get(&path).unwrap();
    broken["metadata"]["generation"] = json!(2);
    broken["spec"]["sources"] = json!([{"name": "s", "inline": {"env": {"A": "{{ run | shout }}"}}}]);
    api.put(&path, broken);
    until("the second status", async || ready(2).is_some()).await;
    let (status, message) = ready(2).unwrap();
    let message = message.as_str().unwrap();
    assert_eq!(status, "False");
    assert!(message.contains("\"shout\"") && message.contains("generation 1 "), "{message}");
    // A replica that starts now has the valid version as well, like all replicas.
    let late = Watching::start(&api);
    until("its list", async || late.readiness.report().is_empty()).await;
    for replica in replicas.iter().chain([&late]) {
        assert_eq!(replica.generation("default"), Some(1));
    }
    let mut mended = api.get(&path).unwrap();
    mended["metadata"]["generation"] = json!(3);
    mended["spec"]["sources"] = json!([]);
    api.put(&path, mended);
    until("the third status", async || ready(3).is_some_and(|(status, _)| status == "True")).await;
    until("every replica", async || {
        replicas.iter().chain([&late]).all(|replica| replica.generation("default") == Some(3))
    })
    .await;
    assert_eq!(api.writes(&path), 3, "one write for each change, whatever the number of replicas");
}
