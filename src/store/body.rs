//! Reads request bodies, with limits on size and time.

use std::time::Duration;

use axum::body::{Body, Bytes};
use tokio::time::timeout;

use super::api_error::ApiError;
use crate::server::body::{BodyEnd, BodyStart, read_start};
use crate::store_client::protocol::MAX_BODY_BYTES;
use bootlace_core::code::Code;

/// How long the client may take to send a body. Boot sends its body, of at most 2 MiB, without a pause.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Requests with a larger body are processed one after another, see [`super::api`].
pub(super) const LARGE_BODY_BYTES: usize = 64 * 1024;

/// Reads a body until it ends.
pub(super) async fn read_body(mut body: Body) -> Result<Bytes, ApiError> {
    // One byte more than the limit shows that the body is too large.
    let read = timeout(BODY_TIMEOUT, read_start(&mut body, MAX_BODY_BYTES + 1)).await;
    let BodyStart { bytes, end } = read.map_err(|_| timed_out())?;
    if end == BodyEnd::Failed {
        return Err(incomplete());
    }
    if bytes.len() > MAX_BODY_BYTES { Err(too_large()) } else { Ok(bytes) }
}

pub(crate) fn timed_out() -> ApiError {
    let seconds = BODY_TIMEOUT.as_secs();
    ApiError::new(
        Code::RequestTooSlow,
        format!("timed out reading the body after {seconds} s: send it without pauses"),
    )
}

pub(crate) fn incomplete() -> ApiError {
    ApiError::new(Code::RequestMalformed, "the connection was closed before the end of the body: retry")
}

pub(crate) fn too_large() -> ApiError {
    ApiError::new(
        Code::ContentTooLarge,
        format!(
            "the body is larger than the limit of {MAX_BODY_BYTES} bytes, which is enough for 1 MiB of content"
        ),
    )
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    #[tokio::test]
    async fn a_body_is_read_up_to_the_limit() {
        assert_eq!(read_body(Body::from("{}")).await.unwrap(), "{}");
        let whole = read_body(Body::from(vec![b'x'; MAX_BODY_BYTES])).await.unwrap();
        assert_eq!(whole.len(), MAX_BODY_BYTES);
        let error = read_body(Body::from(vec![b'x'; MAX_BODY_BYTES + 1])).await.unwrap_err();
        assert_eq!(error.status, 413);
    }

    #[tokio::test]
    async fn an_endless_body_is_refused() {
        let chunks = stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; 64 * 1024])));
        let body = Body::from_stream(chunks);
        assert_eq!(read_body(body).await.unwrap_err().status, 413);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_arrive_is_refused() {
        let body = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let error = read_body(body).await.unwrap_err();
        assert_eq!(error.status, 408);
        assert!(error.message.contains("10 s"), "{error}");
    }

    #[tokio::test]
    async fn an_incomplete_body_is_refused() {
        let chunks = [Ok(Bytes::from("{\"env\"")), Err(std::io::Error::other("gone"))];
        let error = read_body(Body::from_stream(stream::iter(chunks))).await.unwrap_err();
        assert_eq!(error.status, 400);
    }
}
