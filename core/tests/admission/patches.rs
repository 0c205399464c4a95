//! Compares the implementation of patches with `json_patch`: the same operations on the same document.

use bootlace_core::pod::{self, Json, Operation};
use json_patch::PatchOperation;
use json_patch::jsonptr::PointerBuf;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use super::{inject, pod, pods, position};

/// Seed of an operation: which path of the document it has, and how the path is wrong.
#[derive(Debug, Clone)]
struct Seed {
    place: Index,
    beside: Option<&'static str>,
    replace: bool,
    value: Value,
}

fn seed() -> impl Strategy<Value = Seed> {
    let beside = prop::sample::select(vec!["-", "0", "1", "01", "7", "new", "a/b~c", ""]);
    (any::<Index>(), prop::option::of(beside), any::<bool>(), pods::any_json())
        .prop_map(|(place, beside, replace, value)| Seed { place, beside, replace, value })
}

/// All paths in a document except the root.
fn places(json: &Value, at: &PointerBuf, into: &mut Vec<PointerBuf>) {
    let mut step = |token: String, value: &Value| {
        let place = at.with_trailing_token(token);
        into.push(place.clone());
        places(value, &place, into);
    };
    match json {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| step(name.clone(), value)),
        Value::Array(elements) => {
            elements.iter().enumerate().for_each(|(index, value)| step(index.to_string(), value));
        }
        _ => {}
    }
}

/// The operations for `seeds`, each for the document after the operations before it.
fn operations(document: &Value, seeds: Vec<Seed>) -> Vec<Operation> {
    let mut document = document.clone();
    let mut operations = Vec::new();
    for Seed { place, beside, replace, value } in seeds {
        let mut known = vec![PointerBuf::from_tokens(["new"])];
        places(&document, &PointerBuf::new(), &mut known);
        let mut path = place.get(&known).clone();
        if let Some(token) = beside {
            path.push_back(token);
        }
        let operation = if replace { Operation::replace } else { Operation::add }(path, value);
        // Most patches do not apply: a failing patch is as useful as one that applies completely.
        let applies = json_patch::patch(&mut document, &[PatchOperation::from(&operation)]).is_ok();
        operations.push(operation);
        if !applies {
            break;
        }
    }
    operations
}

fn by_us(document: &Value, patch: &[Operation]) -> Option<String> {
    let applied = pod::apply(Json::from(document), patch).ok()?;
    Some(Value::from(&applied).to_string())
}

fn by_the_library(document: &Value, patch: &[Operation]) -> Option<String> {
    let (mut document, patch) = (document.clone(), patch.iter().map(PatchOperation::from));
    json_patch::patch(&mut document, &patch.collect::<Vec<_>>()).ok()?;
    Some(document.to_string())
}

proptest! {
    #[test]
    fn what_is_made_for_a_pod_applies_as_it_does_with_the_library(pod in pod(), position in position()) {
        let injection = inject(&pod, position);
        prop_assert_eq!(by_us(&pod, &injection.patch), by_the_library(&pod, &injection.patch));
        prop_assert_eq!(by_us(&pod, &injection.patch), Some(injection.pod.to_string()));
    }

    #[test]
    fn anything_applies_or_fails_as_it_does_with_the_library(
        document in pods::any_json(), seeds in vec(seed(), 1..6),
    ) {
        let patch = operations(&document, seeds);
        prop_assert_eq!(by_us(&document, &patch), by_the_library(&document, &patch), "{:?}", patch);
    }

    /// The API server uses another library; `json_patch` is the closest one that is available here.
    #[test]
    fn the_patch_is_what_the_library_serializes(document in pods::any_json(), seeds in vec(seed(), 1..6)) {
        let patch = operations(&document, seeds);
        let of_library: Vec<_> = patch.iter().map(PatchOperation::from).collect();
        prop_assert_eq!(serde_json::to_value(&patch).unwrap(), serde_json::to_value(&of_library).unwrap());
    }
}

#[test]
fn a_missing_path_is_named() {
    let replace = Operation::replace(PointerBuf::parse("/a").unwrap(), 1);
    let error = pod::apply(Json::from(&json!({"b": 1})), &[replace]).unwrap_err().to_string();
    assert!(error.contains("/a"), "{error}");
}
