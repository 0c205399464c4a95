//! The timeouts of a connection: a stalled request is ended soon, but an idle connection is kept.
//!
//! The `header_read_timeout` of hyper also applies to idle connections. A short one would close connections
//! that the API server wants to reuse, and a long one would let a caller send the head of a request byte by
//! byte.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Duration, Instant};

use super::Limits;

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
    phase: Mutex<(Phase, Instant)>,
    /// Bytes of requests without a response.
    pending_bytes: AtomicUsize,
    /// Bytes of requests without a response, of all connections.
    pending_bytes_of_all: Arc<AtomicUsize>,
    closed: AtomicBool,
    close: Notify,
}

impl IdleTimer {
    /// The timer of a new connection, whose bytes are also added to `pending_bytes_of_all`.
    pub(super) fn new(limits: Limits, peer: IpAddr, pending_bytes_of_all: Arc<AtomicUsize>) -> Arc<Self> {
        Arc::new(Self {
            limits,
            peer,
            phase: Mutex::new((Phase::Fresh, Instant::now())),
            pending_bytes: AtomicUsize::new(0),
            pending_bytes_of_all,
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

    /// Records received bytes. Their limit is that of all connections, see [`super::open`].
    pub(super) fn record_bytes(&self, bytes: usize) {
        let mut phase = self.phase.lock();
        if matches!(phase.0, Phase::Fresh | Phase::Idle) {
            *phase = (Phase::Head, Instant::now());
        }
        drop(phase);
        // The sum first, so that it is never less than its parts.
        self.pending_bytes_of_all.fetch_add(bytes, Ordering::Relaxed);
        self.pending_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Releases the bytes of this connection.
    pub(super) fn release(&self) {
        let released = self.pending_bytes.swap(0, Ordering::Relaxed);
        self.pending_bytes_of_all.fetch_sub(released, Ordering::Relaxed);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        let seconds = Duration::from_secs;
        Limits { head: seconds(10), request: seconds(35), idle: seconds(180), ..Limits::default() }
    }

    fn timer() -> Arc<IdleTimer> {
        IdleTimer::new(limits(), std::net::Ipv4Addr::LOCALHOST.into(), Arc::default())
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
        timer.record_bytes(1);
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
            timer.record_bytes(1);
        };
        let (after, ()) = tokio::join!(stalls_after(&timer), begins);
        assert!((105..=115).contains(&after), "{after}");
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_of_a_request_that_is_being_read_do_not_prolong_it() {
        let timer = timer();
        timer.request_begins();
        timer.record_bytes(1);
        assert_eq!(stalls_after(&timer).await, 35);
    }
}
