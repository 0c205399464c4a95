//! Tests for both targets: the recorded responses, and a real Vault.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{MARK, Target, certificate, secret};
use crate::support::code;

/// What the fixtures of the real Vault contain, and so do the recorded responses.
pub(super) fn each_engine_becomes_env_and_files(target: &Target) {
    let container = target.container();
    let secrets = [
        secret("etl/warehouse", &json!({"into": "Env", "prefix": "DB_", "exclude": ["no*"]})),
        secret("etl/warehouse", &json!({"version": 1, "prefix": "old/", "exclude": ["nothing"]})),
        json!({"mount": "kv1", "path": "etl", "engine": "KvV1", "items": [{"key": "token", "as": "token.txt"}]}),
        certificate("load.example.com"),
    ];
    let log = target.boot(&container, &secrets, &json!({}));
    let env = container.env();
    let env: BTreeMap<_, _> = env.iter().map(|(name, value)| (&**name, &**value)).collect();
    let password = format!("{MARK} \"€\"\n");
    assert_eq!(
        env,
        BTreeMap::from([
            ("DB_active", &b"true"[..]),
            ("DB_password", password.as_bytes()),
            ("DB_port", b"5432"),
            ("DB_user", b"etl"),
        ])
    );
    let assets = container.assets();
    assert_eq!(assets["old/user"], b"old");
    assert_eq!(assets["token.txt"], format!("{MARK}-kv1").as_bytes());
    for (file, start) in
        [("tls/tls.crt", "-----BEGIN CERTIFICATE-----"), ("tls/tls.key", "-----BEGIN EC PRIVATE KEY-----")]
    {
        let text = String::from_utf8_lossy(&assets[file]);
        assert!(text.starts_with(start), "{file}");
    }
    let line =
        format!("source \"vault\" (Vault {}): 4 variables (4 secret), {} files, ", target.url, assets.len());
    assert!(log.contains(&line), "{log}");
    assert!(log.contains("excluded: \"nothing\""), "{log}");
}

/// The key `nothing` is null.
pub(super) fn a_key_that_is_null_is_left_out(target: &Target) {
    let container = target.container();
    let log = target.boot(&container, &[secret("etl/warehouse", &json!({"into": "Env"}))], &json!({}));
    assert!(!container.env().contains_key("nothing"));
    let note = "left out of secret/data/etl/warehouse, because they are null: nothing";
    assert!(log.contains(note), "{log}");
}

/// A boot that fails, and parts of its message.
struct Refusal {
    secret: Value,
    more: Value,
    exit_code: u8,
    code: &'static str,
    parts: &'static [&'static str],
}

fn refusal(secret: Value, code: &'static str, parts: &'static [&'static str]) -> Refusal {
    Refusal { secret, more: json!({}), exit_code: 69, code, parts }
}

/// Logins that Vault does not accept.
fn refused_logins() -> Vec<Refusal> {
    let good = || secret("etl/warehouse", &json!({}));
    let auth = |auth: Value| json!({"auth": auth});
    let token = json!({"audience": "vault"});
    vec![
        Refusal {
            more: auth(json!({"method": "Jwt", "role": "gone", "token": token})),
            ..refusal(
                good(),
                "BL2204",
                &[
                    "failed to get credentials: ",
                    "/v1/auth/jwt/login: the server responded with 400 Bad Request (\"role \\\"gone\\\" could not be found\"): ",
                    "correct vault.auth.role, or create the role for the service account of the pod",
                ],
            )
        },
        Refusal {
            more: auth(json!({"method": "Jwt", "role": "other", "token": token})),
            ..refusal(
                good(),
                "BL2204",
                &[
                    "400 Bad Request (\"error validating token: invalid subject (sub) claim",
                    "vault.auth.role",
                ],
            )
        },
        Refusal {
            more: auth(json!({"mount": "none", "role": "etl", "token": token})),
            ..refusal(
                good(),
                "BL2204",
                &[
                    "/v1/auth/none/login: the server responded with 403 Forbidden (\"permission denied\"): ",
                    "correct vault.auth.mount and vault.namespace",
                ],
            )
        },
    ]
}

/// Paths that do not exist, or that the token may not read.
fn refused_paths() -> Vec<Refusal> {
    vec![
        refusal(
            secret("denied", &json!({})),
            "BL2204",
            &[
                "/v1/secret/data/denied: the server responded with 403 Forbidden (\"permission denied\"): ",
                "let a policy of the role allow the path (capability read",
            ],
        ),
        refusal(
            secret("etl/gone", &json!({})),
            "BL2101",
            &[
                "/v1/secret/data/etl/gone: the server responded with 404 Not Found: ",
                "correct mount, path and engine",
            ],
        ),
        refusal(
            secret("etl/deleted", &json!({})),
            "BL2101",
            &["404 Not Found (\"version 1 is deleted since 20"],
        ),
        refusal(
            secret("etl/destroyed", &json!({})),
            "BL2101",
            &["404 Not Found (\"version 1 is destroyed\")"],
        ),
        refusal(
            secret("etl/warehouse", &json!({"engine": "KvV1"})),
            "BL2101",
            &[
                "/v1/secret/etl/warehouse: ",
                "404 Not Found (\"Invalid path for a versioned K/V secrets engine.",
            ],
        ),
        refusal(
            json!({"mount": "kv1", "path": "etl"}),
            "BL2101",
            &["/v1/kv1/data/etl: the server responded with 404 Not Found: "],
        ),
    ]
}

/// Requests that the path does not support, and keys that the secret does not have.
fn refused_requests() -> Vec<Refusal> {
    vec![
        refusal(
            json!({"mount": "pki", "path": "issue/tasks", "engine": "Dynamic"}),
            "BL2205",
            &[
                "/v1/pki/issue/tasks: the server responded with 405 Method Not Allowed",
                "set data of the secret",
            ],
        ),
        refusal(
            json!({"mount": "pki", "path": "issue/tasks", "engine": "Dynamic", "data": {"common_name": "evil.org"}}),
            "BL2205",
            &[
                "400 Bad Request (\"common name evil.org not allowed by this role\"): correct the request in the profile",
            ],
        ),
        refusal(
            secret("etl/warehouse", &json!({"items": [{"key": "gone", "as": "a"}]})),
            "BL2101",
            &[
                "key \"gone\" not found in secret/data/etl/warehouse, only active, password, port, user: ",
                "correct items[].key, or add the key to the secret",
            ],
        ),
    ]
}

pub(super) fn an_error_names_what_to_change(target: &Target) {
    let refusals = refused_logins().into_iter().chain(refused_paths()).chain(refused_requests());
    for Refusal { secret, more, exit_code, code: expected, parts } in refusals {
        let (found, message) = target.failure(&[secret], &more);
        assert_eq!((found, code(&message)), (exit_code, expected), "{message}");
        for part in parts {
            assert!(message.contains(part), "{part:?} is not in {message}");
        }
        assert!(message.contains(&format!("source \"vault\" (Vault {})", target.url)), "{message}");
    }
}

/// The lease of the certificate is shorter than the default, and than the deadline of the pod.
pub(super) fn a_lease_that_ends_before_the_task_is_a_warning(target: &Target) {
    let warning = |more: &Value, deadline: Option<u64>| {
        let container = target.container();
        let mut source = target.source(&container, &[certificate("load.example.com")], more);
        if let Some(deadline) = deadline {
            source["from"]["vault"]["deadlineSeconds"] = json!(deadline);
        }
        let log = super::boot(&container, &source).log();
        let warnings: Vec<_> = log.lines().filter(|line| line.contains("warning: ")).collect();
        assert!(warnings.len() < 2, "{log}");
        warnings.first().map(|line| (*line).to_owned())
    };
    assert_eq!(warning(&json!({"minLeaseSeconds": 60}), None), None);
    assert_eq!(warning(&json!({}), Some(60)), None);
    for (more, deadline, needed) in [
        (json!({}), None, "3600 s (the default of minLeaseSeconds)"),
        (json!({}), Some(7200), "7200 s (activeDeadlineSeconds of the pod)"),
        (json!({"minLeaseSeconds": 900}), Some(7200), "900 s (minLeaseSeconds)"),
    ] {
        let line = warning(&more, deadline).unwrap();
        let start = format!(
            "source \"vault\" (Vault {}): warning: the lease of pki/issue/tasks ends after ",
            target.url
        );
        assert!(line.starts_with(&start) && line.ends_with(" [BL2207]"), "{line}");
        assert!(
            line.contains(&format!("but the task can need it for {needed}: raise the TTL of the secret")),
            "{line}"
        );
    }
}
