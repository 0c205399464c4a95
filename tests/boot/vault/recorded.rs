//! Responses that a real Vault has sent to requests like those of boot. Secrets in them are replaced.

use std::path::Path;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Target;
use crate::http::server::{Asked, Reply, Server, status};

pub(super) const FILE: &str = concat!(env!("BOOTLACE_ROOT"), "/tests/boot/vault/recorded.json");

/// A request, and the response of Vault.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Exchange {
    /// Method and target of the request: `GET /v1/secret/data/a`.
    pub(super) line: String,
    /// The body of the request, without the token of a login.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub(super) body: Value,
    /// The status of the response.
    #[serde(default)]
    pub(super) status: u16,
    /// The body of the response; `null` if it is empty.
    #[serde(default)]
    pub(super) response: Value,
}

/// All exchanges.
pub(super) fn all() -> &'static [Exchange] {
    static ALL: LazyLock<Vec<Exchange>> = LazyLock::new(|| {
        let text = std::fs::read_to_string(Path::new(FILE)).unwrap();
        serde_json::from_str(&text).unwrap()
    });
    &ALL
}

/// The recorded response to a request of boot.
pub(super) fn answer(asked: &Asked) -> Reply {
    let mut body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
    let is_login = asked.line.ends_with("/login");
    if let Some(body) = body.as_object_mut().filter(|_| is_login) {
        assert_eq!(body.remove("jwt"), Some(JWT.into()));
    }
    let has_token = asked.headers.iter().any(|line| line.starts_with("x-vault-token: hvs."));
    assert_eq!(has_token, !is_login, "{asked:?}");
    assert!(asked.headers.contains(&"x-vault-request: true".to_owned()), "{asked:?}");
    let found = all().iter().find(|exchange| exchange.line == asked.line && exchange.body == body);
    assert!(found.is_some(), "no response to {} {body} is recorded", asked.line);
    let Exchange { status: code, response, .. } = found.unwrap();
    let text = if response.is_null() { String::new() } else { response.to_string() };
    status(*code, &["Content-Type: application/json"], &text)
}

/// The token of the service account.
const JWT: &str = "eyJzq7Xv0hunter2.jwt";

/// A server with these responses, and its target.
pub(super) fn vault() -> (Server, Target) {
    serving(|asked, _| answer(asked))
}

/// A server that answers as `answer` does.
pub(super) fn serving(answer: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> (Server, Target) {
    let server = Server::tls(answer);
    let target = Target { url: server.url(), jwt: JWT.to_owned() };
    (server, target)
}
