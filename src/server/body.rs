//! Reads the beginning of a request body, and discards the rest, so that the caller can read the response and
//! reuse the connection.
//!
//! Implemented here, because the limits of axum (`DefaultBodyLimit`) and of `http_body_util` (`Limited`) drop
//! what they have read, and stop reading at the limit: the caller, which is still sending, would see a closed
//! connection instead of a response.

use axum::body::{Body, Bytes, HttpBody as _};
use http_body_util::BodyExt as _;

/// Maximum number of bytes that are discarded.
const MAX_DISCARDED_BYTES: usize = 16 * 1024 * 1024;

/// The beginning of a body.
#[derive(Debug)]
pub(crate) struct BodyStart {
    /// At most as many bytes as requested.
    pub(crate) bytes: Bytes,
    /// How the body ended.
    pub(crate) end: BodyEnd,
}

/// How a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyEnd {
    /// It was received completely.
    Complete,
    /// It is so long that the rest was not received. The connection must be closed.
    NotReached,
    /// The connection failed before its end.
    Failed,
}

/// Reads the first `limit` bytes of a body.
pub(crate) async fn read_start(body: &mut Body, limit: usize) -> BodyStart {
    // Without the capacity in Content-Length, which a caller can exaggerate.
    let mut bytes = Vec::new();
    let mut discarded = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return BodyStart { bytes: bytes.into(), end: BodyEnd::Failed } };
        let Ok(data) = frame.into_data() else { continue };
        if bytes.is_empty() && body.is_end_stream() {
            // A body in one frame, as most are, is not copied.
            return BodyStart { bytes: data.slice(..data.len().min(limit)), end: BodyEnd::Complete };
        }
        let (kept, rest) = data.split_at(data.len().min(limit - bytes.len()));
        bytes.extend_from_slice(kept);
        discarded += rest.len();
        if discarded > MAX_DISCARDED_BYTES {
            return BodyStart { bytes: bytes.into(), end: BodyEnd::NotReached };
        }
    }
    BodyStart { bytes: bytes.into(), end: BodyEnd::Complete }
}

#[cfg(test)]
mod tests {
    use std::io;

    use futures::stream;

    use super::*;

    const MIB: usize = 1024 * 1024;

    /// A body of `count` frames with `size` bytes each.
    fn frames(size: usize, count: usize) -> Body {
        let frame = Bytes::from(vec![b'x'; size]);
        Body::from_stream(stream::iter(std::iter::repeat_n(frame, count).map(Ok::<_, io::Error>)))
    }

    async fn read(mut body: Body, limit: usize) -> (usize, BodyEnd) {
        let BodyStart { bytes, end } = read_start(&mut body, limit).await;
        assert!(bytes.iter().all(|byte| *byte == b'x'));
        (bytes.len(), end)
    }

    #[tokio::test]
    async fn a_body_is_read_from_one_frame_or_many() {
        assert_eq!(read(Body::empty(), 10).await, (0, BodyEnd::Complete));
        assert_eq!(read(Body::from("xxx"), 3).await, (3, BodyEnd::Complete));
        assert_eq!(read(frames(1000, 3), 3000).await, (3000, BodyEnd::Complete));
    }

    #[tokio::test]
    async fn bytes_after_the_limit_are_discarded() {
        assert_eq!(read(Body::from("xxxx"), 3).await, (3, BodyEnd::Complete));
        assert_eq!(read(frames(2, 2), 3).await, (3, BodyEnd::Complete));
        assert_eq!(read(frames(MIB, 17), MIB).await, (MIB, BodyEnd::Complete));
    }

    #[tokio::test]
    async fn an_endless_body_is_not_read_to_its_end() {
        assert_eq!(read(frames(MIB, 1000), 3 * MIB).await, (3 * MIB, BodyEnd::NotReached));
    }

    #[tokio::test]
    async fn the_bytes_before_a_failed_connection_are_kept() {
        let frames = [Ok(Bytes::from("xxx")), Err(io::Error::other("gone"))];
        assert_eq!(read(Body::from_stream(stream::iter(frames)), 10).await, (3, BodyEnd::Failed));
    }
}
