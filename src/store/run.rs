//! The process of the store: bind, read the certificate, serve, drain.

use std::sync::Arc;

use anyhow::Context as _;
use kube::Client;
use tokio_rustls::TlsAcceptor;
use tracing::info;

use super::api::StoreService;
use super::args::StoreArgs;
use super::garbage_collector::Collector;
use super::metrics::StoreMetrics;
use super::progress::ProgressWriter;
use super::signing::VerificationKeys;
use crate::process::{self, Termination, logs};
use crate::server::api_client;
use crate::server::lease::LeaderLease;
use crate::server::lifecycle::{self, Drain};
use crate::server::listener::{Limits, Server, ShutdownController, Transport};
use crate::server::liveness::{Heartbeat, Liveness};
use crate::server::readiness::{Part, Readiness};
use crate::server::status;
use crate::server::tls::{CertResolver, Certificate, files};

/// Serves pods until SIGTERM or SIGINT, and drains.
///
/// # Errors
/// The process cannot start: an address is in use, the certificate is unreadable, or there is no
/// configuration for a cluster.
pub fn run(args: &StoreArgs) -> anyhow::Result<()> {
    logs::start(&args.logs);
    process::runtime()?.block_on(store(args))
}

async fn store(args: &StoreArgs) -> anyhow::Result<()> {
    let requests = lifecycle::bind(args.listen, "--listen").await?;
    let probes = lifecycle::bind(args.metrics_listen, "--metrics-listen").await?;
    let termination = Termination::new()?;
    let (metrics, readiness): (Arc<StoreMetrics>, Arc<Readiness>) = Default::default();
    let liveness = Arc::<Liveness>::default();
    // Set before the status port responds, so that the process is not ready before it has started.
    readiness.missing(Part::Certificate, "no certificate has been read yet");
    readiness.missing(Part::ApiServer, "the API server has not answered yet");
    // The status port is never shut down, so that probes work until the process ends.
    let (shutdown, status_shutdown) = (ShutdownController::default(), ShutdownController::default());
    let status_address = probes.local_addr()?;
    let page = status::router(Arc::clone(&metrics), Arc::clone(&readiness), Arc::clone(&liveness));
    lifecycle::serve_status(probes, page, status_shutdown.follower());
    let resolver = certificate(args, &metrics)?;
    readiness.in_place(Part::Certificate);
    let keys = VerificationKeys::watch(args.signing_dir.clone())?;
    let client = api_client::connect()
        .await
        .context("failed to find the configuration of a cluster: run in a pod, or set KUBECONFIG")?;
    tokio::spawn(api_client::await_answer(client.clone(), Arc::clone(&readiness)));
    let heartbeat = liveness.expect("expired Pipes");
    tokio::spawn(remove_expired(args.clone(), client.clone(), Arc::clone(&metrics), heartbeat));
    let progress = ProgressWriter::new(args.allow_progress);
    let server = Server {
        transport: Transport::Tls(TlsAcceptor::from(Arc::new(resolver.config(None)?))),
        app: StoreService::new(client, Arc::clone(&metrics), keys, progress).router(),
        limits: Limits::default(),
        metrics: metrics.server.clone(),
        stage: shutdown.follower(),
    };
    info!(
        address = %requests.local_addr()?,
        status = %status_address,
        version = env!("CARGO_PKG_VERSION"),
        "serving pods"
    );
    let serving = tokio::spawn(server.serve(requests));
    let drain = Drain { delay: args.drain_delay, timeout: args.drain_timeout, requests: "requests" };
    drain.run(termination, &shutdown, &readiness, serving).await;
    Ok(())
}

/// Removes expired Pipes until the process ends.
async fn remove_expired(args: StoreArgs, client: Client, metrics: Arc<StoreMetrics>, heartbeat: Heartbeat) {
    let StoreArgs { lease, holder, expiry_interval: interval, patience: grace_period, .. } = args;
    let namespace = client.default_namespace().to_owned();
    // If this replica misses two sweeps, another one can acquire the Lease.
    let lease = LeaderLease::new(client.clone(), &namespace, lease, holder, interval * 2);
    Collector { client, lease, interval, grace_period, metrics: &metrics, heartbeat }.run().await;
}

/// Serves with the certificate in the folder, which is reloaded when it changes.
fn certificate(args: &StoreArgs, metrics: &StoreMetrics) -> anyhow::Result<Arc<CertResolver>> {
    let folder = args.tls_dir.clone();
    let content = files::CertificateFiles::read(&folder)?;
    let (resolver, metrics) = (Arc::<CertResolver>::default(), metrics.server.clone());
    let serve = {
        let resolver = Arc::clone(&resolver);
        move |certificate: Certificate| {
            metrics.certificate_expires(certificate.facts.not_after.unix_timestamp());
            resolver.swap(&certificate);
        }
    };
    serve(content.certificate(&folder)?);
    tokio::spawn(async move { files::watch(&folder, files::EVERY, content, serve).await });
    Ok(resolver)
}
