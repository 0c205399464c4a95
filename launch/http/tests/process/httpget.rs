//! `launch hook` with the postStart handler `httpGet`, against a small server.

use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::support::{self, Boot, OK, answer, succeeds};

/// Sends each response on its own connection, and returns the heads of the requests.
fn serve<const N: usize>(responses: [&'static str; N]) -> (u16, JoinHandle<Vec<String>>) {
    let one = |response| move |stream: TcpStream, port| answer(stream, port, response);
    support::serve(responses.map(one).into())
}

#[test]
fn requests_the_path_with_the_headers_of_the_spec() {
    let (port, server) = serve([OK]);
    let headers = ["X-Token: hunter2", "Host: task.example", "X-Twice:1", "X-Twice:2"];
    succeeds(&Boot::empty().get(30, &format!("http://127.0.0.1:{port}/up now?a=b"), &headers));
    let [head] = <[String; 1]>::try_from(server.join().unwrap()).unwrap();
    assert!(head.starts_with("GET /up%20now?a=b HTTP/1.1\r\n"), "{head}");
    for line in ["\r\nHost: task.example\r\n", "\r\nX-Token: hunter2\r\n", "\r\nX-Twice: 1\r\nX-Twice: 2\r\n"]
    {
        assert!(head.contains(line), "{head}");
    }
    assert_eq!(head.matches("Host:").count(), 1, "{head}");
}

#[test]
fn without_a_host_the_request_goes_to_the_pod_itself() {
    let (port, server) = serve([OK]);
    succeeds(&Boot::empty().get(30, &format!("http://:{port}"), &[]));
    let [head] = <[String; 1]>::try_from(server.join().unwrap()).unwrap();
    assert!(head.contains(&format!("\r\nHost: 127.0.0.1:{port}\r\n")), "{head}");
}

#[test]
fn any_response_is_a_success_as_for_the_kubelet() {
    for response in [
        OK,
        "HTTP/1.1 500 Internal Server Error\r\n\r\n",
        "HTTP/1.0 404 Not Found\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/elsewhere\r\n\r\n",
        "HTTP/1.1 302 Found\r\n\r\n",
    ] {
        let (port, server) = serve([response]);
        succeeds(&Boot::empty().get(30, &format!("http://127.0.0.1:{port}/"), &[]));
        server.join().unwrap();
    }
}

#[test]
fn follows_redirects_on_the_same_host() {
    let (port, server) = serve([
        "HTTP/1.1 301 Moved Permanently\r\nLocation: /init/\r\n\r\n",
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:PORT/init/run?x=1\r\n\r\n",
        OK,
    ]);
    succeeds(&Boot::empty().get(30, &format!("http://127.0.0.1:{port}/init"), &["X-A: 1"]));
    let heads = server.join().unwrap();
    let lines: Vec<_> = heads.iter().map(|head| head.lines().next().unwrap()).collect();
    assert_eq!(lines, ["GET /init HTTP/1.1", "GET /init/ HTTP/1.1", "GET /init/run?x=1 HTTP/1.1"]);
    assert!(heads.iter().all(|head| head.contains("\r\nX-A: 1\r\n")));
}

#[test]
fn redirects_in_a_circle_fail() {
    let (port, server) = serve(["HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n"; 11]);
    let boot = Boot::empty();
    let output = boot.get(30, &format!("http://127.0.0.1:{port}/"), &[]);
    boot.failed(&output);
    assert_eq!(server.join().unwrap().len(), 11);
}

#[test]
fn no_response_fails_with_the_url_but_not_its_query() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();

    // The server accepts the connection and sends nothing.
    let (boot, start) = (Boot::empty(), Instant::now());
    let output = boot.get(1, &format!("http://127.0.0.1:{port}/up?token=hunter2"), &[]);
    let message = boot.failed(&output);
    assert!(message.contains(&format!("GET http://127.0.0.1:{port}/up: no response")), "{message}");
    assert!(!message.contains("hunter2"), "{message}");
    assert!(start.elapsed() < Duration::from_secs(30));

    drop(listener);
    let boot = Boot::empty();
    let message = boot.failed(&boot.get(30, &format!("http://127.0.0.1:{port}/up?token=hunter2"), &[]));
    assert!(message.contains("/up: Connection refused"), "{message}");
    assert!(!message.contains("hunter2"), "{message}");
}

#[test]
fn an_invalid_response_fails() {
    for response in ["SSH-2.0-x\r\n\r\n", "HTTP/1.1 200 OK\r\n"] {
        let (port, server) = serve([response]);
        let boot = Boot::empty();
        boot.failed(&boot.get(30, &format!("http://127.0.0.1:{port}/"), &[]));
        server.join().unwrap();
    }
}

#[test]
fn a_host_that_is_neither_an_address_nor_in_the_hosts_file_fails() {
    let boot = Boot::empty();
    let message = boot.failed(&boot.get(30, "http://no.such.name.invalid/", &[]));
    assert!(message.contains("/etc/hosts"), "{message}");
}
