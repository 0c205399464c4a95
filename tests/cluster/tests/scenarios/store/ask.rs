//! Asking the store as boot would, and as boot never would.

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bootlace_cluster::images::PROBE;
use bootlace_cluster::install;
use bootlace_cluster::run::TOKEN_KEY;
use bootlace_cluster::scenario::{Namespace, kubeconfig};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, Secret, Service, ServiceAccount};
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt};
use rcgen::KeyPair;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};

/// The shared release's store, on its Service.
pub(super) struct Store {
    http: reqwest::Client,
}

const HOST: &str = "bootlace-store.bootlace.svc";

/// What no log and no answer may hold.
pub(super) const VALUE: &str = "zq7Xv0hunter2";

/// An answer: its status, and its body where that is JSON.
pub(super) type Answer = (u16, Value);

/// The response is an error with this code, and its message contains no value.
#[track_caller]
pub(super) fn refused((status, body): &Answer, expected: u16, code: &str) {
    let message = body["message"].as_str().unwrap_or_default();
    assert!(*status == expected && body["code"] == code, "not {expected} {code}, but {status} {body}");
    assert!(!message.contains(VALUE), "{body}");
}

impl Store {
    /// Trusts it by the CA that the webhook keeps.
    pub(super) async fn open(client: &Client) -> Result<Self> {
        let services: Api<Service> = Api::namespaced(client.clone(), install::NAMESPACE);
        let service = services.get("bootlace-store").await?;
        let address = service.spec.and_then(|spec| spec.cluster_ip).context("the Service has an address")?;
        let secrets: Api<Secret> = Api::namespaced(client.clone(), install::NAMESPACE);
        let secret = secrets.get("bootlace-tls").await?;
        let ca = secret.data.as_ref().and_then(|data| data.get("ca.crt")).context("the Secret holds a CA")?;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&ca.0)?)?;
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.with_root_certificates(roots).with_no_client_auth())
            .resolve(HOST, format!("{address}:443").parse()?)
            .no_proxy()
            .build()?;
        Ok(Self { http })
    }

    /// `PUT /v1/env` with any body.
    pub(super) async fn put(&self, token: &str, body: impl Into<reqwest::Body>) -> Result<Answer> {
        self.put_at("/v1/env", token, body).await
    }

    /// `PUT /v1/pipes/{key}` with any body.
    pub(super) async fn put_output(
        &self,
        token: &str,
        key: &str,
        body: impl Into<reqwest::Body>,
    ) -> Result<Answer> {
        self.put_at(&format!("/v1/pipes/{key}"), token, body).await
    }

    /// `GET /v1/awaited/{object}`.
    pub(super) async fn ask_for(&self, token: &str, object: &str) -> Result<Answer> {
        let request = self.http.get(format!("https://{HOST}/v1/awaited/{object}")).bearer_auth(token);
        let response = request.send().await?;
        let status = response.status().as_u16();
        Ok((status, serde_json::from_slice(&response.bytes().await?).unwrap_or_default()))
    }

    async fn put_at(&self, path: &str, token: &str, body: impl Into<reqwest::Body>) -> Result<Answer> {
        let request = self.http.put(format!("https://{HOST}{path}")).bearer_auth(token).body(body);
        let response = request.send().await?;
        let status = response.status().as_u16();
        Ok((status, serde_json::from_slice(&response.bytes().await?).unwrap_or_default()))
    }
}

/// A body with one variable.
pub(super) fn env(value: &str) -> String {
    json!({"env": {"A": base64::engine::general_purpose::STANDARD.encode(value)}}).to_string()
}

/// A task pod that never starts: its token can be had, and nobody else asks in its name.
pub(super) async fn held(namespace: &Namespace, name: &str, command: Option<&str>) -> Result<Pod> {
    let mut container = json!({"name": "main", "image": PROBE});
    if let Some(command) = command {
        container["command"] = json!([command]);
    }
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"bootlace.dev/task": "true"}},
        "spec": {"schedulingGates": [{"name": "bootlace-cluster/held"}], "containers": [container]},
    });
    created(namespace, &pod).await
}

/// A pod as the API server stored it.
pub(super) async fn created(namespace: &Namespace, pod: &Value) -> Result<Pod> {
    let name = namespace.create(&pod.to_string()).await?[0].object.name_any();
    Ok(namespace.api::<Pod>().get(&name).await?)
}

/// What Bootlace wrote on a pod.
pub(super) fn mark(pod: &Pod) -> Value {
    serde_json::from_str(&pod.annotations()["bootlace.dev/injected"]).expect("the annotation holds JSON")
}

/// The Secret that a pod takes its env from.
pub(super) fn secret(pod: &Pod) -> String {
    mark(pod)["envSecret"].as_str().expect("the annotation names a Secret").to_owned()
}

/// A token of the namespace's default service account, bound to `pod` where there is one.
pub(super) async fn token(namespace: &Namespace, pod: Option<&Pod>, audience: &str) -> Result<String> {
    let bound = pod.map(|pod| BoundObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Pod".to_owned()),
        name: Some(pod.name_any()),
        uid: pod.uid(),
    });
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: Some(vec![audience.to_owned()]),
            bound_object_ref: bound,
            expiration_seconds: Some(600),
            ..TokenRequestSpec::default()
        }),
        ..TokenRequest::default()
    };
    let accounts = namespace.api::<ServiceAccount>();
    let made = accounts.create_token_request("default", &PostParams::default(), &request).await?;
    made.status.and_then(|status| status.token).context("the API server made a token")
}

/// The same token, as it would be an hour after its end: signed with the API server's own key.
pub(super) fn expired(token: &str) -> Result<String> {
    let mut parts = token.split('.');
    let (head, claims) = (parts.next().context("a head")?, parts.next().context("claims")?);
    let mut claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims)?)?;
    for claim in ["iat", "nbf", "exp"] {
        claims[claim] = json!(claims[claim].as_i64().context("a time")? - 4200);
    }
    let signed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let pem = std::fs::read_to_string(kubeconfig()?.with_file_name(TOKEN_KEY))?;
    let (random, der) = (SystemRandom::new(), KeyPair::from_pem(&pem)?.serialize_der());
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der, &random);
    let key = key.map_err(|error| anyhow::anyhow!("read the key: {error}"))?;
    let signature = key.sign(&random, signed.as_bytes());
    let signature = signature.map_err(|_| anyhow::anyhow!("sign the token"))?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}
