//! The minimum cost of any such server: hyper and rustls on one thread, which read a request and send as many
//! bytes as the webhook. They parse, count and log nothing.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Serves responses of `size` bytes until the process is killed. Writes its certificate to `ca`, and its
/// address to standard error in the format of the webhook.
pub(crate) fn serve(size: usize, ca: &Path) {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(ca, certified.cert.pem()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certified.cert.der().clone()],
            certified.signing_key.serialize_der().try_into().unwrap(),
        )
        .unwrap();
    let tls = TlsAcceptor::from(Arc::new(config));
    let response = Bytes::from([b"JSONPatch".as_slice(), &vec![b' '; size]].concat()).slice(..size);
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        eprintln!("{}", serde_json::json!({"address": listener.local_addr().unwrap()}));
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(connection(stream, tls.clone(), response.clone()));
        }
    });
}

async fn connection(stream: TcpStream, tls: TlsAcceptor, response: Bytes) {
    stream.set_nodelay(true).unwrap();
    let stream = TokioIo::new(tls.accept(stream).await.unwrap());
    let service = service_fn(async |request: Request<Incoming>| {
        request.into_body().collect().await.unwrap();
        Ok::<_, Infallible>(Response::new(Full::new(response.clone())))
    });
    // Returns an error when the client closes the connection.
    let _ = http1::Builder::new().serve_connection(stream, service).await;
}
