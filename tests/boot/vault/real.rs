//! Boots from a real Vault, a development server of the community edition on the loopback. `make test-vault`
//! runs these tests, because building Vault takes minutes.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::recorded::{self, Exchange};
use super::{MARK, Target, boot, certificate, secret, shared};
use crate::object_store::servers::{Server, program, start};
use crate::object_store::stores::client;
use crate::support::code;

/// The subject of the token of the service account.
const SUBJECT: &str = "system:serviceaccount:etl:default";
/// The token of the administrator.
const ROOT: &str = "root-of-the-tests";
/// What the role of the tests may do.
const POLICY: &str = r#"
path "secret/data/etl/*" { capabilities = ["read"] }
path "secret/etl/*" { capabilities = ["read"] }
path "kv1/*" { capabilities = ["read"] }
path "pki/issue/tasks" { capabilities = ["create", "read", "update"] }
"#;

/// A running Vault with the secrets of the tests.
struct Vault {
    server: Server,
    target: Target,
    runtime: Runtime,
    key: rcgen::KeyPair,
}

/// The folder of its program, which is built if necessary.
fn installed() -> &'static PathBuf {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let script = concat!(env!("BOOTLACE_ROOT"), "/hack/vault-server");
        let done = Command::new(script).stderr(Stdio::inherit()).output().unwrap();
        assert!(done.status.success(), "{script} failed");
        String::from_utf8(done.stdout).unwrap().trim().into()
    });
    &FOLDER
}

impl Vault {
    fn start() -> Self {
        let vault = installed().join("vault");
        let server = start(|folder, port| {
            let mut command = program(&vault);
            command.args(["server", "-dev", "-dev-no-store-token"]).env("HOME", folder).current_dir(folder);
            command.arg(format!("-dev-root-token-id={ROOT}"));
            command.arg(format!("-dev-listen-address=127.0.0.1:{port}"));
            command
        });
        let url = format!("http://127.0.0.1:{}", server.port);
        let key = rcgen::KeyPair::generate().unwrap();
        let jwt = sign(&key, &claims(SUBJECT, "vault", 600));
        let target = Target { url, jwt };
        let vault = Self { server, target, runtime: Runtime::new().unwrap(), key };
        let deadline = Instant::now() + Duration::from_mins(1);
        // The server accepts connections before it has unsealed itself.
        while vault.ask("GET", "sys/health", None, &Value::Null).0 != 200 {
            assert!(Instant::now() < deadline, "Vault is not ready");
            std::thread::yield_now();
        }
        vault.fill();
        vault
    }

    /// Creates the secrets, and a role that may read them.
    fn fill(&self) {
        self.admin("POST", "sys/auth/jwt", &json!({"type": "jwt"}));
        let keys = json!({"jwt_validation_pubkeys": [self.key.public_key_pem()]});
        self.admin("POST", "auth/jwt/config", &keys);
        for (role, subject) in [("etl", SUBJECT), ("other", "system:serviceaccount:other:default")] {
            let role_settings = json!({
                "role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"], "bound_subject": subject,
                "token_policies": ["etl"], "token_ttl": "1h",
            });
            self.admin("POST", &format!("auth/jwt/role/{role}"), &role_settings);
        }
        self.admin("POST", "sys/policies/acl/etl", &json!({"policy": POLICY}));

        let data = |data: Value| json!({"data": data});
        self.admin("POST", "secret/data/etl/warehouse", &data(json!({"user": "old"})));
        let warehouse = json!({
            "user": "etl", "password": format!("{MARK} \"€\"\n"), "port": 5432, "active": true, "nothing": null,
        });
        self.admin("POST", "secret/data/etl/warehouse", &data(warehouse));
        for name in ["deleted", "destroyed"] {
            self.admin("POST", &format!("secret/data/etl/{name}"), &data(json!({"a": MARK})));
        }
        self.admin("DELETE", "secret/data/etl/deleted", &Value::Null);
        self.admin("POST", "secret/destroy/etl/destroyed", &json!({"versions": [1]}));
        self.admin("POST", "sys/mounts/kv1", &json!({"type": "kv", "options": {"version": "1"}}));
        self.admin("POST", "kv1/etl", &json!({"token": format!("{MARK}-kv1")}));

        self.admin("POST", "sys/mounts/pki", &json!({"type": "pki"}));
        let root = json!({"common_name": "tests", "key_type": "ec"});
        self.admin("POST", "pki/root/generate/internal", &root);
        let tasks = json!({
            "allowed_domains": ["example.com"], "allow_subdomains": true, "key_type": "ec", "ttl": "10m",
            "generate_lease": true,
        });
        self.admin("POST", "pki/roles/tasks", &tasks);
    }

    /// Sends a request as the administrator.
    fn admin(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, response) = self.ask(method, path, Some(ROOT), body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {response}");
        response
    }

    fn ask(&self, method: &str, path: &str, token: Option<&str>, body: &Value) -> (u16, Value) {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = client().request(method, format!("{}/v1/{path}", self.target.url));
        if let Some(token) = token {
            request = request.header("X-Vault-Token", token);
        }
        if !body.is_null() {
            request = request.body(body.to_string());
        }
        self.runtime.block_on(async {
            let response = request.send().await.unwrap();
            let status = response.status().as_u16();
            (status, serde_json::from_str(&response.text().await.unwrap()).unwrap_or_default())
        })
    }

    /// The names in a list, which is empty if it does not exist.
    fn list(&self, path: &str) -> Vec<String> {
        let (_, response) = self.ask("LIST", path, Some(ROOT), &Value::Null);
        serde_json::from_value(response["data"]["keys"].clone()).unwrap_or_default()
    }

    /// Waits until a list has so many names. Vault revokes leases in the background.
    fn has(&self, path: &str, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.list(path).len() != count {
            assert!(Instant::now() < deadline, "{path}: {:?}", self.list(path));
            std::thread::yield_now();
        }
    }

    /// Logs in as boot does, and returns the token.
    fn log_in(&self) -> String {
        let login = json!({"role": "etl", "jwt": self.target.jwt});
        let (_, response) = self.ask("POST", "auth/jwt/login", None, &login);
        response["auth"]["client_token"].as_str().unwrap().to_owned()
    }
}

/// The claims of a token for a service account, which expires after `seconds`.
fn claims(subject: &str, audience: &str, seconds: i64) -> Value {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let now = i64::try_from(now).unwrap();
    json!({"iss": "tests", "sub": subject, "aud": [audience], "iat": now, "nbf": now - 600, "exp": now + seconds})
}

/// A JSON Web Token with `claims`.
fn sign(key: &rcgen::KeyPair, claims: &Value) -> String {
    let encode = |part: &[u8]| URL_SAFE_NO_PAD.encode(part);
    let header = json!({"alg": "ES256", "typ": "JWT"});
    let text = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
    let random = SystemRandom::new();
    let key =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.serialize_der(), &random).unwrap();
    let signature = key.sign(&random, text.as_bytes()).unwrap();
    format!("{text}.{}", encode(signature.as_ref()))
}

/// The tests that the recorded responses pass too.
#[test]
#[ignore = "builds Vault: run make test-vault"]
fn it_behaves_as_recorded() {
    let vault = Vault::start();
    shared::each_engine_becomes_env_and_files(&vault.target);
    shared::a_key_that_is_null_is_left_out(&vault.target);
    shared::an_error_names_what_to_change(&vault.target);
    shared::a_lease_that_ends_before_the_task_is_a_warning(&vault.target);
}

#[test]
#[ignore = "builds Vault: run make test-vault"]
fn a_token_is_revoked_unless_a_lease_was_granted_with_it() {
    let vault = Vault::start();
    let (tokens, leases) = ("auth/token/accessors", "sys/leases/lookup/pki/issue/tasks");
    // That of the administrator.
    vault.has(tokens, 1);
    let target = &vault.target;
    target.boot(&target.container(), &[secret("etl/warehouse", &json!({}))], &json!({}));
    vault.has(tokens, 1);

    let secrets = [certificate("load.example.com"), secret("denied", &json!({}))];
    target.failure(&secrets, &json!({}));
    vault.has(tokens, 1);
    vault.has(leases, 0);

    target.boot(&target.container(), &[certificate("load.example.com")], &json!({}));
    assert_eq!((vault.list(tokens).len(), vault.list(leases).len()), (2, 1));
}

#[test]
#[ignore = "builds Vault: run make test-vault"]
fn a_login_that_vault_does_not_accept_anymore_is_refused() {
    let vault = Vault::start();
    let secrets = [secret("etl/warehouse", &json!({}))];
    let refused = |jwt: String, parts: &[&str]| {
        let target = Target { jwt, url: vault.target.url.clone() };
        let (exit_code, message) = target.failure(&secrets, &json!({}));
        assert_eq!((exit_code, code(&message)), (69, "BL2204"), "{message}");
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    };
    let signed = |claims: &Value| sign(&vault.key, claims);
    refused(signed(&claims(SUBJECT, "another", 600)), &["audience", "vault.auth.role"]);
    refused(signed(&claims(SUBJECT, "vault", -300)), &["expired"]);
    let other = rcgen::KeyPair::generate().unwrap();
    refused(sign(&other, &claims(SUBJECT, "vault", 600)), &["signature"]);

    let target = &vault.target;
    target.boot(&target.container(), &secrets, &json!({}));
    vault.admin("DELETE", "auth/jwt/role/etl", &Value::Null);
    refused(vault.target.jwt.clone(), &["role \\\"etl\\\" could not be found", "correct vault.auth.role"]);
}

#[test]
#[ignore = "builds Vault: run make test-vault"]
fn a_sealed_vault_is_named() {
    let vault = Vault::start();
    vault.admin("POST", "sys/seal", &Value::Null);
    let (exit_code, message) = vault.target.failure(&[secret("etl/warehouse", &json!({}))], &json!({}));
    assert_eq!((exit_code, code(&message)), (75, "BL2205"), "{message}");
    assert!(message.contains("503 Service Unavailable (\"Vault is sealed\"): unseal Vault"), "{message}");
}

/// The community edition has no namespaces, and ignores the header. `protocol` checks that it is sent.
#[test]
#[ignore = "builds Vault: run make test-vault"]
fn the_community_edition_ignores_the_namespace() {
    let vault = Vault::start();
    let container = vault.target.container();
    let secrets = [secret("etl/warehouse", &json!({"exclude": ["nothing"]}))];
    let source = vault.target.source(&container, &secrets, &json!({"namespace": "teams/etl"}));
    boot(&container, &source).log();
    assert_eq!(container.assets()["user"], b"etl");
}

/// The requests that the file of recorded responses contains.
fn requests() -> Vec<Exchange> {
    let exchange =
        |line: &str, body: Value| Exchange { line: line.to_owned(), body, status: 0, response: Value::Null };
    let login =
        |mount: &str, role: &str| exchange(&format!("POST /v1/auth/{mount}/login"), json!({"role": role}));
    let issue = |name: &str| exchange("POST /v1/pki/issue/tasks", json!({"common_name": name}));
    let get = |path: &str| exchange(&format!("GET /v1/{path}"), Value::Null);
    vec![
        login("jwt", "etl"),
        login("jwt", "gone"),
        login("jwt", "other"),
        login("none", "etl"),
        get("secret/data/etl/warehouse"),
        get("secret/data/etl/warehouse?version=1"),
        get("secret/data/etl/gone"),
        get("secret/data/etl/deleted"),
        get("secret/data/etl/destroyed"),
        get("secret/data/denied"),
        get("secret/etl/warehouse"),
        get("kv1/etl"),
        get("kv1/data/etl"),
        get("pki/issue/tasks"),
        issue("load.example.com"),
        issue("evil.org"),
        exchange("POST /v1/auth/token/revoke-self", Value::Null),
    ]
}

/// Replaces secrets, and what is different each time.
fn recordable(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match (name.as_str(), &mut *value) {
                    ("client_token", Value::String(text)) => "hvs.recorded".clone_into(text),
                    ("certificate" | "private_key", Value::String(text)) => {
                        *text = text.lines().next().unwrap_or_default().to_owned();
                    }
                    ("lease_id", Value::String(text)) if !text.is_empty() => {
                        "pki/issue/tasks/recorded".clone_into(text);
                    }
                    // The whole seconds that are left.
                    ("lease_duration", number) if number == 600 => *number = json!(599),
                    ("expiration", number) => *number = json!(0),
                    (
                        "accessor" | "authority_key_id" | "created_time" | "entity_id" | "issuing_ca"
                        | "request_id" | "serial_number",
                        Value::String(text),
                    ) => "recorded".clone_into(text),
                    ("deletion_time", Value::String(text)) if !text.is_empty() => {
                        "2026-11-30T17:00:00.000000000Z".clone_into(text);
                    }
                    ("ca_chain", chain) => *chain = json!(["recorded"]),
                    (_, value) => recordable(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(recordable),
        _ => {}
    }
}

/// `UPDATE_RECORDED=1 make test-vault` writes the file.
#[test]
#[ignore = "builds Vault: run make test-vault"]
#[allow(clippy::disallowed_methods, reason = "the variable is for the person who runs the test")]
fn the_recorded_responses_are_those_of_vault() {
    let vault = Vault::start();
    let token = vault.log_in();
    let mut exchanges = requests();
    for exchange in &mut exchanges {
        let (method, path) = exchange.line.split_once(" /v1/").unwrap();
        let mut body = exchange.body.clone();
        let is_login = path.ends_with("/login");
        if is_login {
            body["jwt"] = json!(vault.target.jwt);
        }
        (exchange.status, exchange.response) =
            vault.ask(method, path, Some(&*token).filter(|_| !is_login), &body);
        recordable(&mut exchange.response);
    }
    let mut text = serde_json::to_string_pretty(&exchanges).unwrap();
    text.push('\n');
    if std::env::var_os("UPDATE_RECORDED").is_some() {
        std::fs::write(recorded::FILE, text).unwrap();
    } else {
        let recorded = std::fs::read_to_string(recorded::FILE).unwrap();
        assert_eq!(recorded, text, "write the file with UPDATE_RECORDED=1 make test-vault");
    }
    assert!(vault.server.folder.path().exists());
}
