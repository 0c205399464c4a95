//! Clients, and the server on a port.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::body::Bytes;
use axum::http::Method;
use futures::future::BoxFuture;
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use serde_json::json;
use tower::Service;

use crate::ApiServer;
use crate::requests::Request;
use crate::responses::Response;

/// When a replica is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Before its request with this number, counted from 0, reaches the API server.
    Before(usize),
    /// After the request has taken effect, but before the replica gets the response.
    After(usize),
}

/// The server as a service for a client with layers, such as timeouts.
#[derive(Clone)]
pub struct ApiService(ApiServer);

impl Service<Request> for ApiService {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let server = self.0.clone();
        Box::pin(async move { Ok(server.respond(request).await) })
    }
}

impl ApiServer {
    /// The server as a service.
    #[must_use]
    pub fn service(&self) -> ApiService {
        ApiService(self.clone())
    }

    /// A client without a timeout.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(self.service(), "default")
    }

    /// The client of a replica that is killed. Before each request, it yields to other tasks as often as
    /// `pauses` defines.
    #[must_use]
    pub fn replica(&self, cut: Option<Cut>, pauses: Vec<u8>) -> Client {
        let (server, sent) = (self.clone(), Arc::new(Mutex::new(0)));
        let service = tower::service_fn(move |request: Request| {
            let server = server.clone();
            let number = {
                let mut sent = sent.lock().unwrap();
                *sent += 1;
                *sent - 1
            };
            let pause = pauses.get(number).copied().unwrap_or_default();
            async move {
                for _ in 0..pause {
                    tokio::task::yield_now().await;
                }
                let killed = || Err(io::Error::other("the replica was killed"));
                match cut {
                    Some(Cut::Before(cut)) if number >= cut => return killed(),
                    Some(Cut::After(cut)) if number > cut => return killed(),
                    _ => {}
                }
                let response = server.respond(request).await;
                if cut == Some(Cut::After(number)) { killed() } else { Ok(response) }
            }
        });
        Client::new(service, "default")
    }

    /// Serves it over HTTP for a program, and returns its address. The response to a GET of a path for which
    /// `is_cached` is true is serialized once: many may read it at once, and a program that is built for
    /// debugging serializes slowly.
    pub async fn serve(
        &self,
        is_cached: impl Fn(&str) -> bool + Clone + Send + Sync + 'static,
    ) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = self.clone();
        let cache = Arc::<Mutex<BTreeMap<String, Bytes>>>::default();
        let answer = async move |request: axum::http::Request<axum::body::Body>| {
            let is_cached = request.method() == Method::GET && is_cached(request.uri().path());
            let key = request.uri().to_string();
            let cached = cache.lock().unwrap().get(&key).filter(|_| is_cached).cloned();
            if let Some(bytes) = cached {
                return Response::new(bytes.into());
            }
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let response = server.respond(Request::from_parts(head, Body::from(body))).await;
            if !is_cached || !response.status().is_success() {
                return response;
            }
            let bytes = response.into_body().collect().await.unwrap().to_bytes();
            cache.lock().unwrap().insert(key, bytes.clone());
            Response::new(bytes.into())
        };
        tokio::spawn(axum::serve(listener, axum::Router::new().fallback(answer)).into_future());
        address
    }
}

/// The address of a server that accepts connections and never reads or responds.
#[must_use]
pub fn unresponsive() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // The connections stay open, and the kernel buffers the requests.
    std::thread::spawn(move || listener.incoming().collect::<Vec<_>>());
    address
}

/// The kubeconfig of a program that uses the server at `address`, in the namespace `bootlace`.
#[must_use]
pub fn kubeconfig(address: SocketAddr) -> String {
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": format!("http://{address}")}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "bootlace"}}],
    });
    config.to_string()
}
