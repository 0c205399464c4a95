//! Streaming extraction of tar.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use futures::StreamExt;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio_tar::{Archive as Tar, EntryType};

use super::{ArchiveEntryKind, DAMAGED, SelectEntries, TRUNCATED, name, not_a_file, unpack_error};
use crate::boot::sink::Sink;
use crate::boot::source::SourceError;
use crate::http::Body;

/// Maximum size of headers between two pieces of content. The library keeps a long name and other extensions
/// in memory, and they can claim any size.
const MAX_HEADERS: u64 = 1 << 20;

/// Maximum window of zstd as a power of two, because the decoder keeps the window in memory. The recommended
/// minimum for decoders (RFC 8878, section 3.1.1.1.2), and the default of compressors.
const ZSTD_WINDOW: u32 = 23;

/// Size of a read.
const CHUNK: usize = 64 * 1024;

pub(super) async fn unpack_gzip(
    body: &mut Body,
    select: &mut impl SelectEntries,
    sink: &mut Sink<'_>,
) -> Result<(), SourceError> {
    let mut gzip = GzipDecoder::new(body.reader());
    // `gzip -c a >> b` creates a valid file.
    gzip.multiple_members(true);
    let extracted = extract(gzip, select, sink).await;
    finish(body, extracted).await
}

pub(super) async fn unpack_zstd(
    body: &mut Body,
    select: &mut impl SelectEntries,
    sink: &mut Sink<'_>,
) -> Result<(), SourceError> {
    let mut zstd = ZstdDecoder::with_params(body.reader(), &[DParameter::window_log_max(ZSTD_WINDOW)]);
    // Builders of seekable layers write many frames.
    zstd.multiple_members(true);
    let extracted = extract(zstd, select, sink).await;
    finish(body, extracted).await
}

pub(super) async fn unpack(
    body: &mut Body,
    select: &mut impl SelectEntries,
    sink: &mut Sink<'_>,
) -> Result<(), SourceError> {
    let extracted = extract(body.reader(), select, sink).await;
    finish(body, extracted).await
}

/// An interrupted download is reported as such, not as a damaged archive.
async fn finish(body: &mut Body, extracted: Result<(), SourceError>) -> Result<(), SourceError> {
    if let Some(failure) = body.failure() {
        return Err(failure.into());
    }
    extracted?;
    Ok(body.drain().await?)
}

async fn extract(
    packed: impl AsyncRead + Unpin,
    select: &mut impl SelectEntries,
    sink: &mut Sink<'_>,
) -> Result<(), SourceError> {
    let headers = Arc::new(AtomicU64::new(0));
    let failed = |error: io::Error| {
        unpack_error(if headers.load(Ordering::Relaxed) > MAX_HEADERS {
            "it has more than 1 MiB of names and other headers before a file"
        } else if error.kind() == io::ErrorKind::UnexpectedEof {
            TRUNCATED
        } else {
            DAMAGED
        })
    };
    let mut tar = Tar::new(HeaderLimit { packed, headers: Arc::clone(&headers) });
    let mut entries = tar.entries().map_err(failed)?;
    let mut buffer = vec![0; CHUNK];
    while let Some(entry) = entries.next().await {
        let mut entry = entry.map_err(failed)?;
        headers.store(0, Ordering::Relaxed);
        let kind = entry.header().entry_type();
        let global = kind == EntryType::XGlobalHeader;
        let kind = entry_kind(kind);
        let path = entry.path_bytes().map_err(failed)?.into_owned();
        // A global header (a git host writes the commit there) is not an entry with a name.
        let path = if global { None } else { name::parse(&path)? };
        let mut file = None;
        if let Some(path) = path
            && let Some(target) = select.target(&path, kind, sink)?
        {
            if let ArchiveEntryKind::Other(kind) = kind {
                return Err(not_a_file(&path.to_string(), kind, select.field()));
            }
            file = Some(sink.create(&target)?);
        }
        loop {
            let read = entry.read(&mut buffer).await.map_err(failed)?;
            headers.store(0, Ordering::Relaxed);
            match (buffer.get(..read), &mut file) {
                (None | Some([]), _) => break,
                (Some(chunk), Some(file)) => file.write(chunk)?,
                (Some(_), None) => {}
            }
        }
        if let Some(file) = file {
            sink.finish(file)?;
        }
    }
    Ok(())
}

fn entry_kind(kind: EntryType) -> ArchiveEntryKind {
    match kind {
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => ArchiveEntryKind::File,
        EntryType::Directory => ArchiveEntryKind::Folder,
        EntryType::Symlink => ArchiveEntryKind::Other("a symbolic link"),
        EntryType::Link => ArchiveEntryKind::Other("a hard link"),
        EntryType::Char | EntryType::Block => ArchiveEntryKind::Other("a device"),
        EntryType::Fifo => ArchiveEntryKind::Other("a named pipe"),
        _ => ArchiveEntryKind::Other("of an unknown kind"),
    }
}

/// Counts the bytes between two pieces of content, and fails if there are too many.
struct HeaderLimit<R> {
    packed: R,
    headers: Arc<AtomicU64>,
}

impl<R: AsyncRead + Unpin> AsyncRead for HeaderLimit<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.packed).poll_read(cx, buffer);
        let read = (buffer.filled().len() - before) as u64;
        if self.headers.fetch_add(read, Ordering::Relaxed) + read > MAX_HEADERS {
            return Poll::Ready(Err(io::ErrorKind::FileTooLarge.into()));
        }
        polled
    }
}
