//! Servers that are not there, do not answer, or answer badly: each with its sentence.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::server::{Reply, Server, ok, status};
use super::{Client, MARK};

/// What stands before each sentence.
fn start(title: &str) -> String {
    format!("bootlace: source \"assets\" (GET {title}) of BootProfile \"default\": ")
}

fn failure(server: &Server, client_says: &Value) -> (u8, String) {
    let client = Client::new();
    let (code, sentence) = client.failure(&client.source(server, &json!({"file": "a"}), client_says));
    let start = start(&server.url());
    assert!(sentence.starts_with(&start), "{sentence}");
    (code, sentence[start.len()..].replace(&server.url(), "SERVER"))
}

/// How boot fails that has 6 MiB left of 12, and fetches what `server` gives by a source that `takes` it.
fn in_twelve_megabytes(server: &Server, takes: &Value) -> String {
    let client = Client::new();
    client.container.limit_memory(12 << 20, 5 << 20);
    let mut source = client.source(server, takes, &json!({}));
    source["limits"]["bytes"] = json!(64 << 20);
    let (code, sentence) = client.failure(&source);
    assert_eq!(code, 74, "{sentence}");
    let expected = "boot may use 12.0 MiB of memory, 5.0 MiB of it are used, and ";
    assert!(sentence.starts_with(&start(&server.url())) && sentence.contains(expected), "{sentence}");
    sentence
}

#[test]
fn what_the_memory_limit_does_not_hold_is_not_fetched() {
    for takes in [json!({"file": "a"}), json!({"json": [{"pointer": "/a"}]})] {
        let server = Server::tls(move |_, _| ok(vec![b'x'; 7 << 20]));
        let sentence = in_twelve_megabytes(&server, &takes);
        assert!(sentence.contains("7.0 MiB more are needed"), "{sentence}");
    }
}

#[test]
fn json_whose_size_no_header_tells_is_bounded_while_it_comes() {
    let server = Server::tls(|_, _| Reply::Unannounced(vec![b' '; 7 << 20]));
    in_twelve_megabytes(&server, &json!({"json": [{"into": "Env"}]}));
}

#[test]
fn many_small_variables_are_bounded_before_they_are_written() {
    let names: serde_json::Map<_, _> = (0..30_000).map(|at| (format!("V{at}"), json!("1"))).collect();
    let answer = Value::from(names).to_string();
    let server = Server::tls(move |_, _| ok(answer.clone()));
    in_twelve_megabytes(&server, &json!({"json": [{"into": "Env"}]}));
}

#[test]
fn a_server_that_accepts_and_never_answers() {
    let server = Server::tls(|_, _| Reply::Never);
    let (code, sentence) = failure(&server, &json!({"timeoutSeconds": 1}));
    assert_eq!(code, 75);
    assert_eq!(
        sentence,
        "it was not fetched within 1 s (SERVER/ has not answered): raise client.timeoutSeconds of the source, or find \
         out why it is slow"
    );
}

#[test]
fn a_server_that_never_answers_is_cut_off_by_the_profiles_own_time() {
    let server = Server::tls(|_, _| Reply::Never);
    let client = Client::new();
    let mut spec = crate::support::spec(&[client.source(&server, &json!({"file": "a"}), &json!({}))]);
    spec["timeoutSeconds"] = json!(1);
    let (code, sentence) = client.container.boot_spec(&spec).failure();
    assert_eq!(code, 75);
    let end = format!(
        "it was not fetched within 1 s ({}/ has not answered): raise boot.timeoutSeconds, or find out why it is slow",
        server.url()
    );
    assert!(sentence.ends_with(&end), "{sentence}");
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
    let (code, sentence) = client.failure(&source);
    assert_eq!(code, 75);
    assert!(sentence.ends_with(&format!(
        "{url}/: no connection stood within 1 s: is the server running, and does a NetworkPolicy let the pod reach it? \
         client.connectTimeoutSeconds sets the time"
    )), "{sentence}");
}

#[test]
fn a_server_that_sends_a_byte_at_a_time() {
    let server = Server::tls(|_, _| Reply::Drip(Duration::from_millis(300)));
    let begun = Instant::now();
    let (code, sentence) = failure(&server, &json!({"timeoutSeconds": 2}));
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(code, 75);
    let (head, tail) = sentence.split_once(" is still sending, ").unwrap();
    assert_eq!(head, "it was not fetched within 2 s (SERVER/");
    assert!(
        tail.ends_with(
            " bytes so far): raise client.timeoutSeconds of the source, or find out why it is slow"
        )
    );
}

#[test]
fn a_name_that_does_not_resolve() {
    let client = Client::new();
    let server = Server::tls(|_, _| ok(""));
    let request = json!({"url": "https://assets.invalid/v1", "query": {"x": MARK}, "file": "a"});
    let (code, sentence) = client.failure(&client.source(&server, &request, &json!({})));
    assert_eq!(code, 75);
    let head = start("https://assets.invalid/v1");
    let head = format!("{head}https://assets.invalid/v1: the name \"assets.invalid\" does not resolve (");
    assert!(sentence.starts_with(&head), "{sentence}");
    assert!(sentence.ends_with("): correct the address, or look at the pod's DNS"), "{sentence}");
}

#[test]
fn a_port_where_nobody_listens() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = Client::new();
    let server = Server::tls(|_, _| ok(""));
    let request = json!({"url": format!("https://{free}"), "file": "a"});
    let (code, sentence) = client.failure(&client.source(&server, &request, &json!({"attempts": 2})));
    assert_eq!(code, 75);
    assert!(sentence.ends_with(&format!(
        "https://{free}/: it cannot be connected to (Connection refused (os error 111)): is the server running, and may \
         the pod reach it? (2 attempts)"
    )), "{sentence}");
}

#[test]
fn a_certificate_that_ended_or_that_nobody_knows() {
    let (code, sentence) = failure(&Server::expired(), &json!({"attempts": 5}));
    assert_eq!(code, 69, "{sentence}");
    assert!(
        sentence.starts_with("SERVER/: its certificate is not accepted (certificate expired: "),
        "{sentence}"
    );
    assert!(
        sentence.ends_with("): renew it, or name the authority that signed it in client.ca"),
        "{sentence}"
    );
    // Without a CA of one's own the public ones are trusted, and this one is not among them.
    let server = Server::tls(|_, _| ok(""));
    let (code, sentence) = failure(&server, &json!({"ca": null}));
    assert_eq!(code, 69);
    assert!(sentence.contains("its certificate is not accepted (UnknownIssuer): renew it"), "{sentence}");
    assert!(server.asked().is_empty());
}

#[test]
fn a_status_is_told_with_what_to_do_and_asked_again_only_where_it_helps() {
    for (code, exit, attempts, remedy) in [
        (401, 69, 1, "give it credentials in client.headersFromSecret or client.token, or renew them"),
        (403, 69, 1, "let the server give the credentials of client the right to this"),
        (404, 69, 1, "correct the address, or put there what it should hold"),
        (400, 69, 1, "correct the request in the profile"),
        (304, 69, 1, "name the final address in the profile"),
        (501, 69, 1, "look at the server's own log"),
        (408, 75, 2, "correct the request in the profile (2 attempts)"),
        (429, 75, 2, "ask it less often, or have its limit raised (2 attempts)"),
        (500, 75, 2, "look at the server's own log (2 attempts)"),
        (503, 75, 2, "look at the server's own log (2 attempts)"),
    ] {
        let server = Server::tls(move |_, _| status(code, &[], MARK));
        let (found, sentence) = failure(&server, &json!({"attempts": 2}));
        assert_eq!(found, exit, "{sentence}");
        assert!(sentence.starts_with(&format!("SERVER/: it answered {code} ")), "{sentence}");
        assert!(sentence.ends_with(&format!(": {remedy}")), "{sentence}");
        assert_eq!(server.asked().len(), attempts, "{sentence}");
    }
}

#[test]
fn a_server_that_wants_more_patience_than_there_is_is_told_at_once() {
    let server = Server::tls(|_, _| status(503, &["Retry-After: 300"], ""));
    let begun = Instant::now();
    let (code, sentence) = failure(&server, &json!({"attempts": 5}));
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert_eq!((code, server.asked().len()), (75, 1));
    assert!(
        sentence.contains("look at the server's own log; it asks to come back in 300 s, and only 59 s of"),
        "{sentence}"
    );
}

#[test]
fn an_answer_that_breaks_off() {
    let (code, sentence) = failure(&Server::tls(|_, _| Reply::Cut(MARK.into())), &json!({"attempts": 2}));
    assert_eq!(code, 75);
    assert!(sentence.starts_with("SERVER/: the connection broke ("), "{sentence}");
    assert!(sentence.ends_with(") (2 attempts)"), "{sentence}");
}

#[test]
fn an_answer_that_is_too_large() {
    let limit =
        "SERVER/: the answer is larger than 1048576 bytes: raise limits.size of the source if it should be";
    // Told by its length, before a byte of it is taken.
    let (code, sentence) = failure(&Server::tls(|_, _| ok(vec![b'x'; (1 << 20) + 1])), &json!({}));
    assert_eq!((code, &*sentence), (65, limit));
}

/// On a file system of its own, as the kubelet mounts one for an emptyDir in memory; in a mount namespace of its
/// own, so that it ends with the process.
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
    let sentence = "the volume is full: raise volume.sizeLimit in BootProfile \"default\", and with it the memory under \
                    boot.resources.limits, which the volume counts against";
    assert!(log.trim_end().ends_with(sentence) && !log.contains(MARK), "{log}");
}

#[test]
fn what_the_client_needs_and_does_not_find() {
    let server = Server::tls(|_, _| ok(""));
    for (broken, sentence) in [
        (
            "headers",
            "Secret api of client.headersFromSecret does not exist in the pod's namespace, or it has no keys",
        ),
        (
            "ca",
            "ConfigMap company-ca of client.ca does not exist in the pod's namespace, or it has no key \"ca.crt\"",
        ),
        ("token", "token\" cannot be read: No such file"),
    ] {
        let client = Client::new();
        std::fs::remove_dir_all(client.container.beside("remote").join(broken)).unwrap();
        let (code, said) = client.failure(&client.source(&server, &json!({"file": "a"}), &json!({})));
        assert_eq!(code, 69);
        assert!(said.contains(sentence), "{said}");
    }
    for (mount, key, content, sentence) in [
        (
            "headers",
            "a b",
            MARK,
            "key \"a b\" of Secret api, which client.headersFromSecret names, is no header's name",
        ),
        (
            "headers",
            "X-A",
            "zq7Xv0hunter2\nX-B: b",
            "key \"X-A\" of Secret api, which client.headersFromSecret names, holds bytes",
        ),
        ("headers", "Content-Length", MARK, "says how long the request is"),
        ("headers", "Authorization", MARK, "both give the header Authorization: remove one of them"),
        (
            "ca",
            "ca.crt",
            MARK,
            "key \"ca.crt\" of ConfigMap company-ca, which client.ca names, holds no certificate",
        ),
    ] {
        let client = Client::new();
        std::fs::remove_dir_all(client.container.beside("remote").join(mount)).unwrap();
        client.container.mount(&format!("remote/{mount}"), [(key, content.as_bytes())]);
        let (code, said) = client.failure(&client.source(&server, &json!({"file": "a"}), &json!({})));
        assert_eq!(code, 69);
        assert!(said.contains(sentence), "{said}");
    }
    assert!(server.asked().is_empty());
}

#[test]
fn json_that_is_not_what_the_profile_says() {
    for (answer, sentence) in [
        (format!("{{\"A\": {MARK}}}"), "the answer is no JSON, at line 1"),
        (format!("{{\"A\": \"{MARK}"), "the answer is JSON that breaks off"),
        (format!("[\"{MARK}\"]"), "the answer has no object at \"\": point json[].pointer at one"),
        (format!("{{\"A\": [\"{MARK}\"]}}"), "the value of \"A\" is null, a list or an object"),
        (format!("{{\"A\": \"{MARK}\", \"A\": \"{MARK}\"}}"), "variable \"A\": the source gives it twice"),
        (format!("{{\"PATH\": \"{MARK}\"}}"), "variable \"PATH\": "),
    ] {
        let server = Server::tls(move |_, _| ok(answer.clone()));
        let client = Client::new();
        let request = json!({"json": [{"into": "Env"}]});
        let (code, said) = client.failure(&client.source(&server, &request, &json!({})));
        assert_eq!(code, 65);
        assert!(said.contains(sentence), "{said}");
    }
}
