//! The body of a response as a stream.

use std::io;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use hyper::body::Bytes;
use sha2::{Digest, Sha256};
use tokio::io::AsyncBufRead;
use tokio_util::io::StreamReader;

use super::FetchProgress;
use super::error::HttpError;

/// A body that is checked while it is read: its size at every chunk, its checksum at the end.
pub(crate) struct Body {
    stream: BoxStream<'static, Result<Bytes, HttpError>>,
    progress: Arc<FetchProgress>,
    address: String,
    limit: u64,
    seen: u64,
    announced: Option<u64>,
    checksum: Option<Checksum>,
    /// Bytes that [`Body::peek`] has read.
    peeked: Vec<u8>,
    /// The error that ended [`Body::reader`] early.
    failure: Option<HttpError>,
}

/// The required SHA-256 of a body.
#[derive(Clone, Copy)]
pub(crate) struct Expected<'a> {
    /// In hexadecimal digits.
    pub(crate) sha256: &'a str,
    /// Where the requirement comes from: `the profile`.
    pub(crate) by: &'static str,
}

/// The required SHA-256, and the hasher.
struct Checksum {
    expected: String,
    by: &'static str,
    hasher: Sha256,
}

impl Checksum {
    fn new(expected: Expected<'_>) -> Self {
        Self { expected: expected.sha256.to_owned(), by: expected.by, hasher: Sha256::new() }
    }
}

impl Body {
    /// Creates a body from `stream`, the response of `address`, with at most `limit` bytes and the `expected`
    /// SHA-256.
    pub(crate) fn new(
        stream: BoxStream<'static, Result<Bytes, HttpError>>,
        address: String,
        progress: Arc<FetchProgress>,
        limit: u64,
        expected: Option<Expected<'_>>,
    ) -> Self {
        let checksum = expected.map(Checksum::new);
        Self {
            stream,
            progress,
            address,
            limit,
            seen: 0,
            announced: None,
            checksum,
            peeked: Vec::new(),
            failure: None,
        }
    }

    /// Sets the size that the server announced.
    pub(crate) fn announced_as(self, announced: Option<u64>) -> Self {
        Self { announced, ..self }
    }

    /// The size that the server announced.
    pub(crate) fn announced(&self) -> Option<u64> {
        self.announced
    }

    /// The origin: scheme, host and path.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Returns the next chunk, or `None` at the end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        if !self.peeked.is_empty() {
            return Ok(Some(std::mem::take(&mut self.peeked).into()));
        }
        self.receive().await
    }

    /// Returns at least `count` bytes from the beginning, or all if there are fewer, without consuming them.
    pub(crate) async fn peek(&mut self, count: usize) -> Result<&[u8], HttpError> {
        while self.peeked.len() < count {
            match self.receive().await? {
                Some(chunk) => self.peeked.extend_from_slice(&chunk),
                None => break,
            }
        }
        Ok(&self.peeked)
    }

    /// Limits the body to `most` bytes in total.
    pub(crate) fn limit(&mut self, most: u64) {
        self.limit = self.limit.min(most);
    }

    /// Reads the whole body, with at most `most` bytes.
    pub(crate) async fn read(&mut self, most: u64) -> Result<Vec<u8>, HttpError> {
        self.limit(most);
        let mut all = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            all.extend_from_slice(&chunk);
        }
        Ok(all)
    }

    /// Reads the rest, so that size and checksum are verified for the whole body.
    pub(crate) async fn drain(&mut self) -> Result<(), HttpError> {
        while self.chunk().await?.is_some() {}
        Ok(())
    }

    /// The body as a reader. Libraries wrap its errors in their own, so [`Body::failure`] returns the error
    /// of the body.
    pub(crate) fn reader(&mut self) -> impl AsyncBufRead + Unpin {
        StreamReader::new(Box::pin(stream::unfold(self, async |body| match body.chunk().await {
            Ok(chunk) => Some((Ok(chunk?), body)),
            Err(error) => {
                body.failure = Some(error);
                Some((Err(io::Error::other("the download failed")), body))
            }
        })))
    }

    /// The error that ended the reader early.
    pub(crate) fn failure(&mut self) -> Option<HttpError> {
        self.failure.take()
    }

    async fn receive(&mut self) -> Result<Option<Bytes>, HttpError> {
        let Some(chunk) = self.stream.next().await else {
            return self.end().map(|()| None);
        };
        let chunk = chunk?;
        self.seen += chunk.len() as u64;
        self.progress.received(&self.address, self.seen);
        if self.seen > self.limit {
            return Err(HttpError::TooLarge { address: self.address.clone(), limit: self.limit });
        }
        if let Some(checksum) = &mut self.checksum {
            checksum.hasher.update(&chunk);
        }
        Ok(Some(chunk))
    }

    /// Compares the checksum, once.
    fn end(&mut self) -> Result<(), HttpError> {
        let Some(Checksum { expected, by, hasher }) = self.checksum.take() else {
            return Ok(());
        };
        let found = hex::encode(hasher.finalize());
        if found == expected {
            return Ok(());
        }
        Err(HttpError::Checksum { address: self.address.clone(), found, by, expected })
    }
}
