//! The messages of `bootlace store`, as its clients print them, and of the client.

use std::io;
use std::path::PathBuf;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use bootlace_core::code::Coded;
use bootlace_core::output::{DataError, ObjectKind};
use bootlace_core::signature::{SigningKeys, Specs};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Pod;
use kube::core::Status;
use serde_json::{Value, json};

use super::Messages;
use crate::store::api_error::ApiError;
use crate::store::caller::{Caller, PodIdentity};
use crate::store::pipe::{persist, pipe_quota};
use crate::store::request_quota::RequestQuota;
use crate::store::{abort, api, authorize, body, caller, env, pipe};
use crate::store_client::ClientError;
use crate::store_client::protocol::{EnvRequest, MAX_ENV_BYTES};

const PIPE: &str = "Pipe etl/report-0123456789abcdef";
const OBJECT: &str = "ConfigMap etl/report-0123456789abcdef";

pub(super) fn messages() -> Messages {
    let errors = callers().into_iter().chain(pods()).chain(requests()).chain(api_server());
    let clients = clients().into_iter().map(|error| (error.code(), error.to_string()));
    errors.map(|error| (error.code(), error.to_string())).chain(clients).collect()
}

fn clients() -> Vec<ClientError> {
    let url = || "https://bootlace-store.bootlace.svc".to_owned();
    vec![
        ClientError::Setup("failed to set up TLS: no cipher suites".to_owned()),
        ClientError::Token {
            path: PathBuf::from("/var/run/secrets/bootlace/token"),
            error: io::ErrorKind::NotFound.into(),
        },
        ClientError::Failed { message: "connection refused".to_owned(), connected: false },
        ClientError::Unreachable { url: url(), seconds: 60, message: "connection refused".to_owned() },
        ClientError::Unavailable { url: url(), seconds: 60, message: "status 503".to_owned(), code: None },
        ClientError::Refused { url: url(), message: "status 403".to_owned(), code: None },
        ClientError::UnexpectedResponse { url: format!("{}/v1/env", url()) },
    ]
}

fn id() -> PodIdentity {
    PodIdentity { namespace: "etl".to_owned(), name: "load".to_owned(), uid: "u-1".to_owned() }
}

fn callers() -> Vec<ApiError> {
    let review = |status: Value| caller::identity(serde_json::from_value(status).unwrap()).unwrap_err();
    let pod = |metadata: Value| serde_json::from_value::<Pod>(json!({"metadata": metadata})).unwrap();
    let long =
        HeaderMap::from_iter([(AUTHORIZATION, format!("Bearer {}", "a".repeat(20_000)).parse().unwrap())]);
    let deleted = pod(json!({"uid": "u-1", "deletionTimestamp": "2026-11-21T10:00:00Z"}));
    let quota = RequestQuota::default();
    let (mut permits, mut errors) = (Vec::new(), Vec::new());
    for (pod, requests) in [("a", 5), ("b", 4), ("c", 4), ("d", 4), ("e", 1)] {
        for _ in 0..requests {
            match quota.acquire(&PodIdentity { uid: pod.to_owned(), ..id() }) {
                Ok(permit) => permits.push(permit),
                Err(error) => errors.push(error),
            }
        }
    }
    errors.extend([
        caller::bearer(&HeaderMap::new()).unwrap_err(),
        caller::bearer(&long).unwrap_err(),
        review(json!({"authenticated": false, "error": "token has expired"})),
        review(json!({"authenticated": true, "audiences": ["vault"]})),
        review(json!({"authenticated": true, "audiences": ["bootlace"]})),
        caller::check_exists(None, &id()).unwrap_err(),
        caller::check_exists(Some(&pod(json!({"uid": "u-2"}))), &id()).unwrap_err(),
        Caller { id: id(), pod: deleted }.check_not_deleted().unwrap_err(),
    ]);
    errors
}

fn pods() -> Vec<ApiError> {
    let keys = SigningKeys::read([("key-1700000000".to_owned(), vec![7; 32])], 1_700_000_000).unwrap();
    let pod = |signature: &str, injected: bool| -> Pod {
        let annotations = if injected { json!({"bootlace.dev/injected": "{}"}) } else { json!({}) };
        serde_json::from_value(json!({
            "metadata": {"name": "load", "annotations": annotations},
            "spec": {"containers": [], "initContainers": [
                {"name": "bootlace-boot", "env": [{"name": "BOOTLACE_SIGNATURE", "value": signature}]},
            ]},
        }))
        .unwrap()
    };
    let specs = |pod: &Pod| authorize::specs(pod, "etl", &keys).map(drop).unwrap_err();
    let config = |boot: Value, pipes: Value, wait: Value| {
        let text = |value: Value| if value.is_null() { String::new() } else { value.to_string() };
        Specs { boot: text(boot).into(), pipes: text(pipes).into(), wait: text(wait).into() }
    };
    let env_secret = |name: &str| {
        let specs = config(json!({"envSecret": name}), Value::Null, Value::Null);
        authorize::env_secret(&pod("", true), &specs).unwrap_err()
    };
    let outputs = json!({
        "task": {"scheduler": "airflow", "workflow": "etl", "run": "r1", "task": "load"},
        "profile": {"name": "default", "generation": 1}, "store": {"url": "", "ca": ""},
        "outputs": [{"key": "Cert", "kind": "Secret", "container": "base"}],
        "timeToLiveSeconds": 3600, "deadlineSeconds": 60, "graceSeconds": 20,
    });
    let waits = json!({
        "profile": {"name": "default", "generation": 1}, "store": {"url": "", "ca": ""}, "awaits": [],
    });
    let nothing = config(json!({}), Value::Null, Value::Null);
    let all = config(json!({}), outputs, waits);
    let sidecar = pipe::authorize::sidecar_config(&all).unwrap();
    let declared = |container, kind| {
        pipe::authorize::declared_output(&sidecar, "Cert", container, kind).map(drop).unwrap_err()
    };
    vec![
        specs(&pod("", false)),
        specs(&pod("", true)),
        specs(&pod("1700000001 AAAA etl/load", true)),
        specs(&pod("1700000000 AAAA etl/load", true)),
        authorize::env_secret(&pod("", true), &config(json!([]), Value::Null, Value::Null)).unwrap_err(),
        authorize::env_secret(&pod("", true), &nothing).unwrap_err(),
        env_secret("db-login"),
        env_secret("bootlace-env-0123456789abcdef0123456789abcdef"),
        pipe::authorize::sidecar_config(&nothing).map(drop).unwrap_err(),
        pipe::authorize::awaited_output(&nothing, "report").unwrap_err(),
        pipe::authorize::awaited_output(&all, "report").unwrap_err(),
        pipe::authorize::check_key(&sidecar, "Key").unwrap_err(),
        declared("other", ObjectKind::Secret),
        declared("base", ObjectKind::ConfigMap),
        abort::check_container(&sidecar, "base").unwrap_err(),
    ]
}

fn requests() -> Vec<ApiError> {
    let env = |name: &str, value: &[u8]| {
        let env = [(name.to_owned(), ByteString(value.to_vec()))].into();
        env::check(&EnvRequest { env }).unwrap_err()
    };
    let syntax = serde_json::from_str::<Value>("{").unwrap_err();
    vec![
        body::timed_out(),
        body::incomplete(),
        body::too_large(),
        api::busy(),
        api::malformed(&syntax),
        api::unknown_path(StatusCode::NOT_FOUND, "NotFound"),
        api::invalid_data("Cert", &DataError::Empty),
        api::invalid_data("Cert", &DataError::TooLarge(1_048_577)),
        abort::too_large(2000),
        abort::quota_exceeded(),
        env("A B", b""),
        env("A", b"\0"),
        env("A", &vec![b'x'; MAX_ENV_BYTES]),
        pipe_quota::exceeded("this run", 20, "perRun"),
        persist::conflict(PIPE),
        persist::being_deleted(PIPE),
        persist::changed(PIPE),
        persist::leftover(OBJECT),
        persist::crd_outdated(PIPE),
    ]
}

fn api_server() -> Vec<ApiError> {
    let failure =
        |code: u16, message: &str| kube::Error::Api(Box::new(Status::failure(message, "").with_code(code)));
    vec![
        persist::not_created(
            OBJECT,
            &failure(403, "configmaps \"report\" is forbidden: exceeded quota: small"),
        ),
        persist::not_created(OBJECT, &failure(403, "configmaps is forbidden")),
        persist::not_created(OBJECT, &failure(422, "metadata.name: Invalid value")),
        persist::not_created(OBJECT, &failure(503, "etcdserver: request timed out")),
        pipe::api_error("failed to list Pipes in namespace \"etl\"", &failure(404, "404 page not found")),
    ]
}
