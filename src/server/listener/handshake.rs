//! The TLS handshake, and in how many ways it fails.

use std::io;
use std::time::Duration;

use rustls::AlertDescription;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeFailure {
    /// It took too long.
    Timeout,
    /// The caller spoke plain HTTP.
    Plaintext,
    /// The caller left: a TCP probe, or a port scan.
    Closed,
    /// The caller does not trust our certificate: the caBundle is not ours, or a name is missing.
    Untrusted,
    /// Anything else.
    Other,
}

impl HandshakeFailure {
    /// The reason as a metric's label.
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

/// First byte of a TLS record that holds a handshake (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

const SPEAK_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 45\r\n\
    Connection: close\r\n\r\nThis port speaks TLS: call it with https://.\n";

/// How much of a plain request is read before the connection is closed.
const PLAIN_REQUEST: u64 = 64 * 1024;

/// Shakes hands within `limit`.
///
/// # Errors
/// Where it fails, and what the library said.
pub(super) async fn shake(
    tls: &TlsAcceptor,
    mut stream: TcpStream,
    limit: Duration,
) -> Result<TlsStream<TcpStream>, (HandshakeFailure, io::Error)> {
    let handshake = async {
        let mut first = [0];
        let closed = |error| (HandshakeFailure::Closed, error);
        if stream.peek(&mut first).await.map_err(closed)? == 0 {
            return Err(closed(io::ErrorKind::UnexpectedEof.into()));
        }
        let [first] = first;
        // Every method of HTTP is written in capitals, and no TLS record begins with one.
        if first != TLS_HANDSHAKE && first.is_ascii_uppercase() {
            let told = tell_to_speak_tls(&mut stream).await;
            let error = told.err().unwrap_or_else(|| io::ErrorKind::InvalidData.into());
            return Err((HandshakeFailure::Plaintext, error));
        }
        tls.accept(stream).await.map_err(|error| (classify(&error), error))
    };
    let late = |_| Err((HandshakeFailure::Timeout, io::ErrorKind::TimedOut.into()));
    timeout(limit, handshake).await.unwrap_or_else(late)
}

async fn tell_to_speak_tls(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(SPEAK_TLS).await?;
    stream.shutdown().await?;
    // Closing over unread bytes would reset the connection, and the caller would not see the answer.
    tokio::io::copy(&mut stream.take(PLAIN_REQUEST), &mut tokio::io::sink()).await?;
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
        // A CA of the same name, with another key.
        | AlertDescription::DecryptError => HandshakeFailure::Untrusted,
        _ => HandshakeFailure::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_answer_is_as_long_as_it_says() {
        let text = std::str::from_utf8(SPEAK_TLS).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{}", body.len());
    }
}
