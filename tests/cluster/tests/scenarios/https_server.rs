//! An HTTPS server on the address of the node, in the process of the test, for requests of hooks.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use bootlace_cluster::node::ADDRESS;
use rcgen::KeyPair;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// The timeout for a request.
const TIMEOUT: Duration = Duration::from_mins(2);

/// A server that only supports TLS, with an untrusted certificate for another name.
pub(crate) struct HttpsServer {
    pub(crate) port: u16,
    requests: mpsc::UnboundedReceiver<String>,
}

impl HttpsServer {
    /// Starts the server, which runs until the process of the test exits.
    pub(crate) fn start() -> Result<Self> {
        let key = KeyPair::generate()?;
        let certificate = rcgen::CertificateParams::new(["another.example".to_owned()])?.self_signed(&key)?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.into()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))?;
        let config = Arc::new(config);
        let listener = TcpListener::bind((ADDRESS, 0))?;
        let port = listener.local_addr()?.port();
        let (sender, requests) = mpsc::unbounded_channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, sender) = (Arc::clone(&config), sender.clone());
                thread::spawn(move || {
                    // Connections without a valid request are ignored.
                    if let Ok(head) = respond(stream, config) {
                        let _ = sender.send(head);
                    }
                });
            }
        });
        Ok(Self { port, requests })
    }

    /// The request line and the headers of the next request.
    pub(crate) async fn next_request(&mut self) -> Result<String> {
        let request =
            timeout(TIMEOUT, self.requests.recv()).await.context("the HTTPS server received no request")?;
        request.context("the HTTPS server has stopped")
    }
}

/// Responds with 500, because the hook must treat any response as a success.
fn respond(stream: TcpStream, config: Arc<ServerConfig>) -> Result<String> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut stream = BufReader::new(StreamOwned::new(ServerConnection::new(config)?, stream));
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        anyhow::ensure!(stream.read_line(&mut head)? > 0, "the request is incomplete");
    }
    stream.get_mut().write_all(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")?;
    Ok(head)
}
