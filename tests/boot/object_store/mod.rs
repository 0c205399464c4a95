//! `objectStore`, from real servers that the tests start, and from one of their own where a store must behave badly.

mod failures;
mod gives;
mod identity;
mod prefixes;
mod servers;
mod stores;

use serde_json::{Value, json};

use crate::http::merge;
use crate::support::{Container, Outcome};
use stores::Store;

/// What must not show in anything that boot says.
const MARK: &str = "zq7Xv0hunter2";

/// The S3 server's only user.
const S3_KEY: &str = "AKIAEXAMPLE";
const S3_SECRET: &str = "zq7Xv0hunter2-s3";

/// The source `assets` that asks `store` with the right credentials; `more` has its further fields.
fn source(container: &Container, store: &Store, more: &Value) -> Value {
    let mut says = store.says();
    says["credentials"] = store.credentials(container);
    says["client"] = json!({"attempts": 1});
    merge(&mut says, more);
    remote(container, &says)
}

fn remote(container: &Container, says: &Value) -> Value {
    json!({
        "name": "assets",
        "limits": {"bytes": 1 << 20, "files": 2000},
        "from": {"objectStore": {"request": says, "path": container.beside("store")}},
    })
}

/// Boots from `source`, and sees to it that nothing marked is said.
fn boot(container: &Container, source: &Value) -> Outcome {
    let outcome = container.boot(std::slice::from_ref(source));
    let error = outcome.result.as_ref().err();
    let said = format!("{} {} {error:?}", outcome.log, outcome.message);
    assert!(!said.contains(MARK), "{said}");
    outcome
}

/// Exit code and message of a boot that fails and leaves nothing behind.
fn failure(container: &Container, source: &Value) -> (u8, String) {
    let failure = boot(container, source).failure();
    assert!(!container.at("env/environ").exists());
    assert!(container.assets().is_empty(), "{failure:?}");
    failure
}
