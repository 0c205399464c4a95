//! The timeouts of a connection: a stalled request is ended soon, but an idle connection is kept.
//!
//! The `header_read_timeout` of hyper also applies to idle connections. A short one would close connections
//! that the API server wants to reuse, and a long one would let a caller send the head of a request byte by
//! byte.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Duration, Instant};

use super::Limits;
use super::open::Connections;

/// The phase of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// New, or in the handshake. Go's client opens connections in advance, and may never use one.
    Fresh,
    /// Between requests.
    Idle,
    /// Receiving the head of a request.
    Head,
    /// Receiving the body of a request.
    Body,
    /// Processing a request.
    Answer,
}

/// A connection that waits for its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waits {
    /// When it started to wait.
    pub(super) since: Instant,
    /// Whether it is receiving a request.
    pub(super) in_request: bool,
}

/// The phase of a connection and its start, the address of the caller, and the bytes of pending requests.
#[derive(Debug)]
pub(super) struct IdleTimer {
    limits: Limits,
    peer: IpAddr,
    connections: Arc<Connections>,
    phase: Mutex<(Phase, Instant)>,
    /// Bytes of requests without a response.
    pending_bytes: AtomicUsize,
    closed: AtomicBool,
    close: Notify,
}

impl IdleTimer {
    /// The timer of a new connection.
    pub(super) fn new(limits: Limits, peer: IpAddr, connections: Arc<Connections>) -> Arc<Self> {
        Arc::new(Self {
            limits,
            peer,
            connections,
            phase: Mutex::new((Phase::Fresh, Instant::now())),
            pending_bytes: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            close: Notify::new(),
        })
    }

    /// The address of the caller.
    pub(super) fn peer(&self) -> IpAddr {
        self.peer
    }

    /// Bytes of requests without a response.
    pub(super) fn pending_bytes(&self) -> usize {
        self.pending_bytes.load(Ordering::Relaxed)
    }

    /// Records received bytes.
    pub(super) fn bytes_received(&self, bytes: usize) {
        let mut phase = self.phase.lock();
        if matches!(phase.0, Phase::Fresh | Phase::Idle) {
            *phase = (Phase::Head, Instant::now());
        }
        drop(phase);
        self.connections.received(bytes, &self.pending_bytes);
    }

    /// Releases the bytes of this connection.
    pub(super) fn release(&self) {
        self.connections.released(self.pending_bytes.swap(0, Ordering::Relaxed));
    }

    /// Whether no bytes were received on the connection yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.phase.lock().0 == Phase::Fresh
    }

    /// The head of a request is complete.
    pub(super) fn request_begins(&self) {
        *self.phase.lock() = (Phase::Body, Instant::now());
    }

    /// The body is complete. The timeout of the request still counts from the end of the head.
    pub(super) fn body_ends(&self) {
        self.phase.lock().0 = Phase::Answer;
    }

    /// The response is ready.
    pub(super) fn request_ends(&self) {
        *self.phase.lock() = (Phase::Idle, Instant::now());
        self.release();
    }

    /// Since when the connection has waited for its caller; `None` if a request is being processed, or the
    /// connection is being closed.
    pub(super) fn waits_for_caller(&self) -> Option<Waits> {
        let (phase, since) = *self.phase.lock();
        let waits = phase != Phase::Answer && !self.is_closed();
        waits.then_some(Waits { since, in_request: matches!(phase, Phase::Head | Phase::Body) })
    }

    /// Closes the connection. Its bytes are released at once, so that no other connection is closed because
    /// of them.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.release();
        self.close.notify_one();
    }

    /// Whether the connection is being closed.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Waits until the connection must be closed.
    pub(super) async fn closed(&self) {
        while !self.is_closed() {
            self.close.notified().await;
        }
    }

    fn deadline(&self) -> Instant {
        let (phase, since) = *self.phase.lock();
        let limit = match phase {
            Phase::Fresh | Phase::Idle => self.limits.idle,
            Phase::Head => self.limits.head,
            Phase::Body | Phase::Answer => self.limits.request,
        };
        since + limit
    }

    /// Waits until the connection exceeds its timeout. Polls instead of resetting a timer in each phase,
    /// which would make every request slower. So it can be late by the shortest timeout.
    pub(super) async fn stalled(&self) {
        let interval = self.limits.head.min(self.limits.request).max(Duration::from_millis(1));
        loop {
            let (now, deadline) = (Instant::now(), self.deadline());
            if deadline <= now {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep_until(deadline.min(now + interval)) => {}
                () = self.closed() => return,
            }
        }
    }
}

/// A request body that notifies the timer when it is complete.
pub(super) struct TimedBody<B> {
    body: B,
    timer: Arc<IdleTimer>,
}

impl<B: Body> TimedBody<B> {
    pub(super) fn new(body: B, timer: Arc<IdleTimer>) -> Self {
        if body.is_end_stream() {
            timer.body_ends();
        }
        Self { body, timer }
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
            self.timer.body_ends();
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

/// A stream that notifies the timer when it receives bytes.
pub(super) struct TimedStream<S> {
    stream: S,
    timer: Arc<IdleTimer>,
}

impl<S> TimedStream<S> {
    pub(super) fn new(stream: S, timer: Arc<IdleTimer>) -> Self {
        Self { stream, timer }
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
        let received = buf.filled().len() - before;
        if received > 0 {
            self.timer.bytes_received(received);
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

    fn timer() -> Arc<IdleTimer> {
        IdleTimer::new(limits(), std::net::Ipv4Addr::LOCALHOST.into(), Connections::new(limits()))
    }

    /// Time is paused in these tests: the clock jumps to the next timer.
    async fn stalls_after(timer: &IdleTimer) -> u64 {
        let from = Instant::now();
        timer.stalled().await;
        (Instant::now() - from).as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn each_phase_has_a_timeout() {
        let timer = timer();
        assert!(timer.is_fresh());
        assert_eq!(stalls_after(&timer).await, 180);
        timer.bytes_received(1);
        assert!(!timer.is_fresh());
        assert_eq!(stalls_after(&timer).await, 10);
        timer.request_begins();
        assert_eq!(stalls_after(&timer).await, 35);
        timer.request_ends();
        assert_eq!(stalls_after(&timer).await, 180);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_begins_while_idle_has_the_timeout_of_a_head() {
        let timer = timer();
        timer.request_ends();
        let begins = async {
            tokio::time::sleep(Duration::from_secs(95)).await;
            timer.bytes_received(1);
        };
        let (after, ()) = tokio::join!(stalls_after(&timer), begins);
        assert!((105..=115).contains(&after), "{after}");
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_of_a_request_that_is_being_read_do_not_prolong_it() {
        let timer = timer();
        timer.request_begins();
        timer.bytes_received(1);
        assert_eq!(stalls_after(&timer).await, 35);
    }
}
