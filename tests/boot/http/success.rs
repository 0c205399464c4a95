//! The requests of an `http` source, and what the responses become.

use serde_json::json;

use super::server::{Server, ok, status};
use super::{Client, MARK};
use crate::support::code;

#[test]
fn a_get_with_credentials_becomes_a_file() {
    let server = Server::tls(|_, _| ok([b"\x00\xff".as_slice(), MARK.as_bytes()].concat()));
    let client = Client::new();
    let request = json!({"path": "v1/a%2Fb.bin", "query": {"ref": "a&b=c", "x": "é"}, "file": "bin/a"});
    let log = client.boot(&client.source(&server, &request, &json!({}))).log();
    let title = format!("source \"assets\" (GET {}): 0 variables, 1 file, 15 B in ", server.url());
    assert!(log.contains(&title), "{log}");
    assert_eq!(client.container.assets()["bin/a"], [b"\x00\xff".as_slice(), MARK.as_bytes()].concat());

    let asked = server.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].line, "GET /v1/a%2Fb.bin?ref=a%26b%3Dc&x=%C3%A9");
    for header in [
        format!("x-api-key: {MARK}-key"),
        format!("authorization: Bearer {MARK}-token"),
        concat!("user-agent: bootlace/", env!("CARGO_PKG_VERSION")).to_owned(),
    ] {
        assert!(asked[0].headers.contains(&header), "{asked:?}");
    }
    assert!(asked[0].body.is_empty());
}

#[test]
fn a_post_becomes_env_and_files() {
    let answer = json!({
        "data": {"env": {"A": MARK, "N": 1.50, "YES": true}, "sql": {"q.sql": MARK, "deep/r.sql": ""}},
    });
    let server = Server::tls(move |_, _| ok(answer.to_string()));
    let client = Client::new();
    let request = json!({
        "method": "POST",
        "body": "{\"job\": \"é\"}",
        "json": [
            {"pointer": "/data/env", "into": "Env", "prefix": "DB_", "secret": true},
            {"pointer": "/data/sql", "prefix": "sql/"},
        ],
    });
    let bare = json!({"token": null, "headersFromSecret": null});
    let log = client.boot(&client.source(&server, &request, &bare)).log();
    assert!(log.contains("3 variables (3 secret), 2 files"), "{log}");
    let env = client.container.env();
    assert_eq!(env["DB_A"], MARK.as_bytes());
    assert_eq!((&*env["DB_N"], &*env["DB_YES"]), (b"1.5".as_slice(), b"true".as_slice()));
    let assets = client.container.assets();
    assert_eq!(assets["sql/q.sql"], MARK.as_bytes());
    assert!(assets["sql/deep/r.sql"].is_empty());

    let asked = server.asked();
    assert_eq!((&*asked[0].line, &*asked[0].body), ("POST /", "{\"job\": \"é\"}".as_bytes()));
    assert!(asked[0].headers.contains(&"content-type: application/json".to_owned()), "{asked:?}");
    assert!(!asked[0].headers.iter().any(|line| line.starts_with("authorization") || line.contains(MARK)));
}

#[test]
fn headers_never_replace_those_of_the_secret() {
    let server = Server::tls(|_, _| ok("a"));
    let client = Client::new();
    let header = |name: &str, value: &str| json!({"headers": [{"name": name, "value": value}]});
    client.boot(&client.source(&server, &json!({"file": "a"}), &header("X-Team", "data & more"))).log();
    let asked = server.asked();
    assert!(asked[0].headers.contains(&"x-team: data & more".to_owned()), "{asked:?}");
    assert!(asked[0].headers.contains(&format!("x-api-key: {MARK}-key")), "{asked:?}");

    let twice = json!({"headers": [{"name": "X-Team", "value": "a"}, {"name": "x-team", "value": "b"}]});
    for (headers, part) in [
        (header("x-api-key", "mine"), " x-api-key"),
        (twice, "header \"x-team\" of client.headers"),
        (header("X-Team", "a\r\nX-Admin: b"), "header \"X-Team\" of client.headers"),
    ] {
        let (exit_code, message) = client.failure(&client.source(&server, &json!({"file": "a"}), &headers));
        assert_eq!((exit_code, code(&message)), (69, "BL2104"));
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn temporary_errors_are_retried() {
    let server = Server::tls(|_, before| match before {
        0 => status(503, &["Retry-After: 0"], MARK),
        1 => status(429, &[], MARK),
        2 => super::server::Reply::Cut(b"half".to_vec()),
        _ => ok("whole"),
    });
    let client = Client::new();
    client.boot(&client.source(&server, &json!({"file": "a"}), &json!({"attempts": 4}))).log();
    assert_eq!(client.container.assets()["a"], b"whole");
    assert_eq!(server.asked().len(), 4);
}

#[test]
fn a_checksum_is_compared() {
    // echo -n whole | sha256sum
    let sha256 = "a28da5c8f3ecb6fc44271ea1a0c7ae0a57e4a1d2ac40e4f4f98ef4ae1b8ac2f0";
    let server = Server::tls(|_, _| ok("whole"));
    let client = Client::new();
    let request = json!({"file": "a", "sha256": sha256});
    let (exit_code, message) = client.failure(&client.source(&server, &request, &json!({})));
    assert_eq!((exit_code, code(&message)), (65, "BL2301"));
    let found = message.split("response is ").nth(1).unwrap().split(',').next().unwrap().to_owned();
    assert!(message.contains(sha256), "{message}");

    let request = json!({"file": "a", "sha256": found});
    client.boot(&client.source(&server, &request, &json!({}))).log();
    assert_eq!(client.container.assets()["a"], b"whole");
}

#[test]
fn an_unavailable_optional_source_is_skipped() {
    let server = Server::tls(|_, _| status(404, &[], MARK));
    let client = Client::new();
    let mut source = client.source(&server, &json!({"file": "a"}), &json!({}));
    source["optional"] = json!(true);
    let log = client.boot(&source).log();
    assert!(log.contains("optional: https://127.0.0.1:"), "{log}");
    assert!(client.container.assets().is_empty());

    // If the source is available, its content must be valid.
    let server = Server::tls(|_, _| ok("whole"));
    let mut source = client.source(&server, &json!({"file": "../a"}), &json!({}));
    source["optional"] = json!(true);
    assert_eq!(client.failure(&source).0, 65);
}

#[test]
fn a_proxy_is_used_if_the_profile_names_one() {
    let proxy = Server::plain(|_, _| ok("through the proxy"));
    let client = Client::new();
    let request = json!({"url": "http://assets.invalid/a", "file": "a"});
    let source = client.source(&proxy, &request, &json!({"proxy": proxy.url()}));
    client.boot(&source).log();
    assert_eq!(client.container.assets()["a"], b"through the proxy");
    assert_eq!(proxy.asked()[0].line, "GET http://assets.invalid/a");
}
