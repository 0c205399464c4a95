//! Sources on the network, with real servers in this process that have TLS with a private CA.

pub(crate) mod archives;
mod failures;
mod optimus;
mod redirects;
pub(crate) mod server;
mod store;
mod success;

use serde_json::{Value, json};

use crate::support::{Container, Outcome};
use server::Server;

/// A value that must not appear in any output of boot.
const MARK: &str = "zq7Xv0hunter2";

/// A boot container whose client trusts the CA of the servers, sends a marked header, and has a token.
struct Client {
    container: Container,
}

impl Client {
    fn new() -> Self {
        let container = Container::new();
        container.mount("remote/ca", [("ca.crt", server::ca().as_bytes())]);
        container.mount("remote/headers", [("X-Api-Key", format!("{MARK}-key\n").as_bytes())]);
        container.mount("remote/token", [("token", format!("{MARK}-token").as_bytes())]);
        Self { container }
    }

    /// The source `assets` with requests to `server`; `request` and `client` have additional fields.
    fn source(&self, server: &Server, request: &Value, client: &Value) -> Value {
        let mut whole = json!({"url": server.url()});
        merge(&mut whole, request);
        let mut settings = json!({
            "ca": {"configMap": "company-ca"},
            "headersFromSecret": "api",
            "token": {"audience": "assets"},
            "attempts": 1,
        });
        merge(&mut settings, client);
        whole["client"] = settings;
        self.remote("http", &whole)
    }

    fn remote(&self, kind: &str, request: &Value) -> Value {
        json!({
            "name": "assets",
            "limits": {"bytes": 1 << 20, "files": 100},
            "from": {kind: {"request": request, "path": self.container.beside("remote")}},
        })
    }

    /// Boots from `source`, and checks that the output contains no marked value.
    fn boot(&self, source: &Value) -> Outcome {
        let outcome = self.container.boot(std::slice::from_ref(source));
        let error = outcome.result.as_ref().err();
        let output = format!("{} {} {error:?}", outcome.log, outcome.message);
        assert!(!output.contains(MARK), "{output}");
        outcome
    }

    /// Exit code and message of a boot that fails and leaves nothing behind.
    fn failure(&self, source: &Value) -> (u8, String) {
        let failure = self.boot(source).failure();
        assert!(!self.container.at("env/environ").exists());
        assert!(self.container.assets().is_empty(), "{failure:?}");
        failure
    }
}

pub(crate) fn merge(into: &mut Value, more: &Value) {
    for (field, value) in more.as_object().unwrap() {
        into[field] = value.clone();
    }
}
