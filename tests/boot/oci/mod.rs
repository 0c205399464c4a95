//! The `oci` source, with Debian's docker-registry, which has TLS with a private CA and a password, and with
//! a server in this process for special behavior.

mod behavior;
pub(crate) mod marked;
mod refused;
mod success;

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};

use bootlace_test_registry::{Access, Blob, PASSWORD, Registry, manifest};
use serde_json::{Value, json};

use crate::http::archives::{FOLDER, Packed, REGULAR, gzip, tar};
use crate::support::{Container, Outcome};

/// A value that must not appear in any output of boot.
const MARK: &str = "zq7Xv0hunter2";

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A registry with a password.
fn registry() -> Registry {
    Registry::start(LOOPBACK, Access::Password).unwrap()
}

fn wait<T>(future: impl Future<Output = anyhow::Result<T>>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future).unwrap()
}

/// Pushes an image with these layers, starting with the lowest.
fn push_image(registry: &Registry, tag: &str, layers: &[&[Packed<'_>]]) -> Blob {
    wait(async {
        let config = registry.blob("team/image", CONFIG, format!("{{\"tag\": \"{tag}\"}}")).await?;
        let mut blobs = Vec::new();
        for layer in layers {
            blobs.push(registry.blob("team/image", LAYER, gzip(&tar(layer))).await?);
        }
        registry.manifest("team/image", tag, &manifest(&config, &blobs)).await
    })
}

/// A boot container that trusts the registry's CA and has its pull secret.
struct Client {
    container: Container,
    host: String,
}

impl Client {
    fn new(registry: &Registry) -> Self {
        Self::of(registry.host(), registry.ca(), &registry.pull_secret(PASSWORD))
    }

    fn of(host: &str, ca: &str, pull_secret: &str) -> Self {
        let container = Container::new();
        container.mount("remote/ca", [("ca.crt", ca.as_bytes())]);
        container.mount("remote/pull-secret", [(".dockerconfigjson", pull_secret.as_bytes())]);
        Self { container, host: host.to_owned() }
    }

    /// The source `assets` with the reference `name`; `more` has additional fields of the request, including
    /// `client`.
    fn source(&self, name: &str, more: &Value) -> Value {
        let mut request = json!({
            "reference": format!("{}/{name}", self.host),
            "pullSecret": "registry",
            "client": {"ca": {"configMap": "company-ca"}, "attempts": 1},
        });
        for (field, value) in more.as_object().unwrap() {
            if field == "client" {
                for (field, value) in value.as_object().unwrap() {
                    request["client"][field] = value.clone();
                }
            } else {
                request[field] = value.clone();
            }
        }
        json!({
            "name": "assets",
            "limits": {"bytes": 1 << 20, "files": 100},
            "from": {"oci": {"request": request, "path": self.container.beside("remote")}},
        })
    }

    /// Boots, and checks that the output contains no password.
    fn boot(&self, source: &Value) -> Outcome {
        let outcome = self.container.boot(std::slice::from_ref(source));
        let error = outcome.result.as_ref().err();
        let output = format!("{} {} {error:?}", outcome.log, outcome.message);
        assert!(!output.contains(MARK), "{output}");
        outcome
    }

    /// The files of a successful boot, as `path=content`.
    fn files(&self, source: &Value) -> Vec<String> {
        self.boot(source).log();
        let files = self.container.assets().into_iter();
        files.map(|(path, content)| format!("{path}={}", String::from_utf8(content).unwrap())).collect()
    }

    /// Exit code and message of a boot that fails and leaves nothing behind: the message without the name of
    /// the source, and with `HOST` in place of the registry's address.
    fn failure(&self, source: &Value) -> (u8, String) {
        let (exit_code, message) = self.boot(source).failure();
        assert!(!self.container.at("env/environ").exists());
        assert!(self.container.assets().is_empty(), "{message}");
        let (_, message) = message.split_once("of BootProfile \"default\": ").unwrap();
        (exit_code, message.replace(&self.host, "HOST"))
    }
}

fn file(name: &'static str, content: &'static str) -> Packed<'static> {
    (REGULAR, name, content.as_bytes())
}

fn folder(name: &'static str) -> Packed<'static> {
    (FOLDER, name, b"")
}
