//! The process of the monitor: bind, take part in the election, and run the controllers while it leads.

use std::sync::Arc;

use anyhow::Context as _;
use k8s_openapi::jiff::Timestamp;
use tokio::sync::oneshot;
use tracing::info;

use super::aborts::AbortMonitor;
use super::args::MonitorArgs;
use super::launch::LaunchMonitor;
use super::launch::kept::Kept;
use super::metrics::MonitorMetrics;
use super::replica::Replica;
use crate::process::{self, Termination, logs};
use crate::server::api_client;
use crate::server::leadership::{Election, LEASE_DURATION};
use crate::server::lease::LeaderLease;
use crate::server::lifecycle;
use crate::server::listener::ShutdownController;
use crate::server::liveness::Liveness;
use crate::server::readiness::{Part, Readiness};
use crate::server::status;

/// Runs until SIGTERM or SIGINT, and gives the Lease up.
///
/// # Errors
/// The process cannot start: the address is in use, or there is no configuration for a cluster.
pub fn run(args: &MonitorArgs) -> anyhow::Result<()> {
    logs::start(&args.logs);
    process::runtime()?.block_on(monitor(args))
}

async fn monitor(args: &MonitorArgs) -> anyhow::Result<()> {
    let probes = lifecycle::bind(args.metrics_listen, "--metrics-listen").await?;
    let mut termination = Termination::new()?;
    let (metrics, readiness): (Arc<MonitorMetrics>, Arc<Readiness>) = Default::default();
    let liveness = Arc::<Liveness>::default();
    readiness.missing(Part::ApiServer, "the API server has not answered yet");
    // The status port is never shut down, so that probes work until the process ends.
    let status_shutdown = ShutdownController::default();
    let address = probes.local_addr()?;
    let page = status::router(Arc::clone(&metrics), Arc::clone(&readiness), Arc::clone(&liveness));
    lifecycle::serve_status(probes, page, status_shutdown.follower());
    let client = api_client::connect()
        .await
        .context("failed to find the configuration of a cluster: run in a pod, or set KUBECONFIG")?;
    tokio::spawn(api_client::await_answer(client.clone(), Arc::clone(&readiness)));
    let namespace = client.default_namespace().to_owned();
    let lease =
        LeaderLease::new(client.clone(), &namespace, args.lease.clone(), args.holder.clone(), LEASE_DURATION);
    let (election, leadership) = Election::new(lease, liveness.expect("the Lease"));
    let (end, ended) = oneshot::channel::<()>();
    let election = tokio::spawn(election.run(async move { drop(ended.await) }));
    let replica = Replica {
        client,
        metrics,
        leadership,
        settle: args.settle_time,
        instance: args.holder.clone(),
        clock: Arc::new(Timestamp::now),
    };
    let controllers = tokio::spawn(lead(replica, namespace, liveness));
    info!(status = %address, version = env!("CARGO_PKG_VERSION"), "monitoring pods");
    let signal = termination.recv().await;
    info!("{signal}: giving the Lease up");
    readiness.missing(Part::Process, "the process is shutting down");
    // First the controllers, so that another replica does not lead at the same time.
    controllers.abort();
    let _ = end.send(());
    election.await.context("the election has failed")
}

/// Runs the controllers whenever this replica leads, until this future is dropped. Diagnoses are kept in
/// `namespace`.
pub async fn lead(replica: Replica, namespace: String, liveness: Arc<Liveness>) {
    let mut leadership = replica.leadership.clone();
    let metrics = Arc::clone(&replica.metrics);
    let kept = Kept::new(replica.client.clone(), &namespace);
    let (aborts, launch) = (AbortMonitor(replica.clone()), LaunchMonitor { replica, kept });
    loop {
        leadership.gained().await;
        metrics.leads(true);
        let beats = ["pods that have not started", "expired diagnoses", "aborts that are left"]
            .map(|name| liveness.expect(name));
        let [pods, diagnoses, left] = &beats;
        tokio::select! {
            // Each controller runs until it is dropped.
            () = launch.run(pods) => {}
            () = launch.kept.run(|| (launch.replica.clock)(), diagnoses) => {}
            () = aborts.run(left) => {}
            () = leadership.lost() => {}
        }
        metrics.leads(false);
        for beat in beats {
            beat.end();
        }
    }
}
