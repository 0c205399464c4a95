//! Reads the body of a request, with a limit on large bodies that are processed at the same time.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::server::body::{BodyEnd, BodyStart, read_start};
use bootlace_core::review::MAX_BYTES;

/// The size from which a body waits for a permit before it is parsed. Almost all pods are far smaller. The
/// listener limits the memory of bodies that are being received.
pub(super) const LARGE: usize = 128 * 1024;

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
    // After an error of the connection, the received part is processed for the log.
    let BodyStart { bytes, end } = read_start(&mut body, MAX_BYTES + 1).await;
    // After the body was received, because a slow sender must not block others.
    let large = if bytes.len() > LARGE { Arc::clone(permits).acquire_owned().await.ok() } else { None };
    Collected { bytes, endless: end == BodyEnd::NotReached, large }
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
