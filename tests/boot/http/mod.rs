//! Sources that are fetched over the network, from real servers in this process, with TLS of a private CA.

pub(crate) mod archives;
mod failures;
mod gives;
mod optimus;
mod redirects;
pub(crate) mod server;

use serde_json::{Value, json};

use crate::support::{Container, Outcome};
use server::Server;

/// What must not show in anything that boot says.
const MARK: &str = "zq7Xv0hunter2";

/// A boot container whose client trusts the servers' CA, sends a marked header, and has a token.
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

    /// The source `assets` that asks `server`; `request` and `client` have further fields.
    fn source(&self, server: &Server, request: &Value, client: &Value) -> Value {
        let mut whole = json!({"url": server.url()});
        merge(&mut whole, request);
        let mut says = json!({
            "ca": {"configMap": "company-ca"},
            "headersFromSecret": "api",
            "token": {"audience": "assets"},
            "attempts": 1,
        });
        merge(&mut says, client);
        whole["client"] = says;
        self.remote("http", &whole)
    }

    fn remote(&self, kind: &str, request: &Value) -> Value {
        json!({
            "name": "assets",
            "limits": {"bytes": 1 << 20, "files": 100},
            "from": {kind: {"request": request, "path": self.container.beside("remote")}},
        })
    }

    /// Boots from `source`, and sees to it that nothing marked is said.
    fn boot(&self, source: &Value) -> Outcome {
        let outcome = self.container.boot(std::slice::from_ref(source));
        let error = outcome.result.as_ref().err();
        let said = format!("{} {} {error:?}", outcome.log, outcome.message);
        assert!(!said.contains(MARK), "{said}");
        outcome
    }

    /// Code and sentence of a boot that fails and leaves nothing behind.
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
