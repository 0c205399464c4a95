//! Pods that the code of the schedulers created: `tests/pods`.

use std::path::Path;

use serde_json::Value;

pub(crate) fn pod(file: &str) -> Value {
    let path = Path::new(env!("BOOTLACE_ROOT")).join("tests/pods").join(file);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}
