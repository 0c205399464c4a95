//! `HashiCorp` Vault, in the namespace of the tasks that read its secrets. It is no scheduler, but its build
//! needs minutes, too.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use bootlace_image::archive::Config;
use bootlace_image::layer::Layer;
use futures::FutureExt as _;
use k8s_openapi::api::core::v1 as core;
use kube::api::Api;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::{Value, json};

use super::{Client, IMAGES, app};
use crate::builds;
use crate::command::command;
use crate::images;
use crate::scenario::{LIMIT, Namespace};
use crate::stage::progressing;
use crate::wait::until_async;

/// The server, whose plugin for Kubernetes auth is in the same image.
pub const CLIENT: Client =
    Client { name: "vault", requirements: &[], prepare: || prepare().boxed(), short: false, demo: None };

const PACKAGES: [&str; 2] = [
    "github.com/hashicorp/vault",
    "github.com/hashicorp/vault-plugin-auth-kubernetes/cmd/vault-plugin-auth-kubernetes",
];
/// The type of the auth method: the name of its program.
const KUBERNETES: &str = "vault-plugin-auth-kubernetes";
/// The token of the administrator.
const ROOT: &str = "root-of-the-tests";
/// The address for tasks. The certificate has this name.
pub const ADDRESS: &str = "https://vault:8443";
/// The `ConfigMap` with the CA of the certificate.
pub const CA: &str = "vault-ca";

/// A second listener, because that of a development server has no TLS.
const CONFIG: &str = r#"
listener "tcp" {
  address       = "0.0.0.0:8443"
  tls_cert_file = "/tls/tls.crt"
  tls_key_file  = "/tls/tls.key"
}
"#;

async fn prepare() -> Result<Vec<PathBuf>> {
    let root = images::root();
    let folder = progressing("building Vault", async |progress| {
        let flags = ["-tags".to_owned(), "minimal".to_owned()];
        let total = builds::go_download(&root.join("tests/vault"), &flags, &PACKAGES, progress).await?;
        builds::go_build(&mut command(root.join("hack/vault-server")), total, progress).await
    });
    let folder = PathBuf::from(folder.await?.trim());
    if !folder.join(IMAGES).exists() {
        let layer = Layer::new()
            .program("/bin/vault", &folder.join("vault"))?
            .program(&format!("/plugins/{KUBERNETES}"), &folder.join(KUBERNETES))?
            .folder("/tmp", 0o1777);
        let config = Config { env: vec!["PATH=/bin".to_owned()], ..Config::default() };
        super::write_image(&folder, "vault", &layer, &config)?;
    }
    Ok(vec![folder])
}

/// Starts Vault as the Service `vault`, with Kubernetes auth at `kubernetes`. It lets the API server of the
/// cluster review tokens.
///
/// # Errors
/// If an object is refused, or Vault is not ready in time.
pub async fn start(namespace: &Namespace) -> Result<()> {
    for object in objects(namespace).await? {
        namespace.create(&object.to_string()).await?;
    }
    namespace.pod_ready("vault").await?;
    until_async(LIMIT, "Vault is sealed", async || vault(namespace, &["status"]).await).await?;
    vault(namespace, &["auth", "enable", "-path=kubernetes", KUBERNETES]).await?;
    // With the token and the CA that the kubelet mounts.
    let host = "kubernetes_host=https://kubernetes.default.svc";
    vault(namespace, &["write", "auth/kubernetes/config", host]).await?;
    Ok(())
}

/// Runs the command line of Vault as the administrator, and returns its output.
///
/// # Errors
/// If the command fails.
pub async fn vault(namespace: &Namespace, arguments: &[&str]) -> Result<String> {
    let output = namespace.exec("vault", "main", &[&["vault"], arguments].concat()).await?;
    ensure!(output.succeeded, "vault {}: {}", arguments.join(" "), output.stderr);
    String::from_utf8(output.stdout).context("the output of vault is not UTF-8")
}

async fn objects(namespace: &Namespace) -> Result<Vec<Value>> {
    let name = namespace.name();
    // Deleted with the namespace.
    let home = Api::<core::Namespace>::all(namespace.client()).get(name).await?;
    let uid = home.metadata.uid.context("the namespace has no UID")?;
    let owner = json!({"apiVersion": "v1", "kind": "Namespace", "name": name, "uid": uid});
    let tls = certificate()?;
    let config_maps =
        [app::config_map("vault", [("vault.hcl", CONFIG)]), app::config_map(CA, [("ca.crt", &*tls.ca)])];
    let mut objects = vec![
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "vault"}}),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": format!("{name}-vault"), "ownerReferences": [owner]},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:auth-delegator"},
            "subjects": [{"kind": "ServiceAccount", "name": "vault", "namespace": name}],
        }),
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "vault-tls"},
            "stringData": {"tls.crt": tls.certificate, "tls.key": tls.key},
        }),
    ];
    for config_map in config_maps {
        objects.push(serde_json::from_str(&config_map)?);
    }
    let mount = |name: &str, path: &str| json!({"name": name, "mountPath": path, "readOnly": true});
    let variable = |name: &str, value: &str| json!({"name": name, "value": value});
    objects.push(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "vault", "labels": {"app": "vault"}},
        "spec": {
            "serviceAccountName": "vault", "terminationGracePeriodSeconds": 0,
            "containers": [{
                "name": "main", "image": "localhost/vault:test", "imagePullPolicy": "Never",
                "command": [
                    "vault", "server", "-dev", "-dev-no-store-token", format!("-dev-root-token-id={ROOT}"),
                    "-dev-listen-address=127.0.0.1:8200", "-dev-plugin-dir=/plugins", "-config=/config/vault.hcl",
                ],
                "env": [
                    variable("HOME", "/tmp"), variable("VAULT_ADDR", "http://127.0.0.1:8200"), variable("VAULT_TOKEN", ROOT),
                ],
                "readinessProbe": {"tcpSocket": {"port": 8443}, "periodSeconds": 1},
                "volumeMounts": [mount("config", "/config"), mount("tls", "/tls")],
            }],
            "volumes": [
                {"name": "config", "configMap": {"name": "vault"}},
                {"name": "tls", "secret": {"secretName": "vault-tls"}},
            ],
        },
    }));
    objects.push(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "vault"},
        "spec": {"selector": {"app": "vault"}, "ports": [{"port": 8443}]},
    }));
    Ok(objects)
}

/// A certificate, its key and its CA, in PEM format.
struct Tls {
    certificate: String,
    key: String,
    ca: String,
}

fn certificate() -> Result<Tls> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "the CA of Vault");
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(["vault".to_owned()])?.signed_by(&key, &authority)?;
    Ok(Tls { certificate: certificate.pem(), key: key.serialize_pem(), ca: authority.pem() })
}
