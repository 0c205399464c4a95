//! An HTTPS server on the node's address, in the test's own process, for hooks to ask.

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

/// How long a request may take to come.
const PATIENCE: Duration = Duration::from_mins(2);

/// It has a certificate that nobody trusts, for another name, and speaks nothing but TLS.
pub(crate) struct HttpsServer {
    pub(crate) port: u16,
    asked: mpsc::UnboundedReceiver<String>,
}

impl HttpsServer {
    /// It serves until the test's process ends.
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
        let (sender, asked) = mpsc::unbounded_channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, sender) = (Arc::clone(&config), sender.clone());
                thread::spawn(move || {
                    // What is no request is none that a test waits for.
                    if let Ok(head) = answer(stream, config) {
                        let _ = sender.send(head);
                    }
                });
            }
        });
        Ok(Self { port, asked })
    }

    /// The head of the next request.
    pub(crate) async fn asked(&mut self) -> Result<String> {
        let asked = timeout(PATIENCE, self.asked.recv()).await.context("nobody asks the HTTPS server")?;
        asked.context("the HTTPS server is gone")
    }
}

/// Any response is a success, so this is none that a client would like.
fn answer(stream: TcpStream, config: Arc<ServerConfig>) -> Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut stream = BufReader::new(StreamOwned::new(ServerConnection::new(config)?, stream));
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        anyhow::ensure!(stream.read_line(&mut head)? > 0, "the request ends early");
    }
    stream.get_mut().write_all(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")?;
    Ok(head)
}
