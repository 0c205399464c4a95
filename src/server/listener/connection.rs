//! Serves one connection, from its handshake to its last response.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower::ServiceExt as _;
use tracing::{debug, warn};

use super::counted_stream::CountedStream;
use super::idle_timeout::{IdleTimer, TimedBody};
use super::open::Open;
use crate::server::tls::Peer;

use super::{HandshakeFailure, Server, ShutdownStage, Transport, handshake};

/// Maximum size of the read buffer of a connection.
const MAX_BUFFER_BYTES: usize = 64 * 1024;

/// Serves a connection until it ends.
pub(super) async fn serve(server: &Server, stream: TcpStream, open: &Open) {
    // Each response is written at once; waiting for more data would only delay it.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "failed to set TCP_NODELAY");
    }
    match &server.transport {
        Transport::Plain => http(server, stream, open, Peer::default()).await,
        Transport::Tls(tls) => {
            let accepted = tokio::select! {
                accepted = handshake::accept(tls, stream, server.limits.handshake) => accepted,
                () = open.closed() => return,
            };
            match accepted {
                Ok(stream) => {
                    let peer = Peer::of(stream.get_ref().1.peer_certificates());
                    http(server, stream, open, peer).await;
                }
                Err((failure, error)) => {
                    server.metrics.handshake_failed(failure);
                    if failure == HandshakeFailure::Untrusted {
                        warn!(
                            %error,
                            "a caller does not trust the certificate: compare the caBundle of the \
                             MutatingWebhookConfiguration with the CA of the certificate"
                        );
                    } else {
                        debug!(%error, reason = failure.as_str(), "TLS handshake failed");
                    }
                }
            }
        }
    }
}

async fn http<S: AsyncRead + AsyncWrite + Unpin>(server: &Server, stream: S, open: &Open, peer: Peer) {
    let timer: &Arc<IdleTimer> = open;
    let stream = TokioIo::new(CountedStream::new(stream, open));
    let service = hyper::service::service_fn(|request| respond(server, timer, &peer, request));
    let connection = http1::Builder::new()
        // `IdleTimer` has the timeouts, and explains why.
        .header_read_timeout(None)
        .max_buf_size(MAX_BUFFER_BYTES)
        .serve_connection(stream, service);
    tokio::pin!(connection);
    let mut stage = server.stage.clone();
    let ended = tokio::select! {
        // Biased, so that a received request is processed before the connection is regarded as idle.
        biased;
        ended = &mut connection => Some(ended),
        () = timer.stalled() => None,
        () = stage.reached(ShutdownStage::Closing) => {
            // Hyper would close a connection without a request at once, although a request may be in transit.
            let farewell = if timer.is_fresh() { server.limits.farewell } else { Duration::ZERO };
            if let Ok(ended) = timeout(farewell, &mut connection).await {
                Some(ended)
            } else {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = &mut connection => Some(ended),
                    () = timer.stalled() => None,
                    () = stage.reached(ShutdownStage::Over) => None,
                }
            }
        }
    };
    match ended {
        Some(Ok(())) => {}
        // The caller closed the connection in a request, or did not send HTTP.
        Some(Err(error)) => debug!(%error, "connection failed"),
        None => debug!("connection closed: timeout, too many connections, or shutdown"),
    }
}

async fn respond(
    server: &Server,
    timer: &Arc<IdleTimer>,
    peer: &Peer,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    timer.request_begins();
    request.extensions_mut().insert(peer.clone());
    let app: Router = server.app.clone();
    let request = request.map(|body| Body::new(TimedBody::new(body, Arc::clone(timer))));
    let mut response = app.oneshot(request).await?;
    if server.stage.now() >= ShutdownStage::Draining {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    timer.request_ends();
    Ok(response)
}
