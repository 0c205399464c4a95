//! Brings the parts together: bind, read the certificate, serve, drain.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use kube::Client;
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

use super::api::Service;
use super::args::Args;
use super::expiry::Sweeper;
use super::expiry::lease::Claim;
use super::metrics::Metrics;
use super::signing::Verifying;
use crate::server::client::{self, Answer};
use crate::server::listener::{Director, Limits, Server, Transport};
use crate::server::liveness::{Beat, Liveness};
use crate::server::process::{self, Drain, End};
use crate::server::readiness::{Part, Readiness};
use crate::server::tls::{Certificate, Serving, files};
use crate::server::{logs, status};

/// How soon an API server that does not answer at the start is asked again.
const AGAIN: Duration = Duration::from_secs(2);

/// Serves pods until SIGTERM or SIGINT, and drains.
///
/// # Errors
/// Where it cannot start: an address is taken, the certificate cannot be read, there is no cluster to be reached.
pub fn run(args: &Args) -> anyhow::Result<()> {
    logs::start(&args.logs);
    process::runtime()?.block_on(store(args))
}

async fn store(args: &Args) -> anyhow::Result<()> {
    let requests = process::bind(args.listen, "--listen").await?;
    let probes = process::bind(args.metrics_listen, "--metrics-listen").await?;
    let end = End::new()?;
    let (metrics, readiness): (Arc<Metrics>, Arc<Readiness>) = Default::default();
    let liveness = Arc::<Liveness>::default();
    // Noted before the second port answers: what has not begun is not ready.
    readiness.missing(Part::Certificate, "no certificate has been read yet");
    readiness.missing(Part::ApiServer, "the API server has not answered yet");
    let (director, lasting) = (Director::default(), Director::default());
    let status_address = probes.local_addr()?;
    let page = status::router(Arc::clone(&metrics), Arc::clone(&readiness), Arc::clone(&liveness));
    process::serve_status(probes, page, lasting.follower());
    let serving = certificate(args, &metrics)?;
    readiness.in_place(Part::Certificate);
    let verifying = Verifying::follow(args.signing_dir.clone())?;
    let client = client::connect()
        .await
        .context("there is no cluster to be reached: run in a pod, or set KUBECONFIG")?;
    tokio::spawn(await_api_server(client.clone(), Arc::clone(&readiness)));
    let beat = liveness.expect("expired Pipes");
    tokio::spawn(remove_expired(args.clone(), client.clone(), Arc::clone(&metrics), beat));
    let server = Server {
        transport: Transport::Tls(TlsAcceptor::from(Arc::new(serving.config(None)?))),
        app: Service::new(client, Arc::clone(&metrics), verifying).router(),
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
    drain.at(end, &director, &readiness, serving).await;
    Ok(())
}

/// Is ready once the API server has answered: without it the store can do nothing.
async fn await_api_server(client: Client, readiness: Arc<Readiness>) {
    while let Answer::None(why) = client::version(&client).await {
        warn!("{why}");
        readiness.missing(Part::ApiServer, why);
        tokio::time::sleep(AGAIN).await;
    }
    readiness.in_place(Part::ApiServer);
}

/// Removes the Pipes whose time is over, as long as the process lives.
async fn remove_expired(args: Args, client: Client, metrics: Arc<Metrics>, beat: Beat) {
    let Args { lease, holder, expiry_interval: every, patience, .. } = args;
    let namespace = client.default_namespace().to_owned();
    // Not held for the look after next: then the other replicas may take it.
    let claim = Claim::new(client.clone(), &namespace, lease, holder, every * 2);
    Sweeper { client, claim, every, patience, metrics: &metrics, beat }.run().await;
}

/// Serves with the folder's certificate, and with those that come after it.
fn certificate(args: &Args, metrics: &Metrics) -> anyhow::Result<Arc<Serving>> {
    let folder = args.tls_dir.clone();
    let content = files::Files::read(&folder)?;
    let (serving, metrics) = (Arc::<Serving>::default(), metrics.server.clone());
    let serve = {
        let serving = Arc::clone(&serving);
        move |certificate: Certificate| {
            metrics.certificate_expires(certificate.facts.not_after.unix_timestamp());
            serving.swap(&certificate);
        }
    };
    serve(content.certificate(&folder)?);
    tokio::spawn(async move { files::follow(&folder, files::EVERY, content, serve).await });
    Ok(serving)
}
