//! How long a connection has been in which phase, so that a caller who stalls is let go and one who idles is
//! kept.
//!
//! Hyper's own `header_read_timeout` runs while a connection idles too: short, it would close connections that
//! the API server means to use again; long, it would let a caller send its head byte by byte.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Duration, Instant};

use super::Limits;

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing yet. Go's client opens connections ahead of need and may keep one unused.
    Fresh,
    /// Nothing any more: it may be used again.
    Idle,
    /// A request's head has begun.
    Head,
    /// A request is being read or answered.
    Request,
}

/// A connection's phase, and since when.
#[derive(Debug)]
pub(super) struct Pulse {
    limits: Limits,
    phase: Mutex<(Phase, Instant)>,
}

impl Pulse {
    /// Of a connection that has just been opened.
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, phase: Mutex::new((Phase::Fresh, Instant::now())) })
    }

    fn lock(&self) -> MutexGuard<'_, (Phase, Instant)> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bytes_came(&self) {
        let mut phase = self.lock();
        if matches!(phase.0, Phase::Fresh | Phase::Idle) {
            *phase = (Phase::Head, Instant::now());
        }
    }

    /// Whether nothing has come on the connection so far.
    pub(super) fn is_fresh(&self) -> bool {
        self.lock().0 == Phase::Fresh
    }

    /// A request's head is complete.
    pub(super) fn request_begins(&self) {
        *self.lock() = (Phase::Request, Instant::now());
    }

    /// Its answer is ready.
    pub(super) fn request_ends(&self) {
        *self.lock() = (Phase::Idle, Instant::now());
    }

    fn deadline(&self) -> Instant {
        let (phase, since) = *self.lock();
        let limit = match phase {
            Phase::Fresh | Phase::Idle => self.limits.idle,
            Phase::Head => self.limits.head,
            Phase::Request => self.limits.request,
        };
        since + limit
    }

    /// Waits until the connection has stalled. Looks every now and then instead of moving a timer with each
    /// phase, which would cost every review; so it may be late by as much as the shortest limit.
    pub(super) async fn stalled(&self) {
        let every = self.limits.head.min(self.limits.request).max(Duration::from_millis(1));
        loop {
            let (now, deadline) = (Instant::now(), self.deadline());
            if deadline <= now {
                return;
            }
            tokio::time::sleep_until(deadline.min(now + every)).await;
        }
    }
}

/// A stream that tells its pulse when bytes come in.
pub(super) struct Watched<S> {
    stream: S,
    pulse: Arc<Pulse>,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, pulse: Arc<Pulse>) -> Self {
        Self { stream, pulse }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.pulse.bytes_came();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        let seconds = Duration::from_secs;
        Limits { head: seconds(10), request: seconds(35), idle: seconds(180), ..Limits::default() }
    }

    /// Time is paused in these tests: the clock jumps to the next timer.
    async fn stalls_after(pulse: &Pulse) -> u64 {
        let from = Instant::now();
        pulse.stalled().await;
        (Instant::now() - from).as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn each_phase_has_its_own_limit() {
        let pulse = Pulse::new(limits());
        assert!(pulse.is_fresh());
        assert_eq!(stalls_after(&pulse).await, 180);
        pulse.bytes_came();
        assert!(!pulse.is_fresh());
        assert_eq!(stalls_after(&pulse).await, 10);
        pulse.request_begins();
        assert_eq!(stalls_after(&pulse).await, 35);
        pulse.request_ends();
        assert_eq!(stalls_after(&pulse).await, 180);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_begins_while_idle_is_not_given_the_idle_time() {
        let pulse = Pulse::new(limits());
        pulse.request_ends();
        let begins = async {
            tokio::time::sleep(Duration::from_secs(95)).await;
            pulse.bytes_came();
        };
        let (after, ()) = tokio::join!(stalls_after(&pulse), begins);
        assert!((105..=115).contains(&after), "{after}");
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_of_a_request_that_is_being_read_do_not_prolong_it() {
        let pulse = Pulse::new(limits());
        pulse.request_begins();
        pulse.bytes_came();
        assert_eq!(stalls_after(&pulse).await, 35);
    }
}
