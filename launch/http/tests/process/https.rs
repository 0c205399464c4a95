//! `launch hook` with the postStart handler `httpGet`, against a TLS server.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion, version};

use crate::support::{self, Boot, OK, answer, succeeds};

/// How the server responds to a connection.
#[derive(Clone)]
enum Protocol {
    Tls(&'static SupportedProtocolVersion, &'static str),
    Plain(&'static str),
    /// Reads a part of the request and sends this response, whatever the request is.
    Other(&'static str),
}

/// The request of a client, and the server name in its handshake.
#[derive(Debug, PartialEq)]
struct ReceivedRequest {
    head: String,
    server: Option<String>,
}

impl Protocol {
    fn answer(self, mut stream: TcpStream, port: u16) -> ReceivedRequest {
        match self {
            Self::Tls(version, response) => {
                let session = ServerConnection::new(Arc::new(config(version))).unwrap();
                let mut stream = StreamOwned::new(session, stream);
                let head = answer(&mut stream, port, response);
                assert_eq!(stream.conn.protocol_version(), Some(version.version));
                ReceivedRequest { head, server: stream.conn.server_name().map(str::to_owned) }
            }
            Self::Plain(response) => ReceivedRequest { head: answer(stream, port, response), server: None },
            Self::Other(response) => {
                let count = stream.read(&mut [0; 4096]).unwrap();
                assert!(count > 0);
                stream.write_all(response.as_bytes()).unwrap();
                ReceivedRequest { head: String::new(), server: None }
            }
        }
    }
}

/// An invalid certificate: it is self-signed, is for another server, and has expired.
fn config(version: &'static SupportedProtocolVersion) -> ServerConfig {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["another.example".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
    let certificate = params.self_signed(&key).unwrap();
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.into()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap()
}

fn serve<const N: usize>(protocols: [Protocol; N]) -> (u16, JoinHandle<Vec<ReceivedRequest>>) {
    let one = |protocol: Protocol| move |stream, port| protocol.answer(stream, port);
    support::serve(protocols.map(one).into())
}

const TLS: &SupportedProtocolVersion = &version::TLS13;

#[test]
fn accepts_any_certificate() {
    for version in [&version::TLS12, &version::TLS13] {
        for (host, server) in [("127.0.0.1", None), ("localhost", Some("localhost")), ("", None)] {
            let (port, requests) = serve([Protocol::Tls(version, OK)]);
            let url = format!("https://{host}:{port}/up?a=b");
            succeeds(&Boot::empty().get(30, &url, &["Host: task.example", "X-Token: hunter2"]));
            let [request] = <[ReceivedRequest; 1]>::try_from(requests.join().unwrap()).unwrap();
            assert!(request.head.starts_with("GET /up?a=b HTTP/1.1\r\n"), "{request:?}");
            assert!(request.head.contains("\r\nHost: task.example\r\n"), "{request:?}");
            assert!(request.head.contains("\r\nX-Token: hunter2\r\n"), "{request:?}");
            assert_eq!(request.server.as_deref(), server, "{host}");
        }
    }
}

#[test]
fn any_response_is_a_success() {
    for response in ["HTTP/1.1 500 Internal Server Error\r\n\r\n", "HTTP/1.0 404 Not Found\r\n\r\n"] {
        let (port, requests) = serve([Protocol::Tls(TLS, response)]);
        succeeds(&Boot::empty().get(30, &format!("https://127.0.0.1:{port}/"), &[]));
        requests.join().unwrap();
    }
}

#[test]
fn redirects_between_schemes_on_the_same_host_are_followed() {
    let (port, requests) = serve([
        Protocol::Plain("HTTP/1.1 301 Moved Permanently\r\nLocation: https://127.0.0.1:PORT/a\r\n\r\n"),
        Protocol::Tls(TLS, "HTTP/1.1 302 Found\r\nLocation: b\r\n\r\n"),
        Protocol::Tls(TLS, "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:PORT/c\r\n\r\n"),
        Protocol::Plain("HTTP/1.1 302 Found\r\nLocation: https://192.0.2.1/elsewhere\r\n\r\n"),
    ]);
    succeeds(&Boot::empty().get(30, &format!("http://127.0.0.1:{port}/"), &[]));
    let requests = requests.join().unwrap();
    let lines: Vec<_> = requests.iter().map(|request| request.head.lines().next().unwrap()).collect();
    assert_eq!(lines, ["GET / HTTP/1.1", "GET /a HTTP/1.1", "GET /b HTTP/1.1", "GET /c HTTP/1.1"]);
}

#[test]
fn a_plain_http_response_repeats_the_request_without_the_authorization_header() {
    let refusal = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
    let (port, requests) = serve([Protocol::Other(refusal), Protocol::Plain(OK)]);
    let headers = ["authorization: Bearer hunter2", "X-From: a pod"];
    succeeds(&Boot::empty().get(30, &format!("https://127.0.0.1:{port}/up"), &headers));
    let [_, request] = <[ReceivedRequest; 2]>::try_from(requests.join().unwrap()).unwrap();
    assert!(request.head.starts_with("GET /up HTTP/1.1\r\n"), "{request:?}");
    assert!(request.head.contains("\r\nX-From: a pod\r\n"), "{request:?}");
    assert!(!request.head.contains("hunter2"), "{request:?}");
}

#[test]
fn another_protocol_fails() {
    let (port, requests) = serve([Protocol::Other("SSH-2.0-x\r\n"), Protocol::Other("SSH-2.0-x\r\n")]);
    let boot = Boot::empty();
    let message = boot.failed(&boot.get(30, &format!("https://127.0.0.1:{port}/up?token=hunter2"), &[]));
    assert!(message.contains("TLS") && !message.contains("hunter2"), "{message}");
    requests.join().unwrap();
}

#[test]
fn a_server_without_a_response_fails_at_the_hook_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let boot = Boot::empty();
    let message = boot.failed(&boot.get(1, &format!("https://127.0.0.1:{port}/"), &[]));
    assert!(message.contains("no response"), "{message}");
}
