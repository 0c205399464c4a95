//! How long a connection has been in which phase, so that a caller who stalls is let go and one who idles is
//! kept.
//!
//! Hyper's own `header_read_timeout` runs while a connection idles too: short, it would close connections that
//! the API server means to use again; long, it would let a caller send its head byte by byte.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Duration, Instant};

use super::Limits;
use super::open::Connections;

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing yet, or a handshake. Go's client opens connections ahead of need and may keep one unused.
    Fresh,
    /// Nothing any more: it may be used again.
    Idle,
    /// A request's head has begun.
    Head,
    /// A request's body is awaited.
    Body,
    /// A request is being answered.
    Answer,
}

/// A connection on which the next move is the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waits {
    /// Since when.
    pub(super) since: Instant,
    /// Whether it is in the middle of a request.
    pub(super) in_request: bool,
}

/// A connection's phase, and since when; whose it is, and what it holds.
#[derive(Debug)]
pub(super) struct IdleTimer {
    limits: Limits,
    peer: IpAddr,
    connections: Arc<Connections>,
    phase: Mutex<(Phase, Instant)>,
    /// Bytes that came of requests that are not answered yet.
    held: AtomicUsize,
    closed: AtomicBool,
    close: Notify,
}

impl IdleTimer {
    /// Of a connection that has just been opened.
    pub(super) fn new(limits: Limits, peer: IpAddr, connections: Arc<Connections>) -> Arc<Self> {
        Arc::new(Self {
            limits,
            peer,
            connections,
            phase: Mutex::new((Phase::Fresh, Instant::now())),
            held: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            close: Notify::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, (Phase, Instant)> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The caller's address.
    pub(super) fn peer(&self) -> IpAddr {
        self.peer
    }

    /// Bytes that came of requests that are not answered yet.
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Bytes were received.
    pub(super) fn bytes_came(&self, bytes: usize) {
        let mut phase = self.lock();
        if matches!(phase.0, Phase::Fresh | Phase::Idle) {
            *phase = (Phase::Head, Instant::now());
        }
        drop(phase);
        self.connections.received(bytes, &self.held);
    }

    /// What has come is not held any more.
    pub(super) fn release(&self) {
        self.connections.released(self.held.swap(0, Ordering::Relaxed));
    }

    /// Whether nothing has come on the connection so far.
    pub(super) fn is_fresh(&self) -> bool {
        self.lock().0 == Phase::Fresh
    }

    /// A request's head is complete.
    pub(super) fn request_begins(&self) {
        *self.lock() = (Phase::Body, Instant::now());
    }

    /// Its body has come. The time for the answer goes on from the end of the head.
    pub(super) fn body_ends(&self) {
        self.lock().0 = Phase::Answer;
    }

    /// Its answer is ready.
    pub(super) fn request_ends(&self) {
        *self.lock() = (Phase::Idle, Instant::now());
        self.release();
    }

    /// Since when the connection has waited for its caller; `None` while a request is being answered, or where the
    /// connection is being closed already.
    pub(super) fn waits_for_caller(&self) -> Option<Waits> {
        let (phase, since) = *self.lock();
        let waits = phase != Phase::Answer && !self.is_closed();
        waits.then_some(Waits { since, in_request: matches!(phase, Phase::Head | Phase::Body) })
    }

    /// Has the connection closed. What it holds counts no longer, so that no other is closed for the same bytes.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.release();
        self.close.notify_one();
    }

    /// Whether it is being closed.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Waits until the connection is to be closed to make room.
    pub(super) async fn closed(&self) {
        while !self.is_closed() {
            self.close.notified().await;
        }
    }

    fn deadline(&self) -> Instant {
        let (phase, since) = *self.lock();
        let limit = match phase {
            Phase::Fresh | Phase::Idle => self.limits.idle,
            Phase::Head => self.limits.head,
            Phase::Body | Phase::Answer => self.limits.request,
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
            tokio::select! {
                () = tokio::time::sleep_until(deadline.min(now + every)) => {}
                () = self.closed() => return,
            }
        }
    }
}

/// A request's body that tells its connection when it has come whole.
pub(super) struct TimedBody<B> {
    body: B,
    pulse: Arc<IdleTimer>,
}

impl<B: Body> TimedBody<B> {
    pub(super) fn new(body: B, pulse: Arc<IdleTimer>) -> Self {
        if body.is_end_stream() {
            pulse.body_ends();
        }
        Self { body, pulse }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for TimedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() || self.body.is_end_stream() {
            self.pulse.body_ends();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream that tells its pulse when bytes come in.
pub(super) struct TimedStream<S> {
    stream: S,
    pulse: Arc<IdleTimer>,
}

impl<S> TimedStream<S> {
    pub(super) fn new(stream: S, pulse: Arc<IdleTimer>) -> Self {
        Self { stream, pulse }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        let came = buf.filled().len() - before;
        if came > 0 {
            self.pulse.bytes_came(came);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TimedStream<S> {
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

    fn pulse() -> Arc<IdleTimer> {
        IdleTimer::new(limits(), std::net::Ipv4Addr::LOCALHOST.into(), Connections::new(limits()))
    }

    /// Time is paused in these tests: the clock jumps to the next timer.
    async fn stalls_after(pulse: &IdleTimer) -> u64 {
        let from = Instant::now();
        pulse.stalled().await;
        (Instant::now() - from).as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn each_phase_has_its_own_limit() {
        let pulse = pulse();
        assert!(pulse.is_fresh());
        assert_eq!(stalls_after(&pulse).await, 180);
        pulse.bytes_came(1);
        assert!(!pulse.is_fresh());
        assert_eq!(stalls_after(&pulse).await, 10);
        pulse.request_begins();
        assert_eq!(stalls_after(&pulse).await, 35);
        pulse.request_ends();
        assert_eq!(stalls_after(&pulse).await, 180);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_begins_while_idle_is_not_given_the_idle_time() {
        let pulse = pulse();
        pulse.request_ends();
        let begins = async {
            tokio::time::sleep(Duration::from_secs(95)).await;
            pulse.bytes_came(1);
        };
        let (after, ()) = tokio::join!(stalls_after(&pulse), begins);
        assert!((105..=115).contains(&after), "{after}");
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_of_a_request_that_is_being_read_do_not_prolong_it() {
        let pulse = pulse();
        pulse.request_begins();
        pulse.bytes_came(1);
        assert_eq!(stalls_after(&pulse).await, 35);
    }
}
