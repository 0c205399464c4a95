//! `vault`. The tests in `shared` run twice: with a server in this process that sends the recorded responses
//! of a real Vault (`recorded.json`), and with a real Vault, which `make test-vault` builds and starts.

pub(crate) mod marked;
mod protocol;
mod real;
mod recorded;
mod shared;

use serde_json::{Value, json};

use crate::http::{merge, server};
use crate::support::{Container, Outcome};

/// A part of each secret value, which must not appear in any output of boot.
const MARK: &str = "zq7Xv0hunter2";

/// A Vault, and the token of a service account that can log in.
struct Target {
    url: String,
    jwt: String,
}

impl Target {
    /// A boot container with the token.
    fn container(&self) -> Container {
        let container = Container::new();
        container.mount("vault/ca", [("ca.crt", server::ca().as_bytes())]);
        container.mount("vault/token", [("token", format!("{}\n", self.jwt).as_bytes())]);
        container
    }

    /// The source `vault` with these secrets; `more` has additional settings.
    fn source(&self, container: &Container, secrets: &[Value], more: &Value) -> Value {
        let mut request = json!({
            "address": self.url,
            "auth": {"method": "Jwt", "role": "etl", "token": {"audience": "vault"}},
            "secrets": secrets,
            "client": {"ca": {"configMap": "company-ca"}, "attempts": 1},
        });
        merge(&mut request, more);
        json!({
            "name": "vault",
            "limits": {"bytes": 1 << 20, "files": 100},
            "from": {"vault": {"remote": {"request": request, "path": container.beside("vault")}}},
        })
    }

    /// Boots, and returns the log.
    fn boot(&self, container: &Container, secrets: &[Value], more: &Value) -> String {
        boot(container, &self.source(container, secrets, more)).log()
    }

    /// Exit code and message of a boot that fails.
    fn failure(&self, secrets: &[Value], more: &Value) -> (u8, String) {
        let container = self.container();
        let failure = boot(&container, &self.source(&container, secrets, more)).failure();
        assert!(!container.at("env/environ").exists() && container.assets().is_empty(), "{failure:?}");
        failure
    }
}

/// Boots from `source`, and checks that the output contains no marked value and no token.
fn boot(container: &Container, source: &Value) -> Outcome {
    let outcome = container.boot(std::slice::from_ref(source));
    let error = outcome.result.as_ref().err();
    let output = format!("{} {} {error:?}", outcome.log, outcome.message);
    for secret in [MARK, "hvs.", "eyJ"] {
        assert!(!output.contains(secret), "{output}");
    }
    outcome
}

/// A secret in the key-value engine at `secret`.
fn secret(path: &str, more: &Value) -> Value {
    let mut secret = json!({"mount": "secret", "path": path});
    merge(&mut secret, more);
    secret
}

/// A certificate of the PKI engine, as files.
fn certificate(name: &str) -> Value {
    let item = |key: &str, file: &str| json!({"key": key, "as": file});
    json!({
        "mount": "pki", "path": "issue/tasks", "engine": "Dynamic", "data": {"common_name": name},
        "prefix": "tls/", "items": [item("certificate", "tls.crt"), item("private_key", "tls.key")],
    })
}
