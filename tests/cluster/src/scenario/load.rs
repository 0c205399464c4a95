//! Reviews at a constant rate, while something happens to the webhook: pods that are created as dry runs, which go the whole
//! way through admission.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::{Api, ResourceExt};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Namespace;
use super::release::task;
use crate::images;

/// How often a pod is created.
const EVERY: Duration = Duration::from_millis(50);

/// A review that failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// When it was asked for.
    pub at: Instant,
    /// What the API server said, or that the pod was let through without being injected.
    pub why: String,
}

/// What came of a load.
#[derive(Debug, Default, Clone)]
pub struct Outcome {
    /// All reviews.
    pub reviews: usize,
    /// Those that failed, in the order of their answers.
    pub failures: Vec<Failure>,
    /// The longest that one took, failed ones included.
    pub longest: Duration,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reviews, failures, longest } = self;
        write!(f, "{reviews} reviews, {} failed, longest {} ms", failures.len(), longest.as_millis())?;
        if let Some(first) = failures.first() {
            write!(f, ", first: {}", first.why)?;
        }
        Ok(())
    }
}

/// A load that goes on until it is stopped.
pub struct Load {
    outcome: Arc<Mutex<Outcome>>,
    task: JoinHandle<()>,
}

impl Load {
    /// Creates a pod in `tasks` every 50 ms, whether or not the one before has been answered.
    ///
    /// # Errors
    /// Never, as long as the pod of [`super::release`] can be read.
    pub fn start(tasks: &Namespace) -> Result<Self> {
        let outcome = Arc::<Mutex<Outcome>>::default();
        let pod: Pod =
            serde_json::from_str(&images::with_registry(&task().to_string())).context("read the pod")?;
        let (pods, told) = (tasks.api::<Pod>(), Arc::clone(&outcome));
        let task = tokio::spawn(async move {
            let mut ticks = interval(EVERY);
            // A machine that has much else to do catches up.
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let mut asked = JoinSet::new();
            loop {
                ticks.tick().await;
                asked.spawn(ask(pods.clone(), pod.clone(), Arc::clone(&told)));
                while asked.try_join_next().is_some() {}
            }
        });
        Ok(Self { outcome, task })
    }

    /// What has come of it so far.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends it. Reviews that are not answered yet do not count.
    #[must_use]
    pub fn stop(self) -> Outcome {
        self.outcome()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn ask(pods: Api<Pod>, pod: Pod, outcome: Arc<Mutex<Outcome>>) {
    let at = Instant::now();
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let failed = match pods.create(&params, &pod).await {
        Ok(pod) if pod.annotations().contains_key("bootlace.dev/injected") => None,
        Ok(_) => Some("the pod was not injected".to_owned()),
        Err(error) => Some(error.to_string()),
    };
    let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
    outcome.reviews += 1;
    outcome.longest = outcome.longest.max(at.elapsed());
    outcome.failures.extend(failed.map(|why| Failure { at, why }));
}
