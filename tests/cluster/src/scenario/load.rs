//! Creates pods at a constant rate while a scenario changes the webhook. The pods are dry runs, which pass
//! through admission.

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

/// The interval at which pods are created.
const INTERVAL: Duration = Duration::from_millis(50);

/// A failed review.
#[derive(Debug, Clone)]
pub struct Failure {
    /// When the request was sent.
    pub at: Instant,
    /// The error of the API server, or that the pod was admitted without being injected.
    pub reason: String,
}

/// The results of a load.
#[derive(Debug, Default, Clone)]
pub struct Outcome {
    /// The number of reviews.
    pub reviews: usize,
    /// The failed reviews, in the order of the responses.
    pub failures: Vec<Failure>,
    /// The longest duration of a review, including failed ones.
    pub longest: Duration,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reviews, failures, longest } = self;
        write!(f, "{reviews} reviews, {} failed, longest {} ms", failures.len(), longest.as_millis())?;
        if let Some(first) = failures.first() {
            write!(f, ", first failure: {}", first.reason)?;
        }
        Ok(())
    }
}

/// A load, which runs until it is stopped.
pub struct Load {
    outcome: Arc<Mutex<Outcome>>,
    task: JoinHandle<()>,
}

impl Load {
    /// Creates a pod in `tasks` every 50 ms, without waiting for earlier responses.
    ///
    /// # Errors
    /// If the pod of [`super::release`] cannot be parsed.
    pub fn start(tasks: &Namespace) -> Result<Self> {
        let outcome = Arc::<Mutex<Outcome>>::default();
        let pod: Pod =
            serde_json::from_str(&images::with_registry(&task().to_string())).context("parse the pod")?;
        let (pods, shared_outcome) = (tasks.api::<Pod>(), Arc::clone(&outcome));
        let task = tokio::spawn(async move {
            let mut ticks = interval(INTERVAL);
            // Keeps the rate constant on a machine with other load.
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let mut requests = JoinSet::new();
            loop {
                ticks.tick().await;
                requests.spawn(request_review(pods.clone(), pod.clone(), Arc::clone(&shared_outcome)));
                while requests.try_join_next().is_some() {}
            }
        });
        Ok(Self { outcome, task })
    }

    /// The results so far.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops the load. Reviews without a response do not count.
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

async fn request_review(pods: Api<Pod>, pod: Pod, outcome: Arc<Mutex<Outcome>>) {
    let at = Instant::now();
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let failure = match pods.create(&params, &pod).await {
        Ok(pod) if pod.annotations().contains_key("bootlace.dev/injected") => None,
        Ok(_) => Some("the pod was not injected".to_owned()),
        Err(error) => Some(error.to_string()),
    };
    let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
    outcome.reviews += 1;
    outcome.longest = outcome.longest.max(at.elapsed());
    outcome.failures.extend(failure.map(|reason| Failure { at, reason }));
}
