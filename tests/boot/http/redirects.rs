//! Redirects: limited in number, never to another scheme or to the node, and without credentials for other
//! hosts.

use serde_json::json;

use super::server::{Server, ok, status};
use super::{Client, MARK};
use crate::support::code;

#[test]
fn redirects_are_followed_without_credentials_for_other_hosts() {
    let other = Server::tls(|_, _| ok("from the other"));
    let location = format!("Location: {}/there?sig={MARK}", other.url());
    let server = Server::tls(move |asked, _| match &*asked.line {
        "GET /here" => status(302, &["Location: /again"], ""),
        _ => status(307, &[&location], ""),
    });
    let client = Client::new();
    client.boot(&client.source(&server, &json!({"path": "here", "file": "a"}), &json!({}))).log();
    assert_eq!(client.container.assets()["a"], b"from the other");
    let has_key = |asked: &super::server::Asked| asked.headers.iter().any(|line| line.contains(MARK));
    assert_eq!(server.asked().iter().map(has_key).collect::<Vec<_>>(), [true, true]);
    let asked = other.asked();
    assert_eq!(asked[0].line, format!("GET /there?sig={MARK}"));
    assert!(!has_key(&asked[0]), "{asked:?}");
}

#[test]
fn a_post_becomes_a_get_depending_on_the_status() {
    for (code, method) in [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")] {
        let server = Server::tls(move |asked, _| match &*asked.line {
            "POST /" => status(code, &["Location: /there"], ""),
            _ => ok("x"),
        });
        let client = Client::new();
        let request = json!({"method": "POST", "body": "input", "file": "a"});
        client.boot(&client.source(&server, &request, &json!({}))).log();
        let asked = server.asked();
        assert_eq!(asked[1].line, format!("{method} /there"));
        assert_eq!(asked[1].body, if method == "POST" { b"input".as_slice() } else { b"" });
    }
}

#[test]
fn redirects_to_other_schemes_and_the_node_are_refused() {
    for (location, target) in [
        (format!("http://127.0.0.1:1/?{MARK}"), "http://127.0.0.1"),
        ("file:///etc/passwd".to_owned(), "file://"),
        ("https://169.254.169.254/latest".to_owned(), "https://169.254.169.254"),
        ("https://[fe80::1]/".to_owned(), "https://[fe80::1]"),
        ("https://[fd00:ec2::254]/".to_owned(), "https://[fd00:ec2::254]"),
        ("https://[".to_owned(), "an invalid address"),
    ] {
        let header = format!("Location: {location}");
        let server = Server::tls(move |_, _| status(302, &[&header], ""));
        let client = Client::new();
        let (exit_code, message) =
            client.failure(&client.source(&server, &json!({"file": "a"}), &json!({"attempts": 5})));
        assert_eq!((exit_code, code(&message)), (69, "BL2206"));
        assert!(message.contains(&format!("{}/: ", server.url())) && message.contains(target), "{message}");
        assert_eq!(server.asked().len(), 1);
    }
}

#[test]
fn redirects_are_limited() {
    let server = Server::tls(|_, before| status(302, &[&format!("Location: /{before}")], ""));
    let client = Client::new();
    let (exit_code, message) =
        client.failure(&client.source(&server, &json!({"file": "a"}), &json!({"redirects": 3})));
    assert_eq!((exit_code, code(&message), server.asked().len()), (69, "BL2206", 4));
    assert!(message.contains("client.redirects"), "{message}");
}
