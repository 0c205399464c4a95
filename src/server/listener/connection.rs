//! One connection: from its handshake to its last answer.

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

use super::idle_timeout::{IdleTimer, TimedBody, TimedStream};
use crate::server::tls::Peer;

use super::{HandshakeFailure, Server, ShutdownStage, Transport, handshake};

/// What a connection's read buffer may hold of a request's head and of a body in transit.
const BUFFER: usize = 64 * 1024;

/// Serves a connection to its end.
pub(super) async fn serve(server: &Server, stream: TcpStream, pulse: &Arc<IdleTimer>) {
    // Answers are written in one go; waiting for more to send would only delay them.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "TCP_NODELAY cannot be set");
    }
    match &server.transport {
        Transport::Plain => http(server, stream, pulse, Peer::default()).await,
        Transport::Tls(tls) => {
            let shaken = tokio::select! {
                shaken = handshake::shake(tls, stream, server.limits.handshake) => shaken,
                () = pulse.closed() => return,
            };
            match shaken {
                Ok(stream) => {
                    let peer = Peer::of(stream.get_ref().1.peer_certificates());
                    http(server, stream, pulse, peer).await;
                }
                Err((failure, error)) => {
                    server.metrics.handshake_failed(failure);
                    if failure == HandshakeFailure::Untrusted {
                        warn!(
                            %error,
                            "a caller does not trust this webhook's certificate: compare caBundle in its \
                             MutatingWebhookConfiguration with the CA that is served under"
                        );
                    } else {
                        debug!(%error, reason = failure.as_str(), "TLS handshake failed");
                    }
                }
            }
        }
    }
}

async fn http<S: AsyncRead + AsyncWrite + Unpin>(
    server: &Server,
    stream: S,
    pulse: &Arc<IdleTimer>,
    peer: Peer,
) {
    let stream = TokioIo::new(TimedStream::new(stream, Arc::clone(pulse)));
    let service = hyper::service::service_fn(|request| respond(server, pulse, &peer, request));
    let connection = http1::Builder::new()
        // The pulse does this, see there.
        .header_read_timeout(None)
        .max_buf_size(BUFFER)
        .serve_connection(stream, service);
    tokio::pin!(connection);
    let mut stage = server.stage.clone();
    let ended = tokio::select! {
        // Biased, because a request that has come already is to be seen before the connection counts as idle.
        biased;
        ended = &mut connection => Some(ended),
        () = pulse.stalled() => None,
        () = stage.reached(ShutdownStage::Closing) => {
            // Hyper would close a connection on which nothing has come at once, and with it a request that is
            // on its way.
            let farewell = if pulse.is_fresh() { server.limits.farewell } else { Duration::ZERO };
            if let Ok(ended) = timeout(farewell, &mut connection).await {
                Some(ended)
            } else {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = &mut connection => Some(ended),
                    () = pulse.stalled() => None,
                    () = stage.reached(ShutdownStage::Over) => None,
                }
            }
        }
    };
    match ended {
        Some(Ok(())) => {}
        // The caller went away in the middle, or did not speak HTTP.
        Some(Err(error)) => debug!(%error, "connection broken off"),
        None => debug!("connection closed: the caller stalled, another needed the place, or time was up"),
    }
}

async fn respond(
    server: &Server,
    pulse: &Arc<IdleTimer>,
    peer: &Peer,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    pulse.request_begins();
    request.extensions_mut().insert(peer.clone());
    let app: Router = server.app.clone();
    let request = request.map(|body| Body::new(TimedBody::new(body, Arc::clone(pulse))));
    let mut response = app.oneshot(request).await?;
    if server.stage.now() >= ShutdownStage::Draining {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    pulse.request_ends();
    Ok(response)
}
