//! Whether this process leads, that is, holds a Lease, and how long the API server has been answering it.
//!
//! A process that leads keeps its state up to date by watches. After the API server was away, this state can
//! be old: nodes, too, could not report. So a leader waits until the API server has answered for a while
//! ([`Leadership::is_steady`]) before it acts on what it sees.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tracing::{info, warn};

use super::lease::LeaderLease;
use super::liveness::Heartbeat;
use super::watch_errors::describe_api_error;

/// How often the Lease is renewed.
pub const RENEW_INTERVAL: Duration = Duration::from_secs(5);
/// How long the Lease is valid. If the leader is killed, another process leads after this time.
pub const LEASE_DURATION: Duration = Duration::from_secs(15);
/// A leader that could not renew the Lease for this time stops to lead, before another process acquires it.
const GIVE_UP: Duration = Duration::from_secs(10);
/// How long a process tries to give the Lease up when it ends.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);

/// The state of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Term {
    leads: bool,
    /// Since when every renewal has succeeded.
    steady: Option<Instant>,
}

/// Shows if this process leads. Clones share the state.
#[derive(Debug, Clone)]
pub struct Leadership(watch::Receiver<Term>);

/// Renews the Lease.
pub struct Election {
    lease: LeaderLease,
    heartbeat: Heartbeat,
    sender: watch::Sender<Term>,
    renewed: Option<Instant>,
}

impl Leadership {
    /// Waits until this process leads.
    pub async fn gained(&mut self) {
        self.until(true).await;
    }

    /// Waits until this process no longer leads.
    pub async fn lost(&mut self) {
        self.until(false).await;
    }

    async fn until(&mut self, leads: bool) {
        if self.0.wait_for(|term| term.leads == leads).await.is_err() {
            // The election has ended, so the state does not change any more.
            std::future::pending::<()>().await;
        }
    }

    /// Whether this process leads and the API server has answered it for `duration` without a failure.
    #[must_use]
    pub fn is_steady(&self, duration: Duration) -> bool {
        self.steady_at(duration).is_some_and(|at| at <= Instant::now())
    }

    /// When [`Self::is_steady`] becomes true, if the API server continues to answer.
    #[must_use]
    pub fn steady_at(&self, duration: Duration) -> Option<Instant> {
        let term = *self.0.borrow();
        term.steady.filter(|_| term.leads).map(|since| since + duration)
    }
}

impl Election {
    /// An election with `lease`, which is valid for [`LEASE_DURATION`].
    #[must_use]
    pub fn new(lease: LeaderLease, heartbeat: Heartbeat) -> (Self, Leadership) {
        let (sender, receiver) = watch::channel(Term::default());
        (Self { lease, heartbeat, sender, renewed: None }, Leadership(receiver))
    }

    /// Takes part until `end`, and gives the Lease up then.
    pub async fn run(mut self, end: impl Future<Output = ()>) {
        let mut end = std::pin::pin!(end);
        let mut ticks = interval(RENEW_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = &mut end => break,
                _ = ticks.tick() => {}
            }
            self.heartbeat.now();
            tokio::select! {
                () = &mut end => break,
                () = self.renew() => {}
            }
        }
        self.set(Term::default());
        if let Ok(Err(error)) = timeout(RELEASE_TIMEOUT, self.lease.release()).await {
            warn!("{}", describe_api_error("failed to give the Lease up", &error));
        }
    }

    async fn renew(&mut self) {
        // A request that hangs must not keep this process the leader.
        let acquired = timeout(RENEW_INTERVAL, self.lease.try_acquire()).await;
        let (before, now) = (*self.sender.borrow(), Instant::now());
        let term = match acquired {
            Ok(Ok(true)) => {
                self.renewed = Some(now);
                Term { leads: true, steady: before.steady.or(Some(now)) }
            }
            Ok(Ok(false)) => Term::default(),
            failed => {
                if let Ok(Err(error)) = failed {
                    warn!("{}; retrying", describe_api_error("failed to renew the Lease", &error));
                } else {
                    warn!("timed out after {} s renewing the Lease; retrying", RENEW_INTERVAL.as_secs());
                }
                let is_valid = self.renewed.is_some_and(|renewed| now - renewed < GIVE_UP);
                Term { leads: before.leads && is_valid, steady: None }
            }
        };
        self.set(term);
    }

    fn set(&self, term: Term) {
        let before = self.sender.send_replace(term);
        match (before.leads, term.leads) {
            (false, true) => info!("this replica leads"),
            (true, false) => info!("this replica no longer leads"),
            _ => {}
        }
    }
}
