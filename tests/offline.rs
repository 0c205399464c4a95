//! `bootlace inject` and `bootlace explain` as programs: their output and exit codes.
#![allow(
    clippy::unwrap_used,
    reason = "a test fails by panicking; clippy.toml allows it in test functions, but not in their helpers"
)]

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// Runs a subcommand with `profiles` that reads `pods`. Returns exit code, standard output and standard
/// error.
fn bootlace(words: &[&str], profiles: &Value, pods: &[Value]) -> (i32, String, String) {
    let folder = tempfile::tempdir().unwrap();
    for (name, spec) in profiles.as_object().unwrap() {
        let profile = json!({
            "apiVersion": "bootlace.dev/v1alpha1", "kind": "BootProfile", "metadata": {"name": name}, "spec": spec,
        });
        std::fs::write(folder.path().join(format!("{name}.json")), profile.to_string()).unwrap();
    }
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, "").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_bootlace"));
    for name in ["BOOTLACE_PROFILES", "BOOTLACE_BOOT_IMAGE", "BOOTLACE_STORE_URL"] {
        command.env_remove(name);
    }
    // The environment of the developer can differ from that of the pod.
    command.env("AWS_REGION", "mars-north-1").args(words).arg("--profiles").arg(folder.path());
    if words.contains(&"--store-url") {
        command.arg("--store-ca").arg(ca);
    }
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let manifest = pods.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n");
    child.stdin.take().unwrap().write_all(format!("---\n{manifest}\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn pod(name: &str, profile: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"bootlace.dev/task": profile}},
        "spec": {"containers": [{"name": "main", "image": "i", "command": ["run"]}]},
    })
}

#[test]
fn explain_shows_the_address_of_requests() {
    let sources = json!([
        {"name": "model", "http": {"url": "https://models.example.com", "path": "model.bin", "file": "m"}},
        {"name": "api", "http": {
            "url": "https://models.example.com/v1/", "path": "/{{ labels.team }}/x", "query": {"ref": "a b"}, "file": "x",
        }},
        {"name": "job", "optimus": {
            "host": "http://optimus.data:9100/", "project": "p/q", "job": "j", "scheduledAt": "t", "instanceName": "i",
        }},
        {"name": "minio", "objectStore": {
            "s3": {"bucket": "assets", "endpoint": "https://minio.example.com:9000"}, "object": "a/b", "file": "b",
        }},
        {"name": "amazon", "objectStore": {"s3": {"bucket": "assets"}, "prefix": "jobs"}},
        {"name": "china", "objectStore": {
            "s3": {"bucket": "assets", "region": "cn-north-1", "virtualHosted": true}, "prefix": "jobs",
        }},
        {"name": "hub", "oci": {"reference": "team/assets:v1"}},
        {"name": "plain", "oci": {"reference": "registry.data:5000/team/assets:v1", "plainHttp": true}},
    ]);
    let mut etl = pod("etl", "etl");
    etl["metadata"]["labels"]["team"] = json!("ml");
    let (code, out, error) = bootlace(&["explain"], &json!({"etl": {"sources": sources}}), &[etl]);
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    for line in [
        "- model: GET https://models.example.com/model.bin: file m\n",
        "- api: GET https://models.example.com/v1/ml/x?ref=a+b: file x\n",
        "by POST http://optimus.data:9100/api/v1beta1/project/p%2Fq/job/j/run_input: env and files\n",
        "- minio: s3://assets/a/b at https://minio.example.com:9000: file b",
        "- amazon: s3://assets/jobs at https://s3.us-east-1.amazonaws.com, or in the region of the pod's workload \
         identity: every object",
        "- china: s3://assets/jobs at https://assets.s3.cn-north-1.amazonaws.com.cn: every object",
        "- hub: OCI team/assets:v1 at https://registry-1.docker.io/v2/team/assets/manifests/v1: files",
        "at http://registry.data:5000/v2/team/assets/manifests/v1: files, without TLS",
    ] {
        assert!(out.contains(line), "{line:?} is not in:\n{out}");
    }
}

#[test]
fn explain_shows_invalid_addresses() {
    let sources = json!([{"name": "api", "http": {
        "url": "https://a.example.com/v1", "path": "{% if labels.team == 'ml' %}../x{% endif %}", "file": "x",
    }}]);
    let mut etl = pod("etl", "etl");
    etl["metadata"]["labels"]["team"] = json!("ml");
    let (_, out, _) = bootlace(&["explain"], &json!({"etl": {"sources": sources}}), &[etl]);
    assert!(out.contains("http.path: the result \"") || out.contains("boot will fail: "), "{out}");
}

/// Both exit with 1 if a pod would be refused, and only then.
#[test]
fn a_refused_pod_is_an_error_of_both_subcommands() {
    let none = json!({"default": {}});
    let (good, bad) = (pod("good", "true"), pod("bad", "gone"));
    let mut left_alone = pod("other", "false");
    left_alone["metadata"]["labels"] = json!({});
    for program in ["explain", "inject"] {
        let (code, out, error) = bootlace(&[program], &none, &[good.clone(), left_alone.clone()]);
        assert_eq!(code, 0, "{program}: {out}{error}");
        let (code, out, error) =
            bootlace(&[program], &none, &[good.clone(), bad.clone(), left_alone.clone()]);
        assert_eq!(code, 1, "{program}: {out}{error}");
        assert!(format!("{out}{error}").contains("[BL1101]\n"), "{program}: {out}{error}");
    }
    // The pods after the refused one are explained as well.
    let (_, out, error) = bootlace(&["explain"], &none, &[bad, good]);
    assert!(out.contains("Pod good is injected"), "{out}");
    assert!(error.starts_with("bootlace: 1 of 2 pods ") && error.ends_with(" [BL6104]\n"), "{error}");
}

#[test]
fn an_inactive_profile_is_not_reported_as_missing() {
    let profiles = json!({
        "good": {}, "wrong": {"sources": [{"name": "s", "inline": {"env": {"LD_PRELOAD": "x"}}}]},
    });
    for program in ["explain", "inject"] {
        let (code, out, error) = bootlace(&[program], &profiles, &[pod("one", "wrong")]);
        assert_eq!(code, 1, "{program}: {out}{error}");
        let text = format!("{out}{error}");
        for part in ["BootProfile \"wrong\"", "wrong.json\": spec: inline.env", "[BL1102]\n"] {
            assert!(text.contains(part), "{program}: {part:?} is not in:\n{text}");
        }
        let (code, out, error) = bootlace(&[program], &profiles, &[pod("two", "good")]);
        assert_eq!(code, 0, "another profile's fault: {out}{error}");
        assert!(error.contains("BootProfile \"wrong\" is not active: "), "{error}");
    }
}

#[test]
fn in_mode_auto_a_command_suffices() {
    let mut etl = pod("etl", "etl");
    etl["spec"]["containers"][0].as_object_mut().unwrap().remove("command");
    let sources = json!([{"name": "s", "inline": {"env": {"A": "x"}}}]);
    let words = ["inject", "--store-url", "https://store"];
    let (code, _, error) =
        bootlace(&words, &json!({"etl": {"sources": sources}}), std::slice::from_ref(&etl));
    assert_eq!(code, 1);
    assert!(error.ends_with(" [BL1309]\n"), "{error}");
    let secret = json!({"etl": {"sources": sources, "env": {"mode": "Secret"}}});
    let (code, _, error) = bootlace(&words, &secret, &[etl.clone()]);
    assert_eq!(code, 1);
    assert!(error.contains("\"etl\"") && error.ends_with(" [BL1309]\n"), "{error}");
    // The remedy in the message works.
    etl["spec"]["containers"][0]["command"] = json!(["run"]);
    let (code, _, error) = bootlace(&words, &json!({"etl": {"sources": sources}}), &[etl]);
    assert_eq!(code, 0, "{error}");
}

/// Without a store and without a command, nothing loads the env, and the hook does not verify it.
#[test]
fn explain_does_not_contradict_itself_about_the_hook() {
    let mut etl = pod("etl", "etl");
    etl["spec"]["containers"][0].as_object_mut().unwrap().remove("command");
    let (code, out, _) = bootlace(&["explain"], &json!({"etl": {}}), &[etl]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("the boot env is not loaded\n"), "{out}");
    assert!(
        out.contains(
            "fails the container within 30 s if the boot env is not empty, because nothing loads it\n"
        ),
        "{out}"
    );
    assert!(!out.contains("verifies"), "{out}");
}

#[test]
fn a_label_without_quotes_is_reported() {
    let mut etl = pod("etl", "etl");
    etl["metadata"]["labels"]["bootlace.dev/task"] = json!(true);
    let (code, _, error) = bootlace(&["inject"], &json!({"default": {}}), &[etl]);
    assert_eq!(code, 1);
    assert!(
        error.contains("metadata.labels[\"bootlace.dev/task\"]") && error.ends_with(" [BL1002]\n"),
        "{error}"
    );
}

#[test]
fn explain_shows_the_changes_of_each_overlay() {
    let overlays = json!([
        {"name": "labels", "pod": {"metadata": {"labels": {"team": "b", "cost": "{{ namespace }}"}}}},
        {"name": "image", "override": true, "pod": {"spec": {"containers": [{"name": "*", "image": "j"}]}}},
    ]);
    let mut pod = pod("a", "etl");
    pod["metadata"]["namespace"] = json!("shop");
    pod["metadata"]["labels"]["team"] = json!("a");
    let profiles = json!({"etl": {"overlays": overlays}});
    let (code, short, _) = bootlace(&["explain"], &profiles, &[pod.clone()]);
    let (_, long, _) = bootlace(&["explain", "--steps"], &profiles, &[pod.clone()]);
    assert_eq!(code, 0, "{short}");
    for part in [
        "  overlays        labels, image\n",
        "+ overlay labels  changes the pod before boot is added:\n",
        "- adds /metadata/labels/cost: \"shop\"\n",
        "- keeps /metadata/labels/team, which is already set\n",
        "- replaces /spec/containers/0/image: \"j\"\n",
    ] {
        assert!(short.contains(part) && long.contains(part), "{part:?} is not in:\n{short}");
    }
    assert!(!short.contains("step 1"), "{short}");
    for part in [
        "step 1: overlay labels\n@@ /metadata/labels/cost\n+ shop\n",
        "step 2: overlay image\n@@ /spec/containers/0/image\n- i\n+ j\n",
        "step 3: boot\n@@ /metadata/annotations\n+ ",
        "\n@@ /spec/initContainers\n+ - command:\n",
        "\n+   name: bootlace-boot\n",
    ] {
        assert!(long.contains(part), "{part:?} is not in:\n{long}");
    }
    // The injected pod contains the names of its overlays.
    let (_, injected, _) = bootlace(&["inject"], &profiles, &[pod]);
    let injected: Value = serde_saphyr::from_str(injected.trim_start_matches("---")).unwrap();
    let (_, after, _) = bootlace(&["explain"], &profiles, &[injected]);
    assert!(
        after.contains("was injected before\n") && after.contains("  overlays        labels, image\n"),
        "{after}"
    );
}
