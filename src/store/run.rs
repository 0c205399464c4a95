//! Brings the parts together: bind, read the certificate, serve, drain.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use kube::Client;
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

use super::api::StoreService;
use super::args::StoreArgs;
use super::garbage_collector::Collector;
use super::garbage_collector::lease::LeaderLease;
use super::metrics::StoreMetrics;
use super::signing::VerificationKeys;
use crate::process::{self, Termination, logs};
use crate::server::api_client::{self, ServerVersion};
use crate::server::lifecycle::{self, Drain};
use crate::server::listener::{Limits, Server, ShutdownController, Transport};
use crate::server::liveness::{Heartbeat, Liveness};
use crate::server::readiness::{Part, Readiness};
use crate::server::status;
use crate::server::tls::{CertResolver, Certificate, files};

/// How soon an API server that does not answer at the start is asked again.
const AGAIN: Duration = Duration::from_secs(2);

/// Serves pods until SIGTERM or SIGINT, and drains.
///
/// # Errors
/// Where it cannot start: an address is taken, the certificate cannot be read, there is no cluster to be reached.
pub fn run(args: &StoreArgs) -> anyhow::Result<()> {
    logs::start(&args.logs);
    process::runtime()?.block_on(store(args))
}

async fn store(args: &StoreArgs) -> anyhow::Result<()> {
    let requests = lifecycle::bind(args.listen, "--listen").await?;
    let probes = lifecycle::bind(args.metrics_listen, "--metrics-listen").await?;
    let end = Termination::new()?;
    let (metrics, readiness): (Arc<StoreMetrics>, Arc<Readiness>) = Default::default();
    let liveness = Arc::<Liveness>::default();
    // Noted before the second port answers: what has not begun is not ready.
    readiness.missing(Part::Certificate, "no certificate has been read yet");
    readiness.missing(Part::ApiServer, "the API server has not answered yet");
    let (director, lasting) = (ShutdownController::default(), ShutdownController::default());
    let status_address = probes.local_addr()?;
    let page = status::router(Arc::clone(&metrics), Arc::clone(&readiness), Arc::clone(&liveness));
    lifecycle::serve_status(probes, page, lasting.follower());
    let serving = certificate(args, &metrics)?;
    readiness.in_place(Part::Certificate);
    let verifying = VerificationKeys::follow(args.signing_dir.clone())?;
    let client = api_client::connect()
        .await
        .context("there is no cluster to be reached: run in a pod, or set KUBECONFIG")?;
    tokio::spawn(await_api_server(client.clone(), Arc::clone(&readiness)));
    let beat = liveness.expect("expired Pipes");
    tokio::spawn(remove_expired(args.clone(), client.clone(), Arc::clone(&metrics), beat));
    let server = Server {
        transport: Transport::Tls(TlsAcceptor::from(Arc::new(serving.config(None)?))),
        app: StoreService::new(client, Arc::clone(&metrics), verifying).router(),
        limits: Limits::default(),
        metrics: metrics.server.clone(),
        stage: director.follower(),
    };
    info!(
        address = %requests.local_addr()?,
        status = %status_address,
        version = env!("CARGO_PKG_VERSION"),
        "serving pods"
    );
    let serving = tokio::spawn(server.serve(requests));
    let drain = Drain { delay: args.drain_delay, timeout: args.drain_timeout, requests: "requests" };
    drain.run(end, &director, &readiness, serving).await;
    Ok(())
}

/// Is ready once the API server has answered: without it the store can do nothing.
async fn await_api_server(client: Client, readiness: Arc<Readiness>) {
    while let ServerVersion::None(why) = api_client::version(&client).await {
        warn!("{why}");
        readiness.missing(Part::ApiServer, why);
        tokio::time::sleep(AGAIN).await;
    }
    readiness.in_place(Part::ApiServer);
}

/// Removes the Pipes whose time is over, as long as the process lives.
async fn remove_expired(args: StoreArgs, client: Client, metrics: Arc<StoreMetrics>, beat: Heartbeat) {
    let StoreArgs { lease, holder, expiry_interval: every, patience, .. } = args;
    let namespace = client.default_namespace().to_owned();
    // Not held for the look after next: then the other replicas may take it.
    let claim = LeaderLease::new(client.clone(), &namespace, lease, holder, every * 2);
    Collector { client, claim, every, patience, metrics: &metrics, beat }.run().await;
}

/// Serves with the folder's certificate, and with those that come after it.
fn certificate(args: &StoreArgs, metrics: &StoreMetrics) -> anyhow::Result<Arc<CertResolver>> {
    let folder = args.tls_dir.clone();
    let content = files::CertificateFiles::read(&folder)?;
    let (serving, metrics) = (Arc::<CertResolver>::default(), metrics.server.clone());
    let serve = {
        let serving = Arc::clone(&serving);
        move |certificate: Certificate| {
            metrics.certificate_expires(certificate.facts.not_after.unix_timestamp());
            serving.swap(&certificate);
        }
    };
    serve(content.certificate(&folder)?);
    tokio::spawn(async move { files::watch(&folder, files::EVERY, content, serve).await });
    Ok(serving)
}
