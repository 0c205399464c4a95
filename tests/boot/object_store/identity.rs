//! Workload identities of the clouds: the env that a webhook of the cloud sets in the boot container, and
//! servers that behave like its services. They run in a separate process, because the env belongs to the
//! process.

use std::fs;

use serde_json::{Value, json};

use super::{MARK, remote};
use crate::http::server::{Asked, Reply, Server, ok, status};
use crate::process;
use crate::support::{Container, code};

/// A temporary key.
const KEY: &str = "ASIAEXAMPLE";

/// Boots from `request` with `env`; returns exit code and log.
fn boot(container: &Container, settings: &Value, env: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = process::boot(container, &[remote(container, settings)]);
    let output = command.envs(env.iter().copied()).output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(!log.contains(MARK), "{log}");
    (output.status.code(), log)
}

/// The token that the kubelet mounts.
fn token(container: &Container) -> String {
    let file = container.beside("token");
    fs::write(&file, format!("{MARK}-token")).unwrap();
    file.to_str().unwrap().to_owned()
}

fn request(store: &Value) -> Value {
    let mut settings = json!({"object": "in/a", "file": "a", "client": {"attempts": 1}});
    crate::http::merge(&mut settings, store);
    settings
}

/// A store that accepts one bearer token.
fn bearer_store() -> Server {
    Server::plain(|asked, _| {
        let right = format!("authorization: Bearer {MARK}-access");
        if !asked.headers.contains(&right) {
            return status(401, &[], "");
        }
        whole()
    })
}

/// An object in a store.
fn whole() -> Reply {
    let headers = ["ETag: \"1\"", "Last-Modified: Sat, 21 Nov 2026 10:00:00 GMT"].map(str::to_owned);
    Reply::Whole(200, headers.to_vec(), b"whole".to_vec())
}

#[test]
fn a_role_of_the_service_account_reads_s3() {
    // versitygw does not support temporary keys.
    let store = Server::plain(|asked, _| {
        let has = |start: &str| asked.headers.iter().any(|line| line.starts_with(start));
        let signed = format!("authorization: AWS4-HMAC-SHA256 Credential={KEY}/");
        if !has(&signed) || !has(&format!("x-amz-security-token: {MARK}-session")) {
            return status(403, &[], "");
        }
        whole()
    });
    let asks_well = |asked: &Asked| {
        asked.line.starts_with("POST /?Action=AssumeRoleWithWebIdentity&")
            && asked.line.ends_with(&format!("&WebIdentityToken={MARK}-token"))
    };
    let sts = Server::plain(move |asked, _| {
        if !asks_well(asked) {
            return status(400, &[], &format!("{asked:?}"));
        }
        ok(format!(
            "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{KEY}\
             </AccessKeyId><SecretAccessKey>{MARK}</SecretAccessKey><SessionToken>{MARK}-session</SessionToken><Expiration>\
             2036-11-21T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>\
             </AssumeRoleWithWebIdentityResponse>"
        ))
    });
    let container = Container::new();
    let (token, sts) = (token(&container), sts.url());
    let env = [
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/tasks"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", &*token),
        ("AWS_ENDPOINT_URL_STS", &*sts),
        // Ignored: anyone who can set the env of a pod could set them.
        ("AWS_ACCESS_KEY_ID", "AKIAWRONG"),
        ("AWS_SECRET_ACCESS_KEY", "wrong"),
    ];
    let s3 = json!({"s3": {"bucket": "assets", "endpoint": store.url()}});
    let (exit_code, log) = boot(&container, &request(&s3), &env);
    assert_eq!(exit_code, Some(0), "{log}");
    assert_eq!(container.assets()["a"], b"whole");
}

#[test]
fn a_federated_token_reads_azure() {
    let authority = Server::plain(|asked, _| {
        let body = String::from_utf8_lossy(&asked.body);
        if asked.line != "POST /tenant/oauth2/v2.0/token"
            || !body.contains(&format!("client_assertion={MARK}-token"))
        {
            return status(400, &[], "");
        }
        ok(json!({"access_token": format!("{MARK}-access"), "expires_in": 3600}).to_string())
    });
    let store = bearer_store();
    let container = Container::new();
    let (token, authority) = (token(&container), authority.url());
    let env = [
        ("AZURE_CLIENT_ID", "client"),
        ("AZURE_TENANT_ID", "tenant"),
        ("AZURE_FEDERATED_TOKEN_FILE", &*token),
        ("AZURE_AUTHORITY_HOST", &*authority),
    ];
    let azure = json!({"azure": {"account": "account", "container": "assets", "endpoint": store.url()}});
    let (exit_code, log) = boot(&container, &request(&azure), &env);
    assert_eq!(exit_code, Some(0), "{log}");
    assert_eq!(store.asked()[0].line, "GET /assets/in/a");
}

#[test]
fn the_metadata_service_reads_google_cloud_storage() {
    let metadata = Server::plain(|asked, _| {
        let known = asked.line.starts_with("GET /computeMetadata/v1/instance/service-accounts/default/token");
        if !known || !asked.headers.contains(&"metadata-flavor: Google".to_owned()) {
            return status(404, &[], "");
        }
        ok(json!({"access_token": format!("{MARK}-access"), "expires_in": 3600}).to_string())
    });
    let store = bearer_store();
    let container = Container::new();
    let host = metadata.url().replace("http://", "");
    let gcs = json!({"gcs": {"bucket": "assets", "endpoint": store.url()}});
    let (exit_code, log) = boot(&container, &request(&gcs), &[("GCE_METADATA_HOST", &host)]);
    assert_eq!(exit_code, Some(0), "{log}");
    assert_eq!(container.assets()["a"], b"whole");
}

#[test]
fn a_pod_without_an_identity_fails_with_a_remedy() {
    let sts = Server::plain(|_, _| {
        let code = "<Error><Code>AccessDenied</Code><Message>Not authorized to perform sts:AssumeRole</Message></Error>";
        status(403, &[], &format!("<ErrorResponse>{code}</ErrorResponse>"))
    });
    let container = Container::new();
    let (token, sts) = (token(&container), sts.url());
    let env = [
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/tasks"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", &*token),
        ("AWS_ENDPOINT_URL_STS", &*sts),
    ];
    let s3 = json!({"s3": {"bucket": "assets", "endpoint": "http://127.0.0.1:9"}});
    let (exit_code, log) = boot(&container, &request(&s3), &env);
    assert_eq!(exit_code, Some(69));
    let message = log.lines().last().unwrap();
    assert_eq!(message.matches("credentials.secret").count(), 1, "{log}");
    assert!(message.contains("(s3://assets/in/a)") && code(message) == "BL2204", "{log}");
    assert!(message.contains(&format!("{sts}/: ")) && message.contains("403 Forbidden"), "{log}");
    assert!(message.contains("credentials.anonymous"), "{log}");
}

#[test]
fn a_token_that_is_not_mounted_is_named() {
    let container = Container::new();
    let env = [("AWS_ROLE_ARN", "arn"), ("AWS_WEB_IDENTITY_TOKEN_FILE", "/nobody/mounted/it")];
    let (exit_code, log) = boot(&container, &request(&json!({"s3": {"bucket": "assets"}})), &env);
    assert_eq!(exit_code, Some(69));
    let message = log.lines().last().unwrap();
    assert!(message.contains("\"/nobody/mounted/it\"") && code(message) == "BL2102", "{log}");
}

/// The metadata service is requested without the proxy, which could not reach it.
#[test]
fn an_unreachable_metadata_service_fails_with_a_remedy() {
    let container = Container::new();
    let proxy = Server::plain(|_, _| status(500, &[], ""));
    let mut settings = request(&json!({"s3": {"bucket": "assets", "endpoint": "http://store.invalid"}}));
    settings["client"]["proxy"] = proxy.url().into();
    let token = token(&container);
    let env = [
        // The discard port, on which no server listens.
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9/v1/credentials"),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &*token),
    ];
    let (exit_code, log) = boot(&container, &settings, &env);
    assert_eq!(exit_code, Some(75), "{log}");
    let message = log.lines().last().unwrap();
    assert!(message.contains("http://127.0.0.1:9/v1/credentials: ") && code(message) == "BL2204", "{log}");
    assert!(message.contains("workload identity") && message.contains("credentials.secret"), "{log}");
    assert!(proxy.asked().is_empty());
}
