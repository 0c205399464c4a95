//! The same over TLS, against a real server of it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion, version};

use crate::support::{self, Boot, OK, answer, succeeds};

/// How a connection is answered.
#[derive(Clone)]
enum Speaks {
    Tls(&'static SupportedProtocolVersion, &'static str),
    Plain(&'static str),
    /// What the client says is read, as far as it has come, and answered with these words.
    Rubbish(&'static str),
}

/// What a client asked, and for which server, if it named one.
#[derive(Debug, PartialEq)]
struct Asked {
    head: String,
    server: Option<String>,
}

impl Speaks {
    fn answer(self, mut stream: TcpStream, port: u16) -> Asked {
        match self {
            Self::Tls(version, response) => {
                let session = ServerConnection::new(Arc::new(config(version))).unwrap();
                let mut stream = StreamOwned::new(session, stream);
                let head = answer(&mut stream, port, response);
                assert_eq!(stream.conn.protocol_version(), Some(version.version));
                Asked { head, server: stream.conn.server_name().map(str::to_owned) }
            }
            Self::Plain(response) => Asked { head: answer(stream, port, response), server: None },
            Self::Rubbish(response) => {
                let count = stream.read(&mut [0; 4096]).unwrap();
                assert!(count > 0);
                stream.write_all(response.as_bytes()).unwrap();
                Asked { head: String::new(), server: None }
            }
        }
    }
}

/// A certificate that nobody trusts: it is signed by itself, names another server, and has expired.
fn config(version: &'static SupportedProtocolVersion) -> ServerConfig {
    let key = KeyPair::generate().unwrap();
    let mut says = CertificateParams::new(["another.example".to_owned()]).unwrap();
    (says.not_before, says.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
    let certificate = says.self_signed(&key).unwrap();
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.into()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap()
}

fn serve<const N: usize>(speaks: [Speaks; N]) -> (u16, JoinHandle<Vec<Asked>>) {
    let one = |speaks: Speaks| move |stream, port| speaks.answer(stream, port);
    support::serve(speaks.map(one).into())
}

const TLS: &SupportedProtocolVersion = &version::TLS13;

#[test]
fn asks_over_tls_whatever_the_certificate_says() {
    for version in [&version::TLS12, &version::TLS13] {
        for (host, server) in [("127.0.0.1", None), ("localhost", Some("localhost")), ("", None)] {
            let (port, asked) = serve([Speaks::Tls(version, OK)]);
            let url = format!("https://{host}:{port}/up?a=b");
            succeeds(&Boot::empty().get(30, &url, &["Host: task.example", "X-Token: hunter2"]));
            let [asked] = <[Asked; 1]>::try_from(asked.join().unwrap()).unwrap();
            assert!(asked.head.starts_with("GET /up?a=b HTTP/1.1\r\n"), "{asked:?}");
            assert!(asked.head.contains("\r\nHost: task.example\r\n"), "{asked:?}");
            assert!(asked.head.contains("\r\nX-Token: hunter2\r\n"), "{asked:?}");
            assert_eq!(asked.server.as_deref(), server, "{host}");
        }
    }
}

#[test]
fn any_response_is_a_success() {
    for response in ["HTTP/1.1 500 Internal Server Error\r\n\r\n", "HTTP/1.0 404 Not Found\r\n\r\n"] {
        let (port, asked) = serve([Speaks::Tls(TLS, response)]);
        succeeds(&Boot::empty().get(30, &format!("https://127.0.0.1:{port}/"), &[]));
        asked.join().unwrap();
    }
}

#[test]
fn redirects_lead_from_one_scheme_to_the_other_on_the_same_host() {
    let (port, asked) = serve([
        Speaks::Plain("HTTP/1.1 301 Moved Permanently\r\nLocation: https://127.0.0.1:PORT/a\r\n\r\n"),
        Speaks::Tls(TLS, "HTTP/1.1 302 Found\r\nLocation: b\r\n\r\n"),
        Speaks::Tls(TLS, "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:PORT/c\r\n\r\n"),
        Speaks::Plain("HTTP/1.1 302 Found\r\nLocation: https://192.0.2.1/elsewhere\r\n\r\n"),
    ]);
    succeeds(&Boot::empty().get(30, &format!("http://127.0.0.1:{port}/"), &[]));
    let asked = asked.join().unwrap();
    let lines: Vec<_> = asked.iter().map(|asked| asked.head.lines().next().unwrap()).collect();
    assert_eq!(lines, ["GET / HTTP/1.1", "GET /a HTTP/1.1", "GET /b HTTP/1.1", "GET /c HTTP/1.1"]);
}

#[test]
fn a_server_that_answers_in_plain_http_is_asked_again_without_what_it_must_not_see() {
    let refusal = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
    let (port, asked) = serve([Speaks::Rubbish(refusal), Speaks::Plain(OK)]);
    let headers = ["authorization: Bearer hunter2", "X-From: a pod"];
    succeeds(&Boot::empty().get(30, &format!("https://127.0.0.1:{port}/up"), &headers));
    let [_, asked] = <[Asked; 2]>::try_from(asked.join().unwrap()).unwrap();
    assert!(asked.head.starts_with("GET /up HTTP/1.1\r\n"), "{asked:?}");
    assert!(asked.head.contains("\r\nX-From: a pod\r\n"), "{asked:?}");
    assert!(!asked.head.contains("hunter2"), "{asked:?}");
}

#[test]
fn what_is_neither_fails() {
    let (port, asked) = serve([Speaks::Rubbish("SSH-2.0-x\r\n"), Speaks::Rubbish("SSH-2.0-x\r\n")]);
    let boot = Boot::empty();
    let told = boot.failed(&boot.get(30, &format!("https://127.0.0.1:{port}/up?token=hunter2"), &[]));
    assert!(
        told.contains(&format!("GET https://127.0.0.1:{port}/up: the server does not speak TLS")),
        "{told}"
    );
    assert!(!told.contains("hunter2"), "{told}");
    asked.join().unwrap();
}

#[test]
fn a_server_without_a_word_fails_at_the_hooks_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let boot = Boot::empty();
    let told = boot.failed(&boot.get(1, &format!("https://127.0.0.1:{port}/"), &[]));
    assert!(told.contains("no response within the hook's limit of 1 s"), "{told}");
}
