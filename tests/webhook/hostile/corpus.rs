//! The most expensive known reviews: each is small enough to be accepted, and needs as much work or memory as
//! possible.

use bootlace_core::names;
use serde_json::{Value, json};

use crate::harness::REVIEW;

/// A review, with its name in the table.
pub(super) struct Hostile {
    pub(super) name: &'static str,
    pub(super) body: Vec<u8>,
}

/// All reviews.
pub(super) fn all() -> Vec<Hostile> {
    let mut all = annotations();
    all.extend(pods());
    all.extend(bodies());
    all
}

/// A pod whose response has the maximum size.
pub(super) fn largest_answer() -> Vec<u8> {
    serde_json::to_vec(&every_container_a_task()).unwrap()
}

fn hostile(name: &'static str, review: &Value) -> Hostile {
    Hostile { name, body: serde_json::to_vec(review).unwrap() }
}

fn review() -> Value {
    serde_json::from_str(REVIEW).unwrap()
}

fn with(pointer: &str, value: Value) -> Value {
    let mut review = review();
    *review.pointer_mut(pointer).unwrap() = value;
    review
}

fn with_annotation(name: &str, value: &str) -> Value {
    with("/request/object/metadata/annotations", json!({name: value}))
}

fn with_container(fields: Value) -> Value {
    let mut container = json!({"name": "base", "image": "busybox", "command": ["sh"]});
    let Value::Object(fields) = fields else { panic!("fields are an object") };
    container.as_object_mut().unwrap().extend(fields);
    with("/request/object/spec/containers", json!([container]))
}

/// Annotations of the maximum size in the API server: 256 KiB.
fn annotations() -> Vec<Hostile> {
    const LONG: usize = 250_000;
    let bomb = ["- &a [x,x,x,x,x,x,x,x,x]\n"]
        .into_iter()
        .map(str::to_owned)
        .chain(('b'..='f').zip('a'..='e').map(|(name, before)| {
            let aliases = vec![format!("*{before}"); 9].join(",");
            format!("- &{name} [{aliases}]\n")
        }))
        .collect::<String>();
    let merges = format!("- &a {{{}}}\n{}", "k: v, ".repeat(2_000), "- {<<: *a}\n".repeat(10_000));
    let texts: [(&str, &str, String); 10] = [
        ("a YAML list of aliases, 213 bytes", names::ANNOTATION_PIPE_IN, bomb),
        ("YAML merge keys", names::ANNOTATION_PIPE_OUT, merges),
        ("YAML, 60,000 levels deep", names::ANNOTATION_PIPE_IN, "[".repeat(60_000)),
        ("a YAML list of 60,000 bytes of entries", names::ANNOTATION_PIPE_OUT, "- {a: b}\n".repeat(6_600)),
        ("250 KB of YAML", names::ANNOTATION_PIPE_OUT, "- x\n".repeat(LONG / 4)),
        ("250 KB of container names", names::ANNOTATION_CONTAINERS, "base,".repeat(LONG / 5)),
        (
            "250 KB of JSON as the entrypoint",
            names::ANNOTATION_ENTRYPOINT,
            format!("[{}\"\"]", "\"\",".repeat(LONG / 3)),
        ),
        ("100,000 levels of JSON as the entrypoint", names::ANNOTATION_ENTRYPOINT, "[".repeat(100_000)),
        ("250 KB as the injected configuration", names::ANNOTATION_INJECTED, "{".repeat(LONG)),
        ("250 KB as the boot image", names::ANNOTATION_INIT_IMAGE, "a/".repeat(LONG / 2)),
    ];
    texts.iter().map(|(name, annotation, text)| hostile(name, &with_annotation(annotation, text))).collect()
}

/// Pods of 3 MiB, the maximum of the API server, each with an extreme number of one kind of field.
fn pods() -> Vec<Hostile> {
    let variables = |count: usize, value: &dyn Fn(usize) -> String| -> Value {
        (0..count).map(|at| json!({"name": format!("V{at}"), "value": value(at)})).collect()
    };
    let mounts: Value = (0..30_000).map(|at| json!({"name": "v", "mountPath": format!("/m/{at}")})).collect();
    let volumes: Value = (0..30_000).map(|at| json!({"name": format!("v{at}"), "emptyDir": {}})).collect();
    let map = |count: usize| -> Value {
        (0..count)
            .map(|at| (format!("example.com/l{at}"), json!("v")))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    vec![
        hostile(
            "33,000 env variables",
            &with_container(json!({"env": variables(33_000, &|_| "v".to_owned())})),
        ),
        hostile(
            "33,000 env variables that refer to none",
            &with_container(json!({"env": variables(33_000, &|_| "$(NONE)".to_owned())})),
        ),
        hostile(
            "env variables that each repeat the one before twice",
            &with_container(json!({"env": variables(20_000, &|at| match at {
                0 => "x".repeat(100),
                _ => format!("$(V{0})$(V{0})", at - 1),
            })})),
        ),
        hostile(
            "75,000 env variables",
            &with_container(json!({"env": variables(75_000, &|_| "v".to_owned())})),
        ),
        hostile(
            "a variable of 3 MB",
            &with_container(json!({"env": [{"name": "V", "value": "$(".repeat(1_500_000)}]})),
        ),
        hostile(
            "arguments of 3 MB with 1,000,000 references",
            &with_container(json!({"args": ["$(A)".repeat(700_000)]})),
        ),
        hostile("30,000 mounts of one volume", &with_container(json!({"volumeMounts": mounts}))),
        hostile(
            "30,000 volumes",
            &with(
                "/request/object/spec",
                json!({
                    "containers": [{"name": "base", "image": "i", "command": ["x"]}], "volumes": volumes,
                }),
            ),
        ),
        hostile("256 task containers", &every_container_a_task()),
        hostile("10,000 containers", &with("/request/object/spec/containers", containers(10_000))),
        hostile("30,000 labels", &with("/request/object/metadata/labels", map(30_000))),
        hostile("30,000 annotations", &with("/request/object/metadata/annotations", map(30_000))),
        hostile("a name of 3 MB", &with("/request/object/metadata/name", json!("n".repeat(3_000_000)))),
        hostile(
            "3 MB of control characters",
            &with("/request/object/metadata/name", json!("\u{1}".repeat(500_000))),
        ),
    ]
}

fn containers(count: usize) -> Value {
    (0..count).map(|at| json!({"name": format!("c{at}"), "image": "i", "command": ["x"]})).collect()
}

fn every_container_a_task() -> Value {
    let mut tasks = with("/request/object/spec/containers", containers(256));
    let every = (0..256).map(|at| format!("c{at}")).collect::<Vec<_>>().join(",");
    tasks["request"]["object"]["metadata"]["annotations"] = json!({names::ANNOTATION_CONTAINERS: every});
    tasks
}

/// Reviews that only a caller other than the API server can send.
fn bodies() -> Vec<Hostile> {
    let text = |name, body: String| Hostile { name, body: body.into_bytes() };
    let object = |value: &str| {
        let review = with("/request/object", json!("OBJECT")).to_string();
        review.replace("\"OBJECT\"", value)
    };
    vec![
        text("3.5 MB of nulls", object(&format!("[{}null]", "null,".repeat(700_000)))),
        text("3.5 MB of empty objects", object(&format!("[{}{{}}]", "{},".repeat(1_100_000)))),
        text("1,000,000 levels of lists", object(&"[".repeat(1_000_000))),
        text(
            "100,000 levels of objects, closed",
            object(&format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000))),
        ),
        text("the same key 200,000 times", object(&format!("{{{}\"a\":1}}", "\"a\":1,".repeat(199_000)))),
        text("3 MB of escapes", object(&format!("\"{}\"", "\\u0041".repeat(500_000)))),
        text("a number of 3 MB", object(&"9".repeat(3_000_000))),
        text("5 MB", " ".repeat(5 << 20)),
        Hostile { name: "3 MB that are not UTF-8", body: vec![0xff; 3 << 20] },
    ]
}
