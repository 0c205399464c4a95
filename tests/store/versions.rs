//! Roles of two versions: pods of the previous version with this store, and pods of a future version.
//!
//! `versions/*.json` are pods of the webhook of the previous version (commit 9c1baa8, without signatures).
//! Pods of this version are in `core/tests/admission/snapshots`. No binary of the previous version is built,
//! because that would need as much time as all tests together.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Request;
use bootlace::store::api::StoreService;
use bootlace::store::metrics::StoreMetrics;
use bootlace::store::signing::VerificationKeys;
use bootlace_core::input::WaitSpec;
use bootlace_core::output::SidecarConfig;
use bootlace_core::plan::BootSpec;
use bootlace_core::signature::{SigningKeys, Specs};
use bootlace_test_api_server::ApiServer;
use http_body_util::BodyExt as _;
use serde_json::{Map, Value, json};
use tower::ServiceExt as _;

use crate::requests::body;
use crate::support::{keys, sign, stored_once};

const OUTPUTS: &str = include_str!("versions/outputs.json");
const WAITS: &str = include_str!("versions/waits.json");
const NOW: [(&str, &str); 2] = [
    (
        OUTPUTS,
        include_str!(
            "../../core/tests/admission/snapshots/admission__pipes_out__a_task_with_a_known_command_has_a_launcher_for_its_outputs.snap"
        ),
    ),
    (
        WAITS,
        include_str!(
            "../../core/tests/admission/snapshots/admission__pipes_wait__entries_name_future_objects_and_two_containers_wait_for_them.snap"
        ),
    ),
];

async fn ask(cluster: &ApiServer, keys: SigningKeys, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let service = StoreService::new(
        cluster.client(),
        std::sync::Arc::<StoreMetrics>::default(),
        VerificationKeys::with(keys),
        bootlace::store::progress::ProgressWriter::default(),
    );
    let request = Request::builder().method(method).uri(path).header("authorization", "Bearer task");
    let response =
        service.router().oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

fn specs(pod: &Value) -> Specs<'_> {
    Specs::of(|container, name| {
        let mut containers = pod["spec"]["initContainers"].as_array()?.iter();
        let container = containers.find(|found| found["name"] == container)?;
        container["env"].as_array()?.iter().find(|found| found["name"] == name)?["value"].as_str()
    })
}

/// The pod of a file or a snapshot, which can also be the container that waits.
fn pod(text: &str) -> Value {
    let mut read: Value = serde_json::from_str(text).unwrap();
    if read["wait"].is_object() {
        let boot = json!({"name": "bootlace-boot", "env": [{"name": "BOOTLACE_SPEC", "value": "{}"}]});
        read = json!({
            "metadata": {"annotations": {"bootlace.dev/injected": "{}"}},
            "spec": {"containers": [{"name": "main"}], "initContainers": [read["wait"], boot]},
        });
    }
    read
}

/// A cluster with the pod, under the name `task`.
fn cluster(mut pod: Value) -> ApiServer {
    pod["metadata"]["name"] = json!("task");
    let cluster = ApiServer::new();
    cluster.put("/api/v1/namespaces/etl/pods/task", pod);
    cluster
}

/// Whether the store accepts their requests, and the containers of this version can parse their
/// configuration.
async fn are_served(outputs: Value, waits: Value, keys: impl Fn() -> SigningKeys) {
    let _: SidecarConfig<'_> = serde_json::from_str(&specs(&outputs).pipes).unwrap();
    let config: WaitSpec<'_> = serde_json::from_str(&specs(&waits).wait).unwrap();
    let object = config.awaits[0].object.clone();
    let boot = specs(&outputs).boot.into_owned();
    BootSpec::from_env(|name| (name == "BOOTLACE_SPEC").then(|| boot.clone())).unwrap();
    let waiting = cluster(waits);
    let (status, answer) = ask(&waiting, keys(), "GET", &format!("/v1/awaited/{object}"), &Value::Null).await;
    assert_eq!((status, &answer["state"]), (200, &json!("NotYet")), "{answer}");
    let handing = cluster(outputs);
    let good = body("main", "Secret", "tls.crt", b"x");
    let (status, answer) = ask(&handing, keys(), "PUT", "/v1/pipes/Certificate", &good).await;
    assert_eq!(status, 200, "{answer}");
    stored_once(&handing);
    let booted = json!({"outcome": "Booted", "note": "in 1 s"});
    assert_eq!(ask(&handing, keys(), "POST", "/v1/events", &booted).await.0, 204);
}

#[tokio::test]
async fn pods_of_the_previous_version_are_served_by_this_store() {
    // The first key is from 2027, and the pods from 2026.
    let keys = || SigningKeys::read([("key-1800000000", vec![7; 32])], 1_900_000_000).unwrap();
    are_served(pod(OUTPUTS), pod(WAITS), keys).await;
}

/// Adds a field to every object, except those with names from the profile.
fn newer(value: &mut Value) {
    if let Value::Array(values) = value {
        values.iter_mut().for_each(newer);
    }
    if let Value::Object(fields) = value {
        for (name, value) in fields.iter_mut() {
            // Maps by name, and the specs of sources.
            if !["keep", "held", "references", "builtOn", "inline", "request", "from"]
                .contains(&name.as_str())
            {
                newer(value);
            }
        }
        if !fields.contains_key("from") || fields.contains_key("object") || fields.contains_key("name") {
            fields.insert("ofAVersionToCome".to_owned(), json!({"some": ["thing"]}));
        }
    }
}

#[tokio::test]
async fn pods_of_a_future_version_are_served_by_this_store() {
    let read = |text: &str| {
        let mut pod = pod(text);
        let containers = pod["spec"]["initContainers"].as_array_mut().unwrap();
        let env = containers.iter_mut().flat_map(|container| container["env"].as_array_mut().unwrap());
        for variable in env {
            let Some(Ok(mut config)) = variable["value"].as_str().map(serde_json::from_str::<Value>) else {
                continue;
            };
            newer(&mut config);
            variable["value"] = json!(config.to_string());
        }
        sign("etl", "task", &mut pod);
        pod
    };
    are_served(read(OUTPUTS), read(WAITS), keys).await;
}

/// The paths of all fields, without what is between the brackets of arrays.
fn paths(value: &Value, path: &str, all: &mut BTreeSet<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| paths(value, &format!("{path}[]"), all)),
        Value::Object(fields) => of_fields(fields, path, all),
        _ => drop(all.insert(path.to_owned())),
    }
}

fn of_fields(fields: &Map<String, Value>, path: &str, all: &mut BTreeSet<String>) {
    for (name, value) in fields {
        paths(value, &format!("{path}.{name}"), all);
    }
}

#[test]
fn a_store_of_the_previous_version_can_parse_the_configuration_of_this_version() {
    // The previous version rejects unknown fields, and then the task fails.
    for (before, now) in NOW {
        let now = now.splitn(3, "---\n").nth(2).unwrap();
        let [before, now] = [before, now].map(|text| {
            let pod = pod(text);
            let specs = specs(&pod);
            let mut all = BTreeSet::new();
            for (name, text) in [("boot", &specs.boot), ("pipes", &specs.pipes), ("wait", &specs.wait)] {
                if !text.is_empty() {
                    paths(&serde_json::from_str(text).unwrap(), name, &mut all);
                }
            }
            all
        });
        let unknown: Vec<_> = now.difference(&before).collect();
        assert!(unknown.is_empty(), "the version before does not know {unknown:?}");
    }
}
