//! The least that any server of this kind costs: hyper and rustls on one thread, which read a request to its end and
//! answer with as many bytes as the webhook does. Nothing is parsed, decided, counted or logged.

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

/// Serves answers of `size` bytes until it is killed. Its certificate is written to `ca`, and its address told on
/// standard error as the webhook tells its own.
pub(crate) fn serve(size: usize, ca: &Path) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(ca, made.cert.pem()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], made.signing_key.serialize_der().try_into().unwrap())
        .unwrap();
    let tls = TlsAcceptor::from(Arc::new(config));
    let answer = Bytes::from([b"JSONPatch".as_slice(), &vec![b' '; size]].concat()).slice(..size);
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        eprintln!("{}", serde_json::json!({"address": listener.local_addr().unwrap()}));
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(connection(stream, tls.clone(), answer.clone()));
        }
    });
}

async fn connection(stream: TcpStream, tls: TlsAcceptor, answer: Bytes) {
    stream.set_nodelay(true).unwrap();
    let stream = TokioIo::new(tls.accept(stream).await.unwrap());
    let service = service_fn(async |request: Request<Incoming>| {
        request.into_body().collect().await.unwrap();
        Ok::<_, Infallible>(Response::new(Full::new(answer.clone())))
    });
    // Ends with an error where the load closes the connection.
    let _ = http1::Builder::new().serve_connection(stream, service).await;
}
