//! Objects that cannot be fetched: codes and retries.

use std::time::Duration;

use serde_json::{Value, json};

use super::stores::{Kind, Store, mount};
use super::{MARK, boot, failure, remote, source};
use crate::http::merge;
use crate::http::server::{self, Asked, Reply, Server, ok, status};
use crate::support::{Container, code};

/// The headers of an object.
fn object_headers() -> Vec<String> {
    ["ETag: \"1\"", "Last-Modified: Sat, 21 Nov 2026 10:00:00 GMT"].map(str::to_owned).to_vec()
}

fn object(content: &str) -> Reply {
    Reply::Whole(200, object_headers(), content.into())
}

/// The object `in/a` of a server in this process, with credentials; `more` has additional fields.
fn source_of(container: &Container, server: &Server, more: &Value) -> Value {
    let keys = [("AWS_ACCESS_KEY_ID", MARK), ("AWS_SECRET_ACCESS_KEY", MARK), ("AWS_SESSION_TOKEN", MARK)];
    let mut settings = json!({
        "s3": {"bucket": "assets", "endpoint": server.url()},
        "object": "in/a",
        "file": "a",
        "credentials": mount(container, &keys),
        "client": {"attempts": 1, "ca": {"configMap": "company-ca"}},
    });
    container.mount("store/ca", [("ca.crt", server::ca().as_bytes())]);
    merge(&mut settings, more);
    remote(container, &settings)
}

fn failure_of(server: &Server, more: &Value) -> (u8, String) {
    let container = Container::new();
    failure(&container, &source_of(&container, server, more))
}

fn answers(answer: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> Server {
    Server::tls(answer)
}

#[test]
fn a_missing_object_names_its_key_and_the_remedy() {
    for store in Store::each("missing-object") {
        let container = Container::new();
        let mut source = source(&container, &store, &json!({"object": "jobs/gone.sql", "file": "a"}));
        let (exit_code, message) = failure(&container, &source);
        assert_eq!((exit_code, code(&message)), (69, "BL2101"), "{message}");
        let reason = match store.kind {
            Kind::S3 => "404 Not Found (\"NoSuchKey: The specified key does not exist.\"): ",
            Kind::Gcs => "404 Not Found: ",
            Kind::Azure => "404 Not Found (\"BlobNotFound: The specified blob does not exist.\"): ",
        };
        let place = format!("{}/missing-object/jobs/gone.sql: ", store.endpoint());
        assert!(message.contains(&place) && message.contains(reason), "{message}");

        source["optional"] = json!(true);
        let log = boot(&container, &source).log();
        assert!(log.contains("optional: "), "{log}");
    }
}

#[test]
fn a_missing_bucket_names_it_and_the_remedy() {
    for mut store in Store::each("there") {
        store.bucket = "not-there".to_owned();
        for request in [json!({"object": "a", "file": "a"}), json!({"prefix": "in"})] {
            let container = Container::new();
            let (exit_code, message) = failure(&container, &source(&container, &store, &request));
            if message.contains("500 Internal Server Error (\"500: no bucket named not-there\")") {
                // The test server for Google's protocol, where Google's own responds with 404.
                continue;
            }
            assert_eq!((exit_code, code(&message)), (69, "BL2101"), "{message}");
            let reason = match store.kind {
                Kind::S3 => "(\"NoSuchBucket: The specified bucket does not exist.\"): ",
                Kind::Gcs => "404 Not Found: ",
                Kind::Azure => "(\"ContainerNotFound: The specified container does not exist.\"): ",
            };
            assert!(message.contains("/not-there") && message.contains(reason), "{message}");
        }
    }
}

#[test]
fn wrong_credentials_are_reported_without_showing_them() {
    let wrong = [
        (
            Kind::S3,
            vec![("AWS_ACCESS_KEY_ID", super::S3_KEY), ("AWS_SECRET_ACCESS_KEY", MARK)],
            "403 Forbidden (\"SignatureDoesNotMatch: ",
        ),
        (
            Kind::Azure,
            vec![("AZURE_STORAGE_KEY", "enE3WHYwaHVudGVyMg==")],
            "403 Forbidden (\"AuthorizationFailure: ",
        ),
    ];
    for (kind, keys, reason) in wrong {
        let store = Store::new(kind, "wrong-key");
        store.put("a", b"a");
        let container = Container::new();
        let credentials = mount(&container, &keys);
        let request = json!({"object": "a", "file": "a", "credentials": credentials});
        let mut whole = store.settings();
        merge(&mut whole, &request);
        let (exit_code, message) = failure(&container, &remote(&container, &whole));
        assert_eq!((exit_code, code(&message)), (69, "BL2204"), "{message}");
        assert!(message.contains(reason), "{message}");
    }
}

#[test]
fn anonymous_access_to_a_private_store_is_denied() {
    for kind in [Kind::S3, Kind::Azure] {
        let store = Store::new(kind, "anonymous");
        store.put("a", b"a");
        let container = Container::new();
        let request = json!({"object": "a", "file": "a", "credentials": {"anonymous": true}});
        let (exit_code, message) = failure(&container, &source(&container, &store, &request));
        // Azure does not reveal to an anonymous client whether the container exists.
        assert!(exit_code == 69 && ["BL2101", "BL2204", "BL2205"].contains(&code(&message)), "{message}");
        assert!(message.contains("/anonymous/a: "), "{message}");
    }
}

#[test]
fn a_secret_that_cannot_be_used_names_the_key() {
    let s3 = json!({"s3": {"bucket": "assets"}});
    let gcs = json!({"gcs": {"bucket": "assets"}});
    let azure = json!({"azure": {"account": "account", "container": "assets"}});
    for (store, keys, expected, part) in [
        (&s3, vec![], "BL2101", "Secret login of credentials.secret "),
        (&s3, vec![("AWS_ACCESS_KEY_ID", MARK)], "BL2101", " AWS_SECRET_ACCESS_KEY: "),
        (&gcs, vec![("AWS_ACCESS_KEY_ID", MARK)], "BL2101", " key.json: "),
        (&gcs, vec![("key.json", MARK)], "BL2104", "key key.json of Secret login of credentials.secret"),
        (&azure, vec![("AZURE_STORAGE_KEY", MARK)], "BL2104", "key AZURE_STORAGE_KEY of Secret login"),
        (&azure, vec![("AZURE_CLIENT_ID", MARK)], "BL2101", " AZURE_TENANT_ID: "),
    ] {
        let container = Container::new();
        let mut settings = json!({"object": "a", "file": "a", "credentials": mount(&container, &keys)});
        merge(&mut settings, store);
        let (exit_code, message) = failure(&container, &remote(&container, &settings));
        assert_eq!((exit_code, code(&message)), (69, expected), "{message}");
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn errors_of_stores_have_remedies() {
    let xml = |code: &str| format!("<Error><Code>{code}</Code><Message>said of {MARK}</Message></Error>");
    for (answered, error, expected, remedy) in [
        (403, "InvalidAccessKeyId", "BL2204", "credentials.secret"),
        (403, "RequestTimeTooSkewed", "BL2204", "clock"),
        (400, "ExpiredToken", "BL2205", "credentials.secret"),
        (403, "AccessDenied", "BL2204", "rights"),
        (403, "InvalidObjectState", "BL2204", "restore"),
        (400, "AuthorizationHeaderMalformed", "BL2205", "s3.region"),
        (401, "", "BL2204", "credentials.secret"),
        (400, "SomethingNew", "BL2205", "profile"),
    ] {
        let body = if error.is_empty() { String::new() } else { xml(error) };
        let server = answers(move |_, _| status(answered, &[], &body));
        let (exit_code, message) =
            failure_of(&server, &json!({"client": {"attempts": 3, "ca": {"configMap": "ca"}}}));
        assert_eq!((exit_code, code(&message)), (69, expected), "{message}");
        assert_eq!(server.asked().len(), 1, "not worth another attempt: {message}");
        assert!(message.contains(remedy), "{message}");
        let shown = format!("(\"{error}: said of [redacted]\"): ");
        assert!(error.is_empty() || message.contains(&shown), "{message}");
    }
}

#[test]
fn redirects_are_not_followed_and_the_region_is_shown() {
    let elsewhere = ["Location: http://169.254.169.254/latest", "x-amz-bucket-region: eu-west-1"];
    for answered in [301, 307] {
        let server = answers(move |_, _| status(answered, &elsewhere, ""));
        let (exit_code, message) = failure_of(&server, &json!({}));
        assert_eq!((exit_code, code(&message), server.asked().len()), (69, "BL2205", 1));
        assert!(message.contains("eu-west-1"), "{message}");
    }
}

#[test]
fn temporary_errors_are_retried() {
    let server = answers(|_, before| match before {
        0 => status(503, &["Retry-After: 0"], "<Error><Code>SlowDown</Code><Message>Slow</Message></Error>"),
        1 => status(500, &[], ""),
        _ => object("whole"),
    });
    let container = Container::new();
    let client = json!({"client": {"attempts": 3, "ca": {"configMap": "ca"}}});
    boot(&container, &source_of(&container, &server, &client)).log();
    assert_eq!(container.assets()["a"], b"whole");
    assert_eq!(server.asked().len(), 3);
    let asked = &server.asked()[0];
    assert_eq!(asked.line, "GET /assets/in/a");
    assert!(
        asked.headers.iter().any(|line| line.starts_with("authorization: AWS4-HMAC-SHA256 ")),
        "{asked:?}"
    );

    let server = answers(|_, _| status(503, &["Retry-After: 3600"], ""));
    let (exit_code, message) = failure_of(&server, &client);
    assert_eq!((exit_code, code(&message)), (75, "BL2205"));
    assert!(message.contains("3600 s"), "{message}");
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn an_interrupted_object_is_resumed() {
    let rest = |asked: &Asked| asked.headers.iter().any(|line| line == "range: bytes=4-4");
    let server = answers(move |asked, before| match before {
        0 => Reply::CutAfter(object_headers(), b"whol".to_vec()),
        _ if rest(asked) => {
            let range = ["Content-Range: bytes 4-4/5".to_owned()];
            Reply::Whole(206, object_headers().into_iter().chain(range).collect(), b"e".to_vec())
        }
        _ => status(400, &[], ""),
    });
    let container = Container::new();
    let client = json!({"client": {"attempts": 2, "ca": {"configMap": "ca"}}});
    boot(&container, &source_of(&container, &server, &client)).log();
    assert_eq!(container.assets()["a"], b"whole");
    assert_eq!(server.asked().len(), 2);
}

#[test]
fn an_object_that_is_always_interrupted_fails_the_boot() {
    let server = answers(|_, _| Reply::CutAfter(object_headers(), MARK.into()));
    let (exit_code, message) = failure_of(&server, &json!({}));
    assert_eq!((exit_code, code(&message)), (75, "BL2202"));
    assert!(message.contains("/assets/in/a: "), "{message}");
}

#[test]
fn a_store_that_never_responds_or_never_ends_times_out() {
    let client = json!({"client": {"timeoutSeconds": 1, "ca": {"configMap": "ca"}}});
    let (exit_code, message) = failure_of(&answers(|_, _| Reply::Never), &client);
    assert_eq!((exit_code, code(&message)), (75, "BL2103"));
    assert!(message.contains("client.timeoutSeconds of the source"), "{message}");

    let server = answers(|_, _| Reply::DripAfter(object_headers(), Duration::from_millis(100)));
    let (exit_code, message) = failure_of(&server, &client);
    assert_eq!((exit_code, code(&message)), (75, "BL2103"));
    assert!(message.contains(" bytes received from s3://assets/in/a so far"), "{message}");

    let server = answers(|_, _| status(503, &[], ""));
    let client = json!({"client": {"timeoutSeconds": 1, "attempts": 20, "ca": {"configMap": "ca"}}});
    let (exit_code, message) = failure_of(&server, &client);
    assert_eq!((exit_code, code(&message)), (75, "BL2103"));
    assert!(message.contains("the last attempt failed: ") && message.contains("503"), "{message}");
}

#[test]
fn only_the_ca_of_the_profile_is_trusted() {
    let server = Server::expired();
    let (exit_code, message) = failure_of(&server, &json!({}));
    assert_eq!((exit_code, code(&message)), (69, "BL2203"));
    assert!(message.contains("(certificate expired"), "{message}");

    let server = answers(|_, _| object("whole"));
    let (exit_code, message) = failure_of(&server, &json!({"client": {"attempts": 1}}));
    assert_eq!((exit_code, code(&message)), (69, "BL2203"));
}

#[test]
fn a_store_that_does_not_exist() {
    let gone = json!({"s3": {"bucket": "assets", "endpoint": "http://store.invalid"}});
    let (exit_code, message) = failure_of(&answers(|_, _| ok("")), &gone);
    assert_eq!((exit_code, code(&message)), (75, "BL2201"));
    assert!(message.contains("http://store.invalid/assets/in/a: "), "{message}");
}

#[test]
fn a_proxy_is_used_if_the_profile_names_one() {
    let proxy = Server::plain(|_, _| object("through the proxy"));
    let container = Container::new();
    let more = json!({
        "s3": {"bucket": "assets", "endpoint": "http://store.invalid", "virtualHosted": true},
        "client": {"proxy": proxy.url()},
    });
    boot(&container, &source_of(&container, &proxy, &more)).log();
    assert_eq!(container.assets()["a"], b"through the proxy");
    assert_eq!(proxy.asked()[0].line, "GET http://assets.store.invalid/in/a");
}

#[test]
fn responses_that_are_not_from_a_store() {
    let page = |body: &'static str| answers(move |_, _| ok(body));
    let prefix = json!({"object": null, "file": null, "prefix": "in"});
    for body in ["<html><body>hello</body></html", "", "{}"] {
        let (exit_code, message) = failure_of(&page(body), &prefix);
        assert_eq!((exit_code, code(&message)), (65, "BL2302"), "{message}");
    }
    let endless = answers(|_, _| ok(vec![b' '; (16 << 20) + 1]));
    let (exit_code, message) = failure_of(&endless, &prefix);
    assert_eq!((exit_code, code(&message)), (69, "BL2104"), "{message}");
}
