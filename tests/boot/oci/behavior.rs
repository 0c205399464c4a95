//! Behavior of real registries: tokens of another server, blobs on a third one, interrupted connections.

use bootlace_test_registry::{Blob, PASSWORD, manifest};
use serde_json::json;

use super::{Client, MARK};
use crate::http::server::{self, Asked, Reply, Server, ok, status};
use crate::support::code;

const TOKEN: &str = "zq7Xv0hunter2-token";

/// The responses of a registry that contains `team/assets:v1`, an artifact with the files `a` and `b`.
fn artifact(path: &str) -> Option<Vec<u8>> {
    let files = [("a", "first"), ("b", "second")];
    if path == "/v2/team/assets/manifests/v1" {
        let config = Blob::new("application/vnd.oci.empty.v1+json", b"{}");
        let layers = files.map(|(title, content)| Blob::new("text/plain", content.as_bytes()).titled(title));
        return Some(manifest(&config, &layers).to_string().into_bytes());
    }
    let digest = path.strip_prefix("/v2/team/assets/blobs/")?;
    let blob =
        files.iter().find(|(_, content)| Blob::new("text/plain", content.as_bytes()).digest() == digest);
    blob.map(|(_, content)| content.as_bytes().to_vec())
}

fn path(asked: &Asked) -> &str {
    asked.line.strip_prefix("GET ").unwrap()
}

fn authorization(asked: &Asked) -> Option<&str> {
    asked.headers.iter().find_map(|line| line.strip_prefix("authorization: "))
}

fn basic(password: &str) -> String {
    use base64::Engine as _;
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("etl:{password}"));
    format!("Basic {pair}")
}

fn secret(entries: &[(&str, &str)]) -> String {
    let entry = |(key, password): &(&str, &str)| {
        ((*key).to_owned(), json!({"username": "etl", "password": password}))
    };
    json!({"auths": entries.iter().map(entry).collect::<serde_json::Map<_, _>>()}).to_string()
}

fn host(server: &Server) -> String {
    server.url().trim_start_matches("https://").to_owned()
}

/// A boot container whose pull secret has one entry for the server.
fn client(server: &Server) -> Client {
    let host = host(server);
    Client::of(&host, server::ca(), &secret(&[(&host, PASSWORD)]))
}

/// A registry that requires a token; `good` decides whether a request is authorized.
fn wants_token(realm: String, good: impl Fn(&Asked, usize) -> bool + Send + Sync + 'static) -> Server {
    Server::tls(move |asked, before| {
        if !good(asked, before) {
            let challenge = format!(
                "WWW-Authenticate: Bearer realm=\"{realm}\",service=\"registry\",scope=\"repository:team/assets:pull\""
            );
            return status(401, &[&challenge], &json!({"errors": [{"code": "UNAUTHORIZED"}]}).to_string());
        }
        artifact(path(asked)).map_or_else(|| status(404, &[], ""), ok)
    })
}

#[test]
fn a_token_is_fetched_and_renewed() {
    for (pull_secret, expected) in [(json!("registry"), Some(basic(PASSWORD))), (json!(null), None)] {
        let tokens =
            Server::tls(|_, before| ok(json!({"access_token": format!("{TOKEN}-{before}")}).to_string()));
        // The second token is only valid for the last blob.
        let registry = wants_token(format!("{}/token", tokens.url()), |asked, before| {
            let token = authorization(asked);
            token == Some(&format!("Bearer {TOKEN}-{}", usize::from(before > 2)))
        });
        let client = client(&registry);
        let source = client.source("team/assets:v1", &json!({"pullSecret": pull_secret}));
        assert_eq!(client.files(&source), ["a=first", "b=second"]);
        let asked = tokens.asked();
        assert_eq!(asked.len(), 2);
        for asked in &asked {
            assert_eq!(asked.line, "GET /token?service=registry&scope=repository%3Ateam%2Fassets%3Apull");
            assert_eq!(authorization(asked), expected.as_deref());
        }
        assert_eq!(registry.asked().len(), 5);
        assert_eq!(authorization(&registry.asked()[0]), None);
    }
}

#[test]
fn every_entry_for_the_registry_is_tried() {
    let good = basic(PASSWORD);
    let registry = Server::tls(move |asked, _| match authorization(asked) {
        Some(given) if given == good => artifact(path(asked)).map_or_else(|| status(404, &[], ""), ok),
        Some(_) => status(403, &[], ""),
        None => status(401, &["WWW-Authenticate: Basic realm=\"x\""], ""),
    });
    let host = host(&registry);
    let both = secret(&[(&host, PASSWORD), (&format!("{host}/team"), "zq7Xv0hunter2-stale")]);
    let client = Client::of(&host, server::ca(), &both);
    assert_eq!(client.files(&client.source("team/assets:v1", &json!({}))), ["a=first", "b=second"]);
    // The first request without credentials, the second with the more specific entry, the others with the
    // accepted one.
    assert_eq!(registry.asked().len(), 5);
}

#[test]
fn a_blob_on_another_host_is_fetched_without_credentials() {
    let store = Server::tls(|asked, _| {
        let path = asked.line.strip_prefix("GET /store?path=").unwrap();
        artifact(path).map_or_else(|| status(404, &[], ""), ok)
    });
    let to = store.url();
    let registry = Server::tls(move |asked, _| match (authorization(asked), path(asked)) {
        (None, _) => status(401, &["WWW-Authenticate: Basic realm=\"x\""], ""),
        (_, path) if path.contains("/blobs/") => {
            status(307, &[&format!("Location: {to}/store?path={path}")], "")
        }
        (_, path) => ok(artifact(path).unwrap()),
    });
    let client = client(&registry);
    assert_eq!(client.files(&client.source("team/assets:v1", &json!({}))), ["a=first", "b=second"]);
    let asked = store.asked();
    assert_eq!(asked.len(), 2);
    for asked in asked {
        assert!(asked.headers.iter().all(|line| !line.contains(&basic(PASSWORD))), "{asked:?}");
    }
}

#[test]
fn credentials_are_not_sent_to_other_servers() {
    let other = Server::tls(|_, _| ok(json!({"token": TOKEN}).to_string()));
    let plain = Server::plain(|_, _| ok(json!({"token": TOKEN}).to_string()));
    for realm in
        ["https://169.254.169.254/token".to_owned(), format!("{}/token", plain.url()), "https://[".to_owned()]
    {
        let registry = wants_token(realm, |_, _| false);
        let client = client(&registry);
        let (exit_code, message) =
            client.failure(&client.source("team/assets:v1", &json!({"client": {"attempts": 3}})));
        assert_eq!((exit_code, code(&message)), (69, "BL2206"), "{message}");
        assert_eq!(registry.asked().len(), 1);
    }
    // The challenge of a blob store must not receive credentials.
    let to = wants_token(format!("{}/token", other.url()), |_, _| false);
    let location = format!("Location: {}/", to.url());
    let registry = Server::tls(move |asked, _| match path(asked) {
        path if path.contains("/blobs/") => status(302, &[&location], ""),
        path => ok(artifact(path).unwrap()),
    });
    let client = client(&registry);
    let (exit_code, message) = client.failure(&client.source("team/assets:v1", &json!({})));
    assert_eq!((exit_code, code(&message)), (69, "BL2204"), "{message}");
    // A blob must not be on the node either.
    let registry = Server::tls(move |asked, _| match path(asked) {
        path if path.contains("/blobs/") => status(302, &["Location: https://169.254.169.254/"], ""),
        path => ok(artifact(path).unwrap()),
    });
    let client = self::client(&registry);
    let (exit_code, message) = client.failure(&client.source("team/assets:v1", &json!({})));
    assert_eq!((exit_code, code(&message)), (69, "BL2206"), "{message}");
    assert!(other.asked().is_empty() && plain.asked().is_empty());
}

#[test]
fn only_interrupted_requests_are_repeated() {
    let registry = Server::tls(|asked, before| match (artifact(path(asked)), before) {
        (Some(_), 0) => status(503, &[], ""),
        (Some(content), 3) => Reply::Cut(content),
        (Some(content), _) => ok(content),
        (None, _) => status(404, &[], ""),
    });
    let client = client(&registry);
    let source = client.source("team/assets:v1", &json!({"client": {"attempts": 2}}));
    assert_eq!(client.files(&source), ["a=first", "b=second"]);
    let asked: Vec<_> = registry.asked().iter().map(|asked| asked.line.clone()).collect();
    assert_eq!(asked.len(), 5, "{asked:?}");
    assert!(asked[0] == asked[1] && asked[3] == asked[4] && asked[2] != asked[3], "{asked:?}");
}

#[test]
fn messages_of_a_registry_are_shown_without_credentials() {
    let registry = Server::tls(|asked, _| match authorization(asked) {
        None => status(401, &["WWW-Authenticate: Basic realm=\"x\""], ""),
        Some(given) => {
            let message = format!("no {given} and no {PASSWORD} here");
            status(403, &[], &json!({"errors": [{"code": "DENIED", "message": message}]}).to_string())
        }
    });
    let client = client(&registry);
    let (exit_code, message) = client.failure(&client.source("team/assets:v1", &json!({})));
    assert_eq!((exit_code, code(&message)), (69, "BL2204"), "{message}");
    assert!(
        message.contains("403 Forbidden (\"DENIED: no [redacted] and no [redacted] here\")"),
        "{message}"
    );
}

#[test]
fn invalid_responses_of_a_registry() {
    for (answer, expected, part) in [
        (MARK.to_owned(), "BL2302", "line 1 column 1"),
        (json!({"schemaVersion": 1, "fsLayers": []}).to_string(), "BL2302", "Docker schema 1"),
        (json!({"schemaVersion": 2}).to_string(), "BL2302", ""),
        (" ".repeat((4 << 20) + 1), "BL2304", "4194304 bytes"),
    ] {
        let registry = Server::tls(move |_, _| ok(answer.clone()));
        let client = client(&registry);
        let (exit_code, message) = client.failure(&client.source("team/assets:v1", &json!({})));
        assert_eq!((exit_code, code(&message)), (65, expected), "{message}");
        assert!(message.contains(part), "{message}");
    }
    let tokens = Server::tls(|_, _| ok(json!({"token": ""}).to_string()));
    let registry = wants_token(format!("{}/token", tokens.url()), |_, _| false);
    let client = client(&registry);
    let (exit_code, message) = client.failure(&client.source("team/assets:v1", &json!({})));
    assert_eq!((exit_code, code(&message)), (69, "BL2204"), "{message}");
}

#[test]
fn nested_indexes_are_followed_up_to_a_limit() {
    fn index(inner: &Blob) -> Vec<u8> {
        json!({"schemaVersion": 2, "manifests": [inner.descriptor()]}).to_string().into_bytes()
    }
    let image = artifact("/v2/team/assets/manifests/v1").unwrap();
    for height in 1..=4 {
        let mut tower = vec![image.clone()];
        for _ in 0..height {
            let below = Blob::new("application/vnd.oci.image.index.v1+json", tower.last().unwrap());
            tower.push(index(&below));
        }
        let registry = Server::tls(move |asked, _| {
            let path = path(asked);
            let named = |manifest: &&Vec<u8>| path.ends_with(Blob::new("", manifest).digest());
            let manifest = tower.iter().find(named).cloned();
            let top = || path.ends_with("manifests/v1").then(|| tower.last().cloned()).flatten();
            manifest.or_else(top).or_else(|| artifact(path)).map_or_else(|| status(404, &[], ""), ok)
        });
        let client = client(&registry);
        let source = client.source("team/assets:v1", &json!({}));
        if height <= 3 {
            assert_eq!(client.files(&source), ["a=first", "b=second"]);
        } else {
            let (exit_code, message) = client.failure(&source);
            assert_eq!((exit_code, code(&message)), (65, "BL2302"), "{message}");
            assert!(message.contains(" 3 "), "{message}");
        }
    }
}
