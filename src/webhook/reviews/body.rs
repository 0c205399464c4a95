//! Reads the body of a request: the whole body, so that the connection can be reused, but not more into
//! memory than the maximum size of a review.

use std::sync::Arc;

use axum::body::{Body, Bytes, HttpBody as _};
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use bootlace_core::review::MAX_BYTES;

/// The size from which a body waits for a permit before it is parsed. Almost all pods are far smaller. The
/// listener limits the memory of bodies that are being received.
pub(super) const LARGE: usize = 128 * 1024;

/// How much of a body that is too large is read and discarded, so that its sender can read the response.
const DRAINED: usize = 16 * 1024 * 1024;

/// A body, or its relevant part.
pub(super) struct Collected {
    /// The body. One that is larger than [`MAX_BYTES`] is truncated one byte above that, so that
    /// `review::parse` finds the UID and rejects its size. If the connection failed, the received part.
    pub(super) bytes: Bytes,
    /// Whether the rest of the body was not read, so that the connection cannot be reused.
    pub(super) endless: bool,
    large: Option<OwnedSemaphorePermit>,
}

impl Collected {
    /// Whether it needed a permit.
    pub(super) fn is_large(&self) -> bool {
        self.large.is_some()
    }
}

/// Reads a body. The permit of a large one is released when the [`Collected`] is dropped.
pub(super) async fn collect(mut body: Body, permits: &Arc<Semaphore>) -> Collected {
    let (bytes, endless) = read_to_limit(&mut body).await;
    // After the body was received, because a slow sender must not block others.
    let large = if bytes.len() > LARGE { Arc::clone(permits).acquire_owned().await.ok() } else { None };
    Collected { bytes, endless, large }
}

/// Returns the body up to the limit, and whether the rest was not read.
async fn read_to_limit(body: &mut Body) -> (Bytes, bool) {
    // Without the capacity in Content-Length, which a sender can exaggerate.
    let mut bytes = Vec::new();
    let mut drained = 0;
    while let Some(frame) = body.frame().await {
        // After an error of the connection, the received part is processed for the log.
        let Ok(frame) = frame else { break };
        let Ok(data) = frame.into_data() else { continue };
        if bytes.is_empty() && body.is_end_stream() {
            // A body in one frame, as most are, is not copied.
            return (head(data), false);
        }
        let (kept, rest) = data.split_at(data.len().min(MAX_BYTES + 1 - bytes.len()));
        bytes.extend_from_slice(kept);
        drained += rest.len();
        if drained > DRAINED {
            return (bytes.into(), true);
        }
    }
    (bytes.into(), false)
}

fn head(data: Bytes) -> Bytes {
    if data.len() > MAX_BYTES { data.slice(..=MAX_BYTES) } else { data }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(1))
    }

    fn pieces(size: usize, count: usize) -> Body {
        let piece = Bytes::from(vec![b'x'; size]);
        Body::from_stream(futures::stream::iter(
            std::iter::repeat_n(piece, count).map(Ok::<_, std::convert::Infallible>),
        ))
    }

    #[tokio::test]
    async fn a_body_is_read_from_one_frame_or_many() {
        let one = collect(Body::from("abc"), &permits()).await;
        assert_eq!((one.bytes.as_ref(), one.endless, one.is_large()), (&b"abc"[..], false, false));
        let many = collect(pieces(1000, 3), &permits()).await;
        assert_eq!((many.bytes.len(), many.endless), (3000, false));
    }

    #[tokio::test]
    async fn one_byte_above_the_maximum_is_kept_and_the_rest_is_discarded() {
        for body in [pieces(1024 * 1024, 5), Body::from(vec![b'x'; 5 * 1024 * 1024])] {
            let collected = collect(body, &permits()).await;
            assert_eq!((collected.bytes.len(), collected.endless), (MAX_BYTES + 1, false));
        }
    }

    #[tokio::test]
    async fn an_endless_body_is_not_read_to_its_end() {
        let collected = collect(pieces(1024 * 1024, 1000), &permits()).await;
        assert_eq!((collected.bytes.len(), collected.endless), (MAX_BYTES + 1, true));
    }

    #[tokio::test]
    async fn a_body_that_is_not_received_has_no_permit() {
        let permits = permits();
        let stalled =
            Body::from_stream(futures::stream::pending::<Result<Bytes, std::convert::Infallible>>());
        let stalled = tokio::spawn({
            let permits = Arc::clone(&permits);
            async move { collect(stalled, &permits).await.is_large() }
        });
        assert!(collect(Body::from(vec![b'x'; LARGE + 1]), &permits).await.is_large());
        assert!(!stalled.is_finished());
    }

    #[tokio::test]
    async fn large_bodies_wait_for_a_permit_and_small_ones_do_not() {
        let permits = permits();
        let first = collect(Body::from(vec![b'x'; LARGE + 1]), &permits).await;
        assert!(first.is_large() && permits.available_permits() == 0);
        assert!(!collect(Body::from("small"), &permits).await.is_large());
        drop(first);
        assert!(collect(Body::from(vec![b'x'; LARGE + 1]), &permits).await.is_large());
    }
}
