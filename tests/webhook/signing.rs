//! The Secret with the signing keys: created once, shared by replicas, restored, and filled again.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bootlace::server::liveness::Liveness;
use bootlace::server::readiness::{Part, Readiness};
use bootlace::webhook::profiles::ActiveProfiles;
use bootlace::webhook::signing::SigningKeyController;
use bootlace_core::injected_config::StoreEndpoint;
use bootlace_core::plan::InstallationSettings;
use bootlace_core::profile::{Profile, Profiles};
use bootlace_test_api_server::ApiServer;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use serde_json::{Value, json};

use crate::harness::{client_of, until};

const SECRET: &str = "/api/v1/namespaces/bootlace/secrets/bootlace-signing";

/// The part of a replica for signing keys.
struct Replica {
    profiles: Arc<ActiveProfiles>,
    readiness: Arc<Readiness>,
}

impl Replica {
    fn start(api: &ApiServer) -> Self {
        let store = StoreEndpoint { url: "https://store".to_owned(), ca: String::new() };
        let settings = InstallationSettings { store: Some(store), ..InstallationSettings::default() };
        let (profiles, readiness) =
            (ActiveProfiles::without_namespaces(settings), Arc::<Readiness>::default());
        profiles.await_keys();
        readiness.missing(Part::Keys, "not read yet");
        let profile = Profile { name: "default".to_owned(), ..Profile::default() };
        profiles.swap([profile].into_iter().collect::<Profiles>()).unwrap();
        assert!(profiles.get().is_none(), "it answers before it can sign");
        let beat = Arc::<Liveness>::default().expect("the signing keys");
        let secrets = Api::<Secret>::namespaced(client_of(api), "bootlace");
        let keeper = SigningKeyController::new(
            secrets,
            "bootlace-signing",
            Arc::clone(&profiles),
            Arc::clone(&readiness),
            beat,
        );
        tokio::spawn(keeper.run());
        Self { profiles, readiness }
    }

    fn key(&self) -> Option<String> {
        Some(self.profiles.get()?.keys()?.signing().id().to_owned())
    }

    async fn signs(&self) -> String {
        until("it signs", async || self.key().is_some()).await;
        self.key().unwrap()
    }
}

fn data(api: &ApiServer) -> Value {
    api.get(SECRET).unwrap()["data"].clone()
}

#[tokio::test(start_paused = true)]
async fn replicas_share_one_key_and_restore_a_deleted_secret() {
    let api = ApiServer::new();
    let (one, two) = (Replica::start(&api), Replica::start(&api));
    let key = one.signs().await;
    assert_eq!(two.signs().await, key);
    assert!(!one.readiness.is_missing(Part::Keys) && !two.readiness.is_missing(Part::Keys));
    let made = data(&api);
    assert_eq!(made.as_object().unwrap().len(), 2);
    assert_eq!(STANDARD.decode(made[format!("key-{key}")].as_str().unwrap()).unwrap().len(), 32);
    api.delete(SECRET);
    until("it is put back", async || api.get(SECRET).is_some()).await;
    assert_eq!(data(&api), made);
}

#[tokio::test(start_paused = true)]
async fn an_emptied_secret_gets_a_new_key_and_keeps_the_start_of_signatures() {
    let api = ApiServer::new();
    let replica = Replica::start(&api);
    let before = replica.signs().await;
    let (since, key) = (data(&api)["since"].clone(), data(&api)[format!("key-{before}")].clone());
    let mut emptied = api.get(SECRET).unwrap();
    emptied["data"] = Value::Null;
    api.put(SECRET, emptied);
    until("it is filled", async || api.get(SECRET).unwrap()["data"].is_object()).await;
    let now = data(&api);
    assert_eq!(now["since"], since);
    assert!(now.as_object().unwrap().values().all(|value| *value != key), "the old key is there");
}

#[tokio::test(start_paused = true)]
async fn a_secret_of_another_owner_is_not_changed() {
    let api = ApiServer::new();
    let theirs = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bootlace-signing", "namespace": "bootlace"},
        "data": {"password": STANDARD.encode("hunter2")},
    });
    api.put(SECRET, theirs.clone());
    let replica = Replica::start(&api);
    until("the reason", async || replica.readiness.report().join(" ").contains("--signing-secret")).await;
    assert!(replica.key().is_none() && !replica.readiness.report().join(" ").contains("hunter2"));
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!((data(&api), api.writes(SECRET)), (theirs["data"].clone(), 0));
}
