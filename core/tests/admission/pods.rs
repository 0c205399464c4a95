//! Generated pods with any field of the API, and with fields that this version of Bootlace does not know.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Any small JSON value.
pub(crate) fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON has no infinities", |number| number.is_finite()).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            btree_map("[a-zA-Z/~$.]{1,8}", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A pod that the API server would accept, except for fields whose names start with `x-`.
pub(crate) fn pod() -> impl Strategy<Value = Value> {
    let containers = vec(container(), 1..4).prop_map(named("main"));
    let init_containers = option::of(vec(container(), 0..3).prop_map(named("init")));
    let volumes = option::of(vec(unknown(json!({"emptyDir": {}})), 0..3).prop_map(named("volume")));
    let labels = btree_map("[a-z]{1,8}", "[a-z0-9]{0,8}", 0..4);
    let annotations = option::of(btree_map("[a-z]{1,8}", ".{0,20}", 0..4));
    (containers, init_containers, volumes, labels, annotations, unknown(json!({})), unknown(json!({})))
        .prop_map(
            |(containers, init_containers, volumes, mut labels, annotations, mut spec, mut metadata)| {
                labels.insert("bootlace.dev/task".to_owned(), "true".to_owned());
                metadata["name"] = json!("generated");
                metadata["labels"] = json!(labels);
                insert(&mut metadata, "annotations", annotations.map(|annotations| json!(annotations)));
                insert(&mut spec, "volumes", volumes.map(Value::from));
                insert(&mut spec, "initContainers", init_containers.map(Value::from));
                spec["containers"] = Value::from(containers);
                json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
            },
        )
}

fn container() -> impl Strategy<Value = Value> {
    let words = || option::of(vec(".{0,10}", 0..4));
    let env = option::of(vec(("[A-Z_]{1,6}", ".{0,10}"), 0..6));
    let mounts = option::of(vec("/[a-z]{1,6}", 0..3));
    (words(), words(), env, mounts, option::of(handler()), unknown(json!({"image": "busybox"}))).prop_map(
        |(command, args, env, mounts, handler, mut container)| {
            insert(&mut container, "command", command.map(|words| json!(words)));
            insert(&mut container, "args", args.map(|words| json!(words)));
            let variable = |(name, value): (String, String)| json!({"name": name, "value": value});
            insert(&mut container, "env", env.map(|env| env.into_iter().map(variable).collect()));
            let mount = |path: String| json!({"name": "volume-0", "mountPath": format!("/own{path}")});
            insert(
                &mut container,
                "volumeMounts",
                mounts.map(|mounts| mounts.into_iter().map(mount).collect()),
            );
            insert(&mut container, "lifecycle", handler);
            container
        },
    )
}

fn handler() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({})),
        Just(json!({"preStop": {"sleep": {"seconds": 1}}})),
        vec(".{0,10}", 1..4).prop_map(|words| json!({"postStart": {"exec": {"command": words}}})),
        (0..9i64).prop_map(|seconds| json!({"postStart": {"sleep": {"seconds": seconds}}})),
        Just(
            json!({"postStart": {"httpGet": {"port": 80, "path": "/x"}}, "preStop": {"sleep": {"seconds": 1}}})
        ),
    ]
}

/// Adds unknown fields to an object.
fn unknown(object: Value) -> impl Strategy<Value = Value> {
    btree_map("x-[a-z]{1,4}", any_json(), 0..3).prop_map(move |fields| {
        let mut object = object.clone();
        for (name, value) in fields {
            object[name] = value;
        }
        object
    })
}

fn insert(object: &mut Value, field: &str, value: Option<Value>) {
    if let Some(value) = value {
        object[field] = value;
    }
}

fn named(prefix: &'static str) -> impl Fn(Vec<Value>) -> Vec<Value> + Clone {
    move |objects| {
        let name = |(index, mut object): (usize, Value)| {
            object["name"] = json!(format!("{prefix}-{index}"));
            object
        };
        objects.into_iter().enumerate().map(name).collect()
    }
}

/// Whether `after` contains every key and element of `before`, in the same order and with the same value.
/// `path` is the current path for messages.
pub(crate) fn kept(before: &Value, after: &Value, path: &str) -> Result<(), String> {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => kept_fields(before, after, path),
        (Value::Array(before), Value::Array(after)) => {
            let mut rest = after.iter();
            before.iter().enumerate().try_for_each(|(index, element)| {
                let path = format!("{path}/{index}");
                if rest.any(|candidate| kept(element, candidate, &path).is_ok()) {
                    return Ok(());
                }
                Err(format!("{path} is gone, changed or out of order: {element}"))
            })
        }
        _ if before == after => Ok(()),
        _ => Err(format!("{path} was {before} and is {after}")),
    }
}

fn kept_fields(before: &Map<String, Value>, after: &Map<String, Value>, path: &str) -> Result<(), String> {
    let order: Vec<_> = after.keys().filter(|key| before.contains_key(*key)).collect();
    if !order.iter().eq(&before.keys().collect::<Vec<_>>()) {
        return Err(format!("the fields of {path} are gone or out of order: {order:?}"));
    }
    before.iter().try_for_each(|(key, value)| {
        let path = format!("{path}/{key}");
        // The hook replaces this handler, and runs it after its verification.
        if path.ends_with("/lifecycle/postStart") {
            return Ok(());
        }
        kept(value, &after[key], &path)
    })
}
