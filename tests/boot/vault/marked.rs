//! Boots from Vault with marked values, for the test that no boot shows a value.

use serde_json::{Value, json};

use crate::http::server::{Asked, Reply, Server, ok, status};
use crate::secrets::{Case, MARK, bad, good};
use crate::support::Container;

/// Responses of Vault. The token of its login is marked, and so is everything that a client must not repeat.
pub(crate) fn answer(path: &str, echo: &str, asked: &Asked) -> Reply {
    let body = String::from_utf8_lossy(&asked.body).replace(['"', '\\'], "");
    let error = |code: u16, text: String| {
        status(code, &[], &json!({"errors": [text], "data": {"password": MARK}}).to_string())
    };
    match path {
        "/v1/auth/refused/login" => error(403, format!("{body} {echo}")),
        "/v1/auth/no-token/login" => ok(json!({"auth": {"client_token": "", "accessor": MARK}}).to_string()),
        path if path.ends_with("/login") => {
            ok(json!({"auth": {"client_token": format!("{MARK}-token"), "lease_duration": 60}}).to_string())
        }
        "/v1/secret/data/good" => ok(json!({"data": {"data": {"PASSWORD": MARK, "none": null}}}).to_string()),
        "/v1/secret/data/list" => ok(json!({"data": {"data": {"PASSWORD": [MARK]}}}).to_string()),
        "/v1/secret/data/nul" => ok(json!({"data": {"data": {"PASSWORD": format!("{MARK}\0")}}}).to_string()),
        "/v1/secret/data/no-json" => ok(format!("{{\"data\": {MARK}")),
        "/v1/secret/leased" => ok(json!({
            "lease_id": format!("creds/{MARK}"), "lease_duration": 1, "data": {"PASSWORD": MARK},
        })
        .to_string()),
        "/v1/secret/data/elsewhere" => {
            status(307, &[&format!("Location: https://u:{MARK}@elsewhere.invalid/{MARK}?{MARK}")], MARK)
        }
        _ => error(403, format!("{body} {echo}")),
    }
}

/// The cases. The token of the service account is mounted with the other credentials of remote sources.
pub(crate) fn cases(container: &Container, server: &Server) -> Vec<Case> {
    let vault = |auth: &str, secret: Value| {
        let request = json!({
            "address": server.url(),
            "auth": {"mount": auth, "role": "etl", "token": {"audience": "vault"}},
            "secrets": [secret],
            "client": {"ca": {"configMap": "company-ca"}, "attempts": 1},
        });
        let remote = json!({"request": request, "path": container.beside("remote")});
        vec![json!({"name": "assets", "from": {"vault": {"remote": remote}}})]
    };
    let env = |path: &str| json!({"mount": "secret", "path": path, "into": "Env"});
    let item = |key: &str| json!({"mount": "secret", "path": "good", "items": [{"key": key, "as": "a"}]});
    let leased = json!({
        "mount": "secret", "path": "leased", "engine": "Dynamic", "into": "Env", "data": {"comment": MARK},
    });
    let refused =
        json!({"mount": "secret", "path": "refused", "engine": "Dynamic", "data": {"comment": "x"}});
    vec![
        good("a secret as env, with a token that cannot be revoked", vault("jwt", env("good"))),
        good("a secret as a file", vault("jwt", item("PASSWORD"))),
        good("a lease that ends too early", vault("jwt", leased)),
        bad("a login that echoes the request", vault("refused", env("good"))),
        bad("a login without a token", vault("no-token", env("good"))),
        bad("a refusal that echoes the request", vault("jwt", refused)),
        bad("a redirect elsewhere", vault("jwt", env("elsewhere"))),
        bad("a missing key", vault("jwt", item("GONE"))),
        bad("a key that is null", vault("jwt", item("none"))),
        bad("a value that is a list", vault("jwt", env("list"))),
        bad("a NUL", vault("jwt", env("nul"))),
        bad("no JSON", vault("jwt", env("no-json"))),
    ]
}
