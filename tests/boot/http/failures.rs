//! Servers that cannot be reached, do not respond, or respond with an error: each with its code.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::server::{Reply, Server, ok, status};
use super::{Client, MARK};
use crate::support::code;

/// The beginning of each message.
fn start(title: &str) -> String {
    format!("bootlace: source \"assets\" (GET {title}) of BootProfile \"default\": ")
}

fn failure(server: &Server, settings: &Value) -> (u8, String) {
    let client = Client::new();
    let (exit_code, message) = client.failure(&client.source(server, &json!({"file": "a"}), settings));
    let start = start(&server.url());
    assert!(message.starts_with(&start), "{message}");
    (exit_code, message[start.len()..].replace(&server.url(), "SERVER"))
}

/// The failure of a boot with 6 MiB left of 12, with the response of `server` and the settings of `request`.
fn in_twelve_megabytes(server: &Server, takes: &Value) -> String {
    let client = Client::new();
    client.container.limit_memory(12 << 20, 5 << 20);
    let mut source = client.source(server, takes, &json!({}));
    source["limits"]["bytes"] = json!(64 << 20);
    let (exit_code, message) = client.failure(&source);
    assert_eq!((exit_code, code(&message)), (74, "BL2503"), "{message}");
    assert!(message.starts_with(&start(&server.url())), "{message}");
    assert!(message.contains("12.0 MiB") && message.contains("5.0 MiB"), "{message}");
    message
}

#[test]
fn responses_beyond_the_memory_limit_are_not_fetched() {
    for takes in [json!({"file": "a"}), json!({"json": [{"pointer": "/a"}]})] {
        let server = Server::tls(move |_, _| ok(vec![b'x'; 7 << 20]));
        let message = in_twelve_megabytes(&server, &takes);
        assert!(message.contains(" 7.0 MiB "), "{message}");
    }
}

#[test]
fn json_without_a_length_is_limited_while_it_is_received() {
    let server = Server::tls(|_, _| Reply::Unannounced(vec![b' '; 7 << 20]));
    in_twelve_megabytes(&server, &json!({"json": [{"into": "Env"}]}));
}

#[test]
fn many_small_variables_are_limited_before_they_are_written() {
    let names: serde_json::Map<_, _> = (0..30_000).map(|at| (format!("V{at}"), json!("1"))).collect();
    let answer = Value::from(names).to_string();
    let server = Server::tls(move |_, _| ok(answer.clone()));
    in_twelve_megabytes(&server, &json!({"json": [{"into": "Env"}]}));
}

#[test]
fn a_server_that_accepts_and_never_responds() {
    let server = Server::tls(|_, _| Reply::Never);
    let (exit_code, message) = failure(&server, &json!({"timeoutSeconds": 1}));
    assert_eq!((exit_code, code(&message)), (75, "BL2103"));
    for part in ["1 s", " SERVER/)", "client.timeoutSeconds"] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
}

#[test]
fn a_server_that_never_responds_exceeds_the_time_of_the_boot() {
    let server = Server::tls(|_, _| Reply::Never);
    let client = Client::new();
    let mut spec = crate::support::spec(&[client.source(&server, &json!({"file": "a"}), &json!({}))]);
    spec["timeoutSeconds"] = json!(1);
    let (exit_code, message) = client.container.boot_spec(&spec).failure();
    assert_eq!((exit_code, code(&message)), (75, "BL2103"));
    assert!(message.contains(&server.url()) && message.contains("boot.timeoutSeconds"), "{message}");
}

#[test]
fn a_server_that_accepts_and_never_speaks_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = Client::new();
    let url = format!("https://{address}");
    let server = Server::tls(|_, _| ok(""));
    let source =
        client.source(&server, &json!({"url": url, "file": "a"}), &json!({"connectTimeoutSeconds": 1}));
    let (exit_code, message) = client.failure(&source);
    assert_eq!((exit_code, code(&message)), (75, "BL2202"));
    assert!(message.contains(&format!("{url}/: ")) && message.contains(" 1 s"), "{message}");
}

#[test]
fn a_server_that_sends_a_byte_at_a_time() {
    let server = Server::tls(|_, _| Reply::Drip(Duration::from_millis(300)));
    let begun = Instant::now();
    let (exit_code, message) = failure(&server, &json!({"timeoutSeconds": 2}));
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!((exit_code, code(&message)), (75, "BL2103"));
    assert!(message.contains(" bytes ") && message.contains(" SERVER/ "), "{message}");
}

#[test]
fn a_name_that_does_not_resolve() {
    let client = Client::new();
    let server = Server::tls(|_, _| ok(""));
    let request = json!({"url": "https://assets.invalid/v1", "query": {"x": MARK}, "file": "a"});
    let (exit_code, message) = client.failure(&client.source(&server, &request, &json!({})));
    assert_eq!((exit_code, code(&message)), (75, "BL2201"));
    let head = start("https://assets.invalid/v1");
    assert!(message.starts_with(&format!("{head}https://assets.invalid/v1: ")), "{message}");
}

#[test]
fn a_port_without_a_server() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = Client::new();
    let server = Server::tls(|_, _| ok(""));
    let request = json!({"url": format!("https://{free}"), "file": "a"});
    let (exit_code, message) = client.failure(&client.source(&server, &request, &json!({"attempts": 2})));
    assert_eq!((exit_code, code(&message)), (75, "BL2202"));
    for part in [&format!("https://{free}/: "), "Connection refused", "(2 attempts)"] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
}

#[test]
fn an_expired_or_unknown_certificate() {
    let (exit_code, message) = failure(&Server::expired(), &json!({"attempts": 5}));
    assert_eq!((exit_code, code(&message)), (69, "BL2203"), "{message}");
    assert!(message.starts_with("SERVER/: ") && message.contains("(certificate expired: "), "{message}");
    // Without client.ca, the public CAs are trusted, and this one is not among them.
    let server = Server::tls(|_, _| ok(""));
    let (exit_code, message) = failure(&server, &json!({"ca": null}));
    assert_eq!((exit_code, code(&message)), (69, "BL2203"), "{message}");
    assert!(message.contains("(UnknownIssuer)"), "{message}");
    assert!(server.asked().is_empty());
}

#[test]
fn statuses_have_codes_and_only_temporary_ones_are_retried() {
    for (answered, exit_code, attempts, expected) in [
        (401, 69, 1, "BL2204"),
        (403, 69, 1, "BL2204"),
        (404, 69, 1, "BL2101"),
        (400, 69, 1, "BL2205"),
        (304, 69, 1, "BL2205"),
        (501, 69, 1, "BL2205"),
        (408, 75, 2, "BL2205"),
        (429, 75, 2, "BL2205"),
        (500, 75, 2, "BL2205"),
        (503, 75, 2, "BL2205"),
    ] {
        let server = Server::tls(move |_, _| status(answered, &[], MARK));
        let (found, message) = failure(&server, &json!({"attempts": 2}));
        assert_eq!((found, code(&message)), (exit_code, expected), "{message}");
        assert!(message.starts_with("SERVER/: ") && message.contains(&format!(" {answered} ")), "{message}");
        assert_eq!(message.contains("(2 attempts)"), attempts == 2, "{message}");
        assert_eq!(server.asked().len(), attempts, "{message}");
    }
}

#[test]
fn a_retry_after_beyond_the_time_limit_fails_immediately() {
    let server = Server::tls(|_, _| status(503, &["Retry-After: 300"], ""));
    let begun = Instant::now();
    let (exit_code, message) = failure(&server, &json!({"attempts": 5}));
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert_eq!((exit_code, code(&message), server.asked().len()), (75, "BL2205", 1));
    assert!(message.contains("300 s") && message.contains("59 s"), "{message}");
}

#[test]
fn a_response_that_is_interrupted() {
    let (exit_code, message) = failure(&Server::tls(|_, _| Reply::Cut(MARK.into())), &json!({"attempts": 2}));
    assert_eq!((exit_code, code(&message)), (75, "BL2202"));
    assert!(message.starts_with("SERVER/: ") && message.contains("(2 attempts)"), "{message}");
}

#[test]
fn a_response_that_is_too_large() {
    // Refused by its length, before any of it is read.
    let (exit_code, message) = failure(&Server::tls(|_, _| ok(vec![b'x'; (1 << 20) + 1])), &json!({}));
    assert_eq!((exit_code, code(&message)), (65, "BL2304"));
    assert!(message.starts_with("SERVER/: ") && message.contains("1048576 bytes"), "{message}");
}

/// On a separate file system, as the kubelet mounts one for an emptyDir in memory. It is in a mount
/// namespace, so that it is removed with the process.
#[test]
fn a_volume_that_is_full() {
    let server = Server::tls(|_, _| ok(vec![b'x'; 300 << 10]));
    let client = Client::new();
    let spec = crate::support::spec(&[client.source(&server, &json!({"file": "a"}), &json!({}))]).to_string();
    let args = &client.container.args;
    let script = "mount -t tmpfs -o size=128k,mode=0755 tmpfs \"$ROOT\" && exec \"$@\"";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .args([env!("CARGO_BIN_EXE_bootlace"), "boot", "--root"])
        .args([args.root.as_path(), Path::new("--launcher"), &args.launcher])
        .args([Path::new("--termination-log"), &args.termination_log])
        .envs([("ROOT", args.root.as_os_str()), ("BOOTLACE_SPEC", spec.as_ref())])
        .output()
        .unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(74), "{log}");
    assert!(code(log.trim_end()) == "BL2502" && !log.contains(MARK), "{log}");
}

#[test]
fn missing_or_invalid_client_objects() {
    let server = Server::tls(|_, _| ok(""));
    for (broken, expected, part) in [
        ("headers", "BL2101", "Secret api of client.headersFromSecret"),
        ("ca", "BL2101", "ConfigMap company-ca of client.ca"),
        ("token", "BL2102", "token\""),
    ] {
        let client = Client::new();
        std::fs::remove_dir_all(client.container.beside("remote").join(broken)).unwrap();
        let (exit_code, message) = client.failure(&client.source(&server, &json!({"file": "a"}), &json!({})));
        assert_eq!((exit_code, code(&message)), (69, expected));
        assert!(message.contains(part), "{message}");
    }
    for (mount, key, content, part) in [
        ("headers", "a b", MARK, "key \"a b\" of Secret api of client.headersFromSecret"),
        ("headers", "X-A", "zq7Xv0hunter2\nX-B: b", "key \"X-A\" of Secret api of client.headersFromSecret"),
        ("headers", "Content-Length", MARK, "key \"Content-Length\" of Secret api"),
        ("headers", "Authorization", MARK, " Authorization"),
        ("ca", "ca.crt", MARK, "key \"ca.crt\" of ConfigMap company-ca of client.ca"),
    ] {
        let client = Client::new();
        std::fs::remove_dir_all(client.container.beside("remote").join(mount)).unwrap();
        client.container.mount(&format!("remote/{mount}"), [(key, content.as_bytes())]);
        let (exit_code, message) = client.failure(&client.source(&server, &json!({"file": "a"}), &json!({})));
        assert_eq!((exit_code, code(&message)), (69, "BL2104"));
        assert!(message.contains(part), "{message}");
    }
    assert!(server.asked().is_empty());
}

#[test]
fn json_that_the_profile_does_not_expect() {
    for (answer, expected, part) in [
        (format!("{{\"A\": {MARK}}}"), "BL2302", "line 1"),
        (format!("{{\"A\": \"{MARK}"), "BL2302", "truncated"),
        (format!("[\"{MARK}\"]"), "BL2302", "\"\""),
        (format!("{{\"A\": [\"{MARK}\"]}}"), "BL2302", "\"A\""),
        (format!("{{\"A\": \"{MARK}\", \"A\": \"{MARK}\"}}"), "BL2307", "variable \"A\": "),
        (format!("{{\"PATH\": \"{MARK}\"}}"), "BL2305", "variable \"PATH\": "),
    ] {
        let server = Server::tls(move |_, _| ok(answer.clone()));
        let client = Client::new();
        let request = json!({"json": [{"into": "Env"}]});
        let (exit_code, message) = client.failure(&client.source(&server, &request, &json!({})));
        assert_eq!((exit_code, code(&message)), (65, expected));
        assert!(message.contains(part), "{message}");
    }
}
