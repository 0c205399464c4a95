//! Requests to the store, including ones that boot would never send.

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

/// The store of the shared release, through its Service.
pub(super) struct Store {
    http: reqwest::Client,
}

const HOST: &str = "bootlace-store.bootlace.svc";

/// The value of a variable, which must not be in any log or response.
pub(super) const VALUE: &str = "zq7Xv0hunter2";

/// The status and the body of a response. The body is null if it is not JSON.
pub(super) type Response = (u16, Value);

/// Checks that a response has the status `expected` and the code, and that its message contains no value.
#[track_caller]
pub(super) fn refused(response: &Response, expected: u16, code: &str) {
    refused_for(response, expected, code, "");
}

/// The same, and the message contains `detail`, which distinguishes refusals with the same code.
pub(super) fn refused_for((status, body): &Response, expected: u16, code: &str, detail: &str) {
    let message = body["message"].as_str().unwrap_or_default();
    assert!(
        *status == expected && body["code"] == code && message.contains(detail),
        "expected {expected} {code} {detail}: {status} {body}"
    );
    assert!(!message.contains(VALUE), "{body}");
}

impl Store {
    /// Connects with the CA of the webhook.
    pub(super) async fn open(client: &Client) -> Result<Self> {
        let services: Api<Service> = Api::namespaced(client.clone(), install::NAMESPACE);
        let service = services.get("bootlace-store").await?;
        let address =
            service.spec.and_then(|spec| spec.cluster_ip).context("the Service has no cluster IP")?;
        let secrets: Api<Secret> = Api::namespaced(client.clone(), install::NAMESPACE);
        let secret = secrets.get("bootlace-tls").await?;
        let ca =
            secret.data.as_ref().and_then(|data| data.get("ca.crt")).context("the Secret has no ca.crt")?;
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
    pub(super) async fn put(&self, token: &str, body: impl Into<reqwest::Body>) -> Result<Response> {
        self.put_at("/v1/env", token, body).await
    }

    /// `PUT /v1/pipes/{key}` with any body.
    pub(super) async fn put_output(
        &self,
        token: &str,
        key: &str,
        body: impl Into<reqwest::Body>,
    ) -> Result<Response> {
        self.put_at(&format!("/v1/pipes/{key}"), token, body).await
    }

    /// `GET /v1/awaited/{object}`.
    pub(super) async fn get_awaited(&self, token: &str, object: &str) -> Result<Response> {
        let request = self.http.get(format!("https://{HOST}/v1/awaited/{object}")).bearer_auth(token);
        let response = request.send().await?;
        let status = response.status().as_u16();
        Ok((status, serde_json::from_slice(&response.bytes().await?).unwrap_or_default()))
    }

    async fn put_at(&self, path: &str, token: &str, body: impl Into<reqwest::Body>) -> Result<Response> {
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

/// A task pod that never starts, so that only the test uses its tokens.
pub(super) async fn gated(namespace: &Namespace, name: &str, command: Option<&str>) -> Result<Pod> {
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

/// The content of the annotation `bootlace.dev/injected`.
pub(super) fn injected_annotation(pod: &Pod) -> Value {
    serde_json::from_str(&pod.annotations()["bootlace.dev/injected"]).expect("the annotation is JSON")
}

/// The name of the Secret with the env of a pod.
pub(super) fn secret(pod: &Pod) -> String {
    injected_annotation(pod)["envSecret"].as_str().expect("the annotation names a Secret").to_owned()
}

/// A token of the default service account, bound to `pod` unless it is `None`.
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
    let created = accounts.create_token_request("default", &PostParams::default(), &request).await?;
    created.status.and_then(|status| status.token).context("the API server returned no token")
}

/// The token as if it had expired an hour ago, signed with the key of the API server.
pub(super) fn expired(token: &str) -> Result<String> {
    let mut parts = token.split('.');
    let (head, claims) = (parts.next().context("no header")?, parts.next().context("no claims")?);
    let mut claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims)?)?;
    for claim in ["iat", "nbf", "exp"] {
        claims[claim] = json!(claims[claim].as_i64().context("a claim is not a number")? - 4200);
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
