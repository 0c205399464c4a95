//! Why objects cannot be had, in which words, and what is tried again.

use std::time::Duration;

use serde_json::{Value, json};

use super::stores::{Kind, Store, mount};
use super::{MARK, boot, failure, remote, source};
use crate::http::merge;
use crate::http::server::{self, Asked, Reply, Server, ok, status};
use crate::support::Container;

/// What a store says of an object beside its bytes.
fn object_headers() -> Vec<String> {
    ["ETag: \"1\"", "Last-Modified: Sat, 21 Nov 2026 10:00:00 GMT"].map(str::to_owned).to_vec()
}

fn object(content: &str) -> Reply {
    Reply::Whole(200, object_headers(), content.into())
}

/// The object `in/a` of a server of the tests' own, with credentials; `more` has further fields.
fn source_of(container: &Container, server: &Server, more: &Value) -> Value {
    let keys = [("AWS_ACCESS_KEY_ID", MARK), ("AWS_SECRET_ACCESS_KEY", MARK), ("AWS_SESSION_TOKEN", MARK)];
    let mut says = json!({
        "s3": {"bucket": "assets", "endpoint": server.url()},
        "object": "in/a",
        "file": "a",
        "credentials": mount(container, &keys),
        "client": {"attempts": 1, "ca": {"configMap": "company-ca"}},
    });
    container.mount("store/ca", [("ca.crt", server::ca().as_bytes())]);
    merge(&mut says, more);
    remote(container, &says)
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
        let (code, sentence) = failure(&container, &source);
        assert_eq!(code, 69);
        let said = match store.kind {
            Kind::S3 => {
                "and says \"NoSuchKey: The specified key does not exist.\": correct object in the profile"
            }
            Kind::Gcs => ": correct endpoint, bucket and key in the profile",
            Kind::Azure => {
                "and says \"BlobNotFound: The specified blob does not exist.\": correct object in the profile"
            }
        };
        let place = format!("{}/missing-object/jobs/gone.sql: it answered 404 Not Found", store.endpoint());
        assert!(sentence.contains(&place) && sentence.contains(said), "{sentence}");

        source["optional"] = json!(true);
        let log = boot(&container, &source).log();
        assert!(log.contains("left out, as it is optional: "), "{log}");
    }
}

#[test]
fn a_missing_bucket_names_it_and_the_remedy() {
    for mut store in Store::each("there") {
        store.bucket = "not-there".to_owned();
        for what in [json!({"object": "a", "file": "a"}), json!({"prefix": "in"})] {
            let container = Container::new();
            let (code, sentence) = failure(&container, &source(&container, &store, &what));
            if sentence.contains("500 Internal Server Error and says \"500: no bucket named not-there\"") {
                // What the server for Google's protocol says where Google's would say 404.
                continue;
            }
            assert_eq!(code, 69, "{sentence}");
            let said = match store.kind {
                Kind::S3 => {
                    "\"NoSuchBucket: The specified bucket does not exist.\": correct the bucket's name"
                }
                Kind::Gcs => "it answered 404 Not Found: correct endpoint, bucket and key",
                Kind::Azure => {
                    "\"ContainerNotFound: The specified container does not exist.\": correct the bucket's name"
                }
            };
            assert!(sentence.contains("/not-there") && sentence.contains(said), "{sentence}");
        }
    }
}

#[test]
fn wrong_credentials_are_told_without_showing_them() {
    let wrong = [
        (
            Kind::S3,
            vec![("AWS_ACCESS_KEY_ID", super::S3_KEY), ("AWS_SECRET_ACCESS_KEY", MARK)],
            "it answered 403 Forbidden and says \"SignatureDoesNotMatch: ",
        ),
        (
            Kind::Azure,
            vec![("AZURE_STORAGE_KEY", "enE3WHYwaHVudGVyMg==")],
            "it answered 403 Forbidden and says \"AuthorizationFailure: ",
        ),
    ];
    for (kind, keys, said) in wrong {
        let store = Store::new(kind, "wrong-key");
        store.put("a", b"a");
        let container = Container::new();
        let credentials = mount(&container, &keys);
        let says = json!({"object": "a", "file": "a", "credentials": credentials});
        let mut whole = store.says();
        merge(&mut whole, &says);
        let (code, sentence) = failure(&container, &remote(&container, &whole));
        assert!(code == 69 && sentence.contains(said), "{sentence}");
    }
}

#[test]
fn who_says_nobody_asks_is_told_to_name_somebody() {
    for kind in [Kind::S3, Kind::Azure] {
        let store = Store::new(kind, "anonymous");
        store.put("a", b"a");
        let container = Container::new();
        let says = json!({"object": "a", "file": "a", "credentials": {"anonymous": true}});
        let (code, sentence) = failure(&container, &source(&container, &store, &says));
        assert_eq!(code, 69);
        assert!(sentence.contains("/anonymous/a: it answered 40"), "{sentence}");
    }
}

#[test]
fn a_secret_that_cannot_be_used_names_the_key() {
    let s3 = json!({"s3": {"bucket": "assets"}});
    let gcs = json!({"gcs": {"bucket": "assets"}});
    let azure = json!({"azure": {"account": "account", "container": "assets"}});
    for (store, keys, why) in [
        (&s3, vec![], "Secret login of credentials.secret does not exist in the pod's namespace"),
        (
            &s3,
            vec![("AWS_ACCESS_KEY_ID", MARK)],
            "has no key AWS_SECRET_ACCESS_KEY: give it AWS_ACCESS_KEY_ID and",
        ),
        (&gcs, vec![("AWS_ACCESS_KEY_ID", MARK)], "has no key key.json: give it key.json"),
        (
            &gcs,
            vec![("key.json", MARK)],
            "key key.json of Secret login, which credentials.secret names, is no key of",
        ),
        (&azure, vec![("AZURE_STORAGE_KEY", MARK)], "key AZURE_STORAGE_KEY of Secret login, which"),
        (&azure, vec![("AZURE_CLIENT_ID", MARK)], "has no key AZURE_TENANT_ID: give it AZURE_STORAGE_KEY, "),
    ] {
        let container = Container::new();
        let mut says = json!({"object": "a", "file": "a", "credentials": mount(&container, &keys)});
        merge(&mut says, store);
        let (code, sentence) = failure(&container, &remote(&container, &says));
        assert!(code == 69 && sentence.contains(why), "{sentence}");
    }
}

#[test]
fn what_a_store_refuses_for_is_told_with_its_remedy() {
    let xml = |code: &str| format!("<Error><Code>{code}</Code><Message>said of {MARK}</Message></Error>");
    for (answered, code, remedy) in [
        (403, "InvalidAccessKeyId", "correct the keys in the Secret of credentials.secret"),
        (403, "RequestTimeTooSkewed", "set the clock of the pod's node"),
        (400, "ExpiredToken", "renew the temporary keys in the Secret of credentials.secret"),
        (403, "AccessDenied", "let the store give whoever asks the right to read this"),
        (403, "InvalidObjectState", "restore the object"),
        (400, "AuthorizationHeaderMalformed", "set s3.region to the bucket's"),
        (401, "", "name a Secret in credentials.secret, correct what it holds, or give"),
        (400, "SomethingNew", "correct the request in the profile"),
    ] {
        let body = if code.is_empty() { String::new() } else { xml(code) };
        let server = answers(move |_, _| status(answered, &[], &body));
        let (exit, sentence) =
            failure_of(&server, &json!({"client": {"attempts": 3, "ca": {"configMap": "ca"}}}));
        assert_eq!((exit, server.asked().len()), (69, 1), "not worth another attempt: {sentence}");
        assert!(sentence.contains(remedy), "{sentence}");
        let said = format!("and says \"{code}: said of [redacted]\": ");
        assert!(code.is_empty() || sentence.contains(&said), "{sentence}");
    }
}

#[test]
fn no_redirect_is_followed_and_the_region_is_told() {
    let elsewhere = ["Location: http://169.254.169.254/latest", "x-amz-bucket-region: eu-west-1"];
    for answered in [301, 307] {
        let server = answers(move |_, _| status(answered, &elsewhere, ""));
        let (code, sentence) = failure_of(&server, &json!({}));
        assert_eq!((code, server.asked().len()), (69, 1));
        assert!(sentence.contains("the bucket is in another region: its region is eu-west-1"), "{sentence}");
        assert!(
            sentence.contains("boot follows no redirect of a store: correct endpoint and region"),
            "{sentence}"
        );
    }
}

#[test]
fn what_is_worth_another_attempt_gets_one() {
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
    let (code, sentence) = failure_of(&server, &client);
    assert!(code == 75 && sentence.contains("it asks to come back in 3600 s"), "{sentence}");
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn an_object_that_breaks_off_goes_on_where_it_did() {
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
fn a_store_that_always_breaks_off_fails_the_boot() {
    let server = answers(|_, _| Reply::CutAfter(object_headers(), MARK.into()));
    let (code, sentence) = failure_of(&server, &json!({}));
    assert_eq!(code, 75);
    assert!(sentence.contains("/assets/in/a: the connection broke ("), "{sentence}");
}

#[test]
fn a_store_that_never_answers_or_never_ends_is_cut_off() {
    let client = json!({"client": {"timeoutSeconds": 1, "ca": {"configMap": "ca"}}});
    let (code, sentence) = failure_of(&answers(|_, _| Reply::Never), &client);
    assert_eq!(code, 75);
    assert!(sentence.contains("it was not fetched within 1 s"), "{sentence}");
    assert!(sentence.contains("raise client.timeoutSeconds of the source"), "{sentence}");

    let server = answers(|_, _| Reply::DripAfter(object_headers(), Duration::from_millis(100)));
    let (code, sentence) = failure_of(&server, &client);
    assert_eq!(code, 75);
    assert!(sentence.contains("s3://assets/in/a is still sending, "), "{sentence}");

    let server = answers(|_, _| status(503, &[], ""));
    let client = json!({"client": {"timeoutSeconds": 1, "attempts": 20, "ca": {"configMap": "ca"}}});
    let (code, sentence) = failure_of(&server, &client);
    assert_eq!(code, 75);
    assert!(sentence.contains("the last attempt failed: ") && sentence.contains("503"), "{sentence}");
}

#[test]
fn a_store_is_trusted_by_the_profiles_authority_only() {
    let server = Server::expired();
    let (code, sentence) = failure_of(&server, &json!({}));
    assert_eq!(code, 69);
    assert!(sentence.contains("its certificate is not accepted (certificate expired"), "{sentence}");

    let server = answers(|_, _| object("whole"));
    let (code, sentence) = failure_of(&server, &json!({"client": {"attempts": 1}}));
    assert_eq!(code, 69);
    assert!(sentence.contains("name the authority that signed it in client.ca"), "{sentence}");
}

#[test]
fn a_store_that_is_not_there_is_told_as_that() {
    let gone = json!({"s3": {"bucket": "assets", "endpoint": "http://store.invalid"}});
    let (code, sentence) = failure_of(&answers(|_, _| ok("")), &gone);
    assert_eq!(code, 75);
    assert!(
        sentence.contains("http://store.invalid/assets/in/a: the name \"store.invalid\" does not resolve"),
        "{sentence}"
    );
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
fn what_is_no_store_is_told_as_that() {
    let page = |body: &'static str| answers(move |_, _| ok(body));
    let prefix = json!({"object": null, "file": null, "prefix": "in"});
    for body in ["<html><body>hello</body></html", "", "{}"] {
        let (code, sentence) = failure_of(&page(body), &prefix);
        assert!(
            code == 65 && sentence.contains("the answer is not one of S3: does endpoint name such a store?"),
            "{sentence}"
        );
    }
    let endless = answers(|_, _| ok(vec![b' '; (16 << 20) + 1]));
    let (code, sentence) = failure_of(&endless, &prefix);
    assert!(
        code == 69 && sentence.contains("it sends more than a list of objects or credentials ever take"),
        "{sentence}"
    );
}
