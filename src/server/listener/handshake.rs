//! The TLS handshake, and the reasons of its failures.

use std::io;
use std::time::Duration;

use rustls::AlertDescription;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The reason of a failed handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeFailure {
    /// It exceeded its timeout.
    Timeout,
    /// The caller sent plain HTTP.
    Plaintext,
    /// The caller closed the connection: a TCP probe, or a port scan.
    Closed,
    /// The caller does not trust the certificate: the caBundle has another CA, or a name is missing.
    Untrusted,
    /// Anything else.
    Other,
}

impl HandshakeFailure {
    /// The reason as a label of metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Plaintext => "plaintext",
            Self::Closed => "closed",
            Self::Untrusted => "untrusted",
            Self::Other => "other",
        }
    }
}

/// The first byte of a TLS record with a handshake (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

const USE_HTTPS: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 47\r\n\
    Connection: close\r\n\r\nThis port requires TLS: call it with https://.\n";

/// How much of a plain request is read before the connection is closed.
const MAX_PLAIN_REQUEST_BYTES: u64 = 64 * 1024;

/// Performs the handshake with a timeout.
///
/// # Errors
/// The reason of the failure, and the error of the library.
pub(super) async fn accept(
    tls: &TlsAcceptor,
    mut stream: TcpStream,
    handshake_timeout: Duration,
) -> Result<TlsStream<TcpStream>, (HandshakeFailure, io::Error)> {
    let handshake = async {
        let mut first = [0];
        let closed = |error| (HandshakeFailure::Closed, error);
        if stream.peek(&mut first).await.map_err(closed)? == 0 {
            return Err(closed(io::ErrorKind::UnexpectedEof.into()));
        }
        let [first] = first;
        // Every HTTP method starts with a capital letter, and no TLS record does.
        if first != TLS_HANDSHAKE && first.is_ascii_uppercase() {
            let sent = send_use_https(&mut stream).await;
            let error = sent.err().unwrap_or_else(|| io::ErrorKind::InvalidData.into());
            return Err((HandshakeFailure::Plaintext, error));
        }
        tls.accept(stream).await.map_err(|error| (classify(&error), error))
    };
    let timed_out = |_| Err((HandshakeFailure::Timeout, io::ErrorKind::TimedOut.into()));
    timeout(handshake_timeout, handshake).await.unwrap_or_else(timed_out)
}

async fn send_use_https(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(USE_HTTPS).await?;
    stream.shutdown().await?;
    // If unread bytes remained, closing would reset the connection, and the caller would not get the
    // response.
    tokio::io::copy(&mut stream.take(MAX_PLAIN_REQUEST_BYTES), &mut tokio::io::sink()).await?;
    Ok(())
}

fn classify(error: &io::Error) -> HandshakeFailure {
    let alert = match error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::AlertReceived(alert)) => *alert,
        Some(_) => return HandshakeFailure::Other,
        None => return HandshakeFailure::Closed,
    };
    match alert {
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateRevoked
        | AlertDescription::UnsupportedCertificate
        // A CA with the same name, but another key.
        | AlertDescription::DecryptError => HandshakeFailure::Untrusted,
        _ => HandshakeFailure::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_length_of_the_plain_response_is_correct() {
        let text = std::str::from_utf8(USE_HTTPS).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{}", body.len());
    }
}
