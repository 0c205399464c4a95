//! Reading a request's body: no more of it than a request may have, and not for ever.

use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use super::api_error::ApiError;
use crate::store_client::protocol::MAX_BODY_BYTES;

/// How long a body may take. Boot sends 2 MiB in one go.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// From this size on a body waits for its turn once it is there, see [`super::api`].
pub(super) const LARGE: usize = 64 * 1024;

/// How much of a body that is too large is read and thrown away, so that its sender gets to read the answer.
const DRAINED: usize = 16 * 1024 * 1024;

/// Reads a body to its end.
pub(super) async fn read(body: Body) -> Result<Bytes, ApiError> {
    let late = |_| {
        Err(ApiError::too_slow(format!(
            "the body did not come within {} s: send it in one go",
            BODY_TIMEOUT.as_secs()
        )))
    };
    timeout(BODY_TIMEOUT, collect(body)).await.unwrap_or_else(late)
}

async fn collect(mut body: Body) -> Result<Bytes, ApiError> {
    let mut bytes = Vec::new();
    let mut drained = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ApiError::bad_request("the body broke off: send it again"))?;
        let Ok(data) = frame.into_data() else { continue };
        if drained == 0 && bytes.len() + data.len() <= MAX_BODY_BYTES {
            bytes.extend_from_slice(&data);
            continue;
        }
        bytes = Vec::new();
        drained += data.len();
        if drained > DRAINED {
            break;
        }
    }
    if drained > 0 {
        return Err(ApiError::too_large(format!(
            "the body is larger than {MAX_BODY_BYTES} bytes: an env of 1 MiB, which is all that a Secret holds, takes less"
        )));
    }
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    #[tokio::test]
    async fn a_body_is_read_up_to_the_limit() {
        assert_eq!(read(Body::from("{}")).await.unwrap(), "{}");
        let whole = read(Body::from(vec![b'x'; MAX_BODY_BYTES])).await.unwrap();
        assert_eq!(whole.len(), MAX_BODY_BYTES);
        let denial = read(Body::from(vec![b'x'; MAX_BODY_BYTES + 1])).await.unwrap_err();
        assert_eq!(denial.status, 413);
    }

    #[tokio::test]
    async fn an_endless_body_is_given_up() {
        let chunks = stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; 64 * 1024])));
        let body = Body::from_stream(chunks);
        assert_eq!(read(body).await.unwrap_err().status, 413);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_given_up() {
        let body = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let denial = read(body).await.unwrap_err();
        assert_eq!(denial.status, 408);
        assert!(denial.message.contains("10 s"), "{denial}");
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_no_request() {
        let chunks = [Ok(Bytes::from("{\"env\"")), Err(std::io::Error::other("gone"))];
        let denial = read(Body::from_stream(stream::iter(chunks))).await.unwrap_err();
        assert_eq!(denial.status, 400);
    }
}
