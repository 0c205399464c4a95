//! Another mutating webhook, in the process of the test on the address of the node. It appends a native
//! sidecar to pods, like a service mesh.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bootlace_cluster::images::BUSYBOX;
use bootlace_cluster::node::ADDRESS;
use bootlace_cluster::scenario::Namespace;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use rcgen::KeyPair;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

/// The sidecar that it appends.
pub(crate) const SIDECAR: &str = "mesh-proxy";

/// The timeout of an idle connection.
const TIMEOUT: Duration = Duration::from_mins(5);

/// A webhook for the pods of one namespace.
pub(crate) struct Mutator {
    configurations: Api<MutatingWebhookConfiguration>,
    name: String,
}

impl Mutator {
    /// Starts the webhook. The name of its configuration sorts after those of Bootlace, so that it is called
    /// later.
    pub(crate) async fn start(namespace: &Namespace) -> Result<Self> {
        let key = KeyPair::generate()?;
        let certificate = rcgen::CertificateParams::new([ADDRESS.to_string()])?.self_signed(&key)?;
        let bundle = STANDARD.encode(certificate.pem());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.into()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))?;
        let config = Arc::new(config);
        let listener = TcpListener::bind((ADDRESS, 0))?;
        let port = listener.local_addr()?.port();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let config = Arc::clone(&config);
                thread::spawn(move || serve(stream, config));
            }
        });
        let name = format!("zz-mesh-{}", namespace.name());
        let configuration = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": name},
            "webhooks": [{
                "name": "mesh.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
                "reinvocationPolicy": "IfNeeded", "timeoutSeconds": 10,
                "clientConfig": {"url": format!("https://{ADDRESS}:{port}/"), "caBundle": bundle},
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace.name()}},
                "rules": [{
                    "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"],
                }],
            }],
        });
        let configurations = Api::all(namespace.client());
        configurations.create(&PostParams::default(), &serde_json::from_value(configuration)?).await?;
        Ok(Self { configurations, name })
    }

    /// Removes its configuration.
    pub(crate) async fn remove(self) -> Result<()> {
        self.configurations
            .delete(&self.name, &DeleteParams::default())
            .await
            .map(drop)
            .context("delete the webhook configuration of the mesh")
    }
}

/// Responds to requests until the connection is closed.
fn serve(stream: TcpStream, config: Arc<ServerConfig>) -> Result<()> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut stream = BufReader::new(StreamOwned::new(ServerConnection::new(config)?, stream));
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            ensure!(stream.read_line(&mut line)? > 0, "the connection is closed");
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        let response = serde_json::to_vec(&respond(&serde_json::from_slice(&body)?))?;
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            response.len()
        );
        stream.get_mut().write_all(&[head.as_bytes(), &response].concat())?;
        stream.get_mut().flush()?;
    }
}

fn respond(review: &Value) -> Value {
    let containers = review.pointer("/request/object/spec/initContainers").and_then(Value::as_array);
    let mut response = json!({"uid": review["request"]["uid"], "allowed": true});
    if !containers.into_iter().flatten().any(|container| container["name"] == SIDECAR) {
        let sidecar = json!({
            "name": SIDECAR, "image": BUSYBOX, "restartPolicy": "Always",
            "command": ["sh", "-c", "trap exit TERM; sleep 1000 & wait"],
        });
        let patch = match containers {
            Some(_) => json!([{"op": "add", "path": "/spec/initContainers/-", "value": sidecar}]),
            None => json!([{"op": "add", "path": "/spec/initContainers", "value": [sidecar]}]),
        };
        response["patchType"] = json!("JSONPatch");
        response["patch"] = json!(STANDARD.encode(patch.to_string()));
    }
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
}
