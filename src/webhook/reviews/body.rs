//! Reading a request's body: all of it, so that the connection can be used again, and never more of it in
//! memory than a review may have.

use std::sync::Arc;

use axum::body::{Body, Bytes, HttpBody as _};
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use bootlace_core::review::MAX_BYTES;

/// From this size on a body waits for its turn before it is parsed. Almost all pods are far smaller. What bodies hold while
/// they arrive is bounded by the listener.
pub(super) const LARGE: usize = 128 * 1024;

/// How much of a body that is too large is read and thrown away, so that its sender gets to read the answer.
const DRAINED: usize = 16 * 1024 * 1024;

/// A body, or as much of it as matters.
pub(super) struct Collected {
    /// The body. Where it is larger than [`MAX_BYTES`] it is cut off one byte above that, which is enough for
    /// `review::parse` to find the uid and to refuse it for its size. Where it broke off, what came of it.
    pub(super) bytes: Bytes,
    /// Whether there was more of it than is worth reading: the connection cannot be used again.
    pub(super) endless: bool,
    large: Option<OwnedSemaphorePermit>,
}

impl Collected {
    /// Whether it had to wait for its turn.
    pub(super) fn is_large(&self) -> bool {
        self.large.is_some()
    }
}

/// Reads a body. The turn that a large one waits for ends when the [`Collected`] is dropped.
pub(super) async fn collect(mut body: Body, turns: &Arc<Semaphore>) -> Collected {
    let (bytes, endless) = read_to_limit(&mut body).await;
    // Only now: a sender that stalls must not keep others from their turn.
    let large = if bytes.len() > LARGE { Arc::clone(turns).acquire_owned().await.ok() } else { None };
    Collected { bytes, endless, large }
}

/// The body up to the limit, and whether there is more than is worth reading.
async fn read_to_limit(body: &mut Body) -> (Bytes, bool) {
    // Not as large as announced: memory for it is taken as it comes.
    let mut bytes = Vec::new();
    let mut drained = 0;
    while let Some(frame) = body.frame().await {
        // An error is a sender that went away: what came is answered, for the log's sake.
        let Ok(frame) = frame else { break };
        let Ok(data) = frame.into_data() else { continue };
        if bytes.is_empty() && body.is_end_stream() {
            // All in one piece, as most are: taken as it is.
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

    fn turns() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(1))
    }

    fn pieces(size: usize, count: usize) -> Body {
        let piece = Bytes::from(vec![b'x'; size]);
        Body::from_stream(futures::stream::iter(
            std::iter::repeat_n(piece, count).map(Ok::<_, std::convert::Infallible>),
        ))
    }

    #[tokio::test]
    async fn a_body_is_read_whole_in_one_piece_or_many() {
        let one = collect(Body::from("abc"), &turns()).await;
        assert_eq!((one.bytes.as_ref(), one.endless, one.is_large()), (&b"abc"[..], false, false));
        let many = collect(pieces(1000, 3), &turns()).await;
        assert_eq!((many.bytes.len(), many.endless), (3000, false));
    }

    #[tokio::test]
    async fn one_byte_too_many_is_kept_and_the_rest_is_thrown_away() {
        for body in [pieces(1024 * 1024, 5), Body::from(vec![b'x'; 5 * 1024 * 1024])] {
            let collected = collect(body, &turns()).await;
            assert_eq!((collected.bytes.len(), collected.endless), (MAX_BYTES + 1, false));
        }
    }

    #[tokio::test]
    async fn a_body_without_end_is_given_up() {
        let collected = collect(pieces(1024 * 1024, 1000), &turns()).await;
        assert_eq!((collected.bytes.len(), collected.endless), (MAX_BYTES + 1, true));
    }

    #[tokio::test]
    async fn a_large_body_that_does_not_come_takes_no_turn() {
        let turns = turns();
        let stalled =
            Body::from_stream(futures::stream::pending::<Result<Bytes, std::convert::Infallible>>());
        let stalled = tokio::spawn({
            let turns = Arc::clone(&turns);
            async move { collect(stalled, &turns).await.is_large() }
        });
        assert!(collect(Body::from(vec![b'x'; LARGE + 1]), &turns).await.is_large());
        assert!(!stalled.is_finished());
    }

    #[tokio::test]
    async fn large_bodies_take_turns_and_small_ones_do_not_wait() {
        let turns = turns();
        let first = collect(Body::from(vec![b'x'; LARGE + 1]), &turns).await;
        assert!(first.is_large() && turns.available_permits() == 0);
        assert!(!collect(Body::from("small"), &turns).await.is_large());
        drop(first);
        assert!(collect(Body::from(vec![b'x'; LARGE + 1]), &turns).await.is_large());
    }
}
