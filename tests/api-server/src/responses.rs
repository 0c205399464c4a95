//! Bodies and statuses.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use futures::{StreamExt as _, stream};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::{Lists, Slow};

pub(crate) type Response = axum::http::Response<Body>;

/// A response with an object.
pub(crate) fn success(object: &Value) -> Response {
    Response::new(serde_json::to_vec(object).unwrap().into())
}

/// An error response.
pub(crate) fn failure(code: u16, message: &str) -> Response {
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        422 => "Invalid",
        500 => "InternalError",
        503 => "ServiceUnavailable",
        _ => "Unknown",
    };
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "message": message, "reason": reason,
    });
    let mut response = success(&status);
    *response.status_mut() = code.try_into().unwrap();
    response
}

/// A list that is being read.
struct Reading(Arc<Lists>, usize);

impl Reading {
    fn begin(lists: &Arc<Lists>) -> Self {
        let mut read = lists.read.lock().unwrap();
        read.push(0);
        lists.most.fetch_max(lists.open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        Self(Arc::clone(lists), read.len() - 1)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A response with a list in chunks, which counts the chunks that are read.
pub(crate) fn counted(list: &Value, lists: &Arc<Lists>) -> Response {
    let bytes = serde_json::to_vec(list).unwrap();
    let reading = Reading::begin(lists);
    let pieces: Vec<_> = bytes.chunks(16 * 1024).map(<[u8]>::to_vec).collect();
    let pieces = stream::iter(pieces).then(move |piece| {
        reading.0.read.lock().unwrap()[reading.1] += piece.len();
        async {
            tokio::task::yield_now().await;
            Ok::<_, io::Error>(piece)
        }
    });
    Response::new(Body::from_stream(pieces))
}

/// The same response, sent slowly.
pub(crate) async fn slow(response: Response, Slow { first, pause }: Slow) -> Response {
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let (start, rest) = (bytes.slice(..first), bytes.slice(first..));
    let later = stream::once(async move {
        match pause {
            Some(pause) => tokio::time::sleep(pause).await,
            None => std::future::pending().await,
        }
        rest
    });
    let pieces = stream::iter([start]).chain(later).map(Ok::<_, Infallible>);
    Response::from_parts(head, Body::from_stream(pieces))
}
