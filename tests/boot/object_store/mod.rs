//! `objectStore`, with real servers that the tests start, and with a server in this process for invalid
//! responses.

mod failures;
mod identity;
mod prefixes;
pub(crate) mod servers;
pub(crate) mod stores;
mod success;

use serde_json::{Value, json};

use crate::http::merge;
use crate::support::{Container, Outcome};
use stores::Store;

/// A value that must not appear in any output of boot.
const MARK: &str = "zq7Xv0hunter2";

/// The only user of the S3 server.
const S3_KEY: &str = "AKIAEXAMPLE";
const S3_SECRET: &str = "zq7Xv0hunter2-s3";

/// The source `assets` in `store` with valid credentials; `more` has additional fields.
fn source(container: &Container, store: &Store, more: &Value) -> Value {
    let mut settings = store.settings();
    settings["credentials"] = store.credentials(container);
    settings["client"] = json!({"attempts": 1});
    merge(&mut settings, more);
    remote(container, &settings)
}

fn remote(container: &Container, settings: &Value) -> Value {
    json!({
        "name": "assets",
        "limits": {"bytes": 1 << 20, "files": 2000},
        "from": {"objectStore": {"request": settings, "path": container.beside("store")}},
    })
}

/// Boots from `source`, and checks that the output contains no marked value.
fn boot(container: &Container, source: &Value) -> Outcome {
    let outcome = container.boot(std::slice::from_ref(source));
    let error = outcome.result.as_ref().err();
    let output = format!("{} {} {error:?}", outcome.log, outcome.message);
    assert!(!output.contains(MARK), "{output}");
    outcome
}

/// Exit code and message of a boot that fails and leaves nothing behind.
fn failure(container: &Container, source: &Value) -> (u8, String) {
    let failure = boot(container, source).failure();
    assert!(!container.at("env/environ").exists());
    assert!(container.assets().is_empty(), "{failure:?}");
    failure
}
