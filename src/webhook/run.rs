//! Brings the parts together: bind, prepare, serve, drain.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use kube::{Api, Client};
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

use super::args::Args;
use super::listener::{Director, Limits, Server, Stage, Transport};
use super::metrics::Metrics;
use super::profiles::{self, InForce};
use super::readiness::{Part, Readiness};
use super::reviews::Reviews;
use super::tls::{self, Certificate, Names, Serving, authority, configuration, files, secret};
use super::{logs, status};
use crate::plan::Version;
use crate::profile::folder;

/// Serves reviews until SIGTERM or SIGINT, and drains.
///
/// # Errors
/// Where it cannot start: an address is taken, a file cannot be read, there is no cluster to be reached.
pub fn run(args: &Args) -> anyhow::Result<()> {
    logs::start(&args.logs);
    // kube's client takes the process's provider; a second install, as in tests, changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    runtime().context("no thread can be started")?.block_on(webhook(args))
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// What the parts share.
struct Shared {
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
    serving: Arc<Serving>,
    profiles: Arc<InForce>,
}

async fn webhook(args: &Args) -> anyhow::Result<()> {
    // Bound before anything else is begun: an address that is taken is told at once, and a caller that comes
    // early waits instead of being refused.
    let reviews = bind(args.listen, "--listen").await?;
    let probes = bind(args.metrics_listen, "--metrics-listen").await?;
    let mut end = End::new()?;
    let shared = Shared {
        metrics: Arc::default(),
        readiness: Arc::default(),
        serving: Arc::default(),
        profiles: match args.profiles {
            Some(_) => InForce::without_namespaces(args.settings()),
            None => InForce::new(args.settings()),
        },
    };
    let (director, lasting) = (Director::default(), Director::default());
    let status = Server {
        transport: Transport::Plain,
        app: status::router(Arc::clone(&shared.metrics), Arc::clone(&shared.readiness)),
        limits: Limits::of_status(),
        // Of its own, not counted: callers are the kubelet and Prometheus.
        metrics: Arc::default(),
        // It outlasts the drain, which it tells of.
        stage: lasting.follower(),
    };
    let status_address = probes.local_addr()?;
    tokio::spawn(status.serve(probes));
    prepare(args, &shared).await?;

    let app = Reviews::new(Arc::clone(&shared.profiles), Arc::clone(&shared.metrics)).router();
    let server = Server {
        transport: Transport::Tls(TlsAcceptor::from(Arc::new(shared.serving.config()?))),
        app,
        limits: Limits::default(),
        metrics: Arc::clone(&shared.metrics),
        stage: director.follower(),
    };
    info!(
        address = %reviews.local_addr()?,
        status = %status_address,
        version = env!("CARGO_PKG_VERSION"),
        "serving reviews"
    );
    let serving = tokio::spawn(server.serve(reviews));
    let said = end.said().await;

    let (delay, limit) = (args.drain_delay(), args.drain_timeout);
    info!("{said}: draining for {} s", delay.as_secs_f64());
    shared.readiness.missing(Part::Process, "the process is ending");
    director.enter(Stage::Draining);
    end.after(delay).await;
    director.enter(Stage::Closing);
    match tokio::time::timeout(limit, serving).await {
        Ok(_) => info!("all reviews are answered"),
        Err(_) => {
            warn!("reviews were left unanswered after {} s: raise --drain-timeout", limit.as_secs_f64());
        }
    }
    Ok(())
}

async fn bind(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}: give another address with {flag}"))
}

/// Gets profiles and a certificate, or begins to watch for them.
async fn prepare(args: &Args, shared: &Shared) -> anyhow::Result<()> {
    if let Some(folder) = &args.tls_dir {
        follow_files(folder.clone(), shared)?;
    }
    if let Some(folder) = &args.profiles {
        let profiles = folder::read(folder)?;
        shared.metrics.profiles(profiles.iter().count(), 0);
        shared.profiles.swap(profiles)?;
        return if args.tls_dir.is_some() { Ok(()) } else { make_certificate(args, shared) };
    }
    let client = Client::try_default().await.context(
        "there is no cluster to be reached: run in a pod, set KUBECONFIG, or run without one with --profiles",
    )?;
    match client.apiserver_version().await.map(|info| Version::read(&info.major, &info.minor)) {
        Ok(Some(version)) => shared.profiles.know(version),
        // Pods that depend on it are told with a warning that it is not known.
        Ok(None) => warn!("the API server does not tell its version"),
        Err(error) => warn!(%error, "the API server's version cannot be had"),
    }
    shared.readiness.missing(Part::Profiles, "no BootProfiles have been listed yet");
    shared.readiness.missing(Part::Namespaces, "no namespaces have been listed yet");
    tokio::spawn(profiles::namespaces::watch(
        client.clone(),
        Arc::clone(&shared.profiles),
        Arc::clone(&shared.readiness),
    ));
    tokio::spawn(profiles::watch::watch(
        client.clone(),
        Arc::clone(&shared.profiles),
        Arc::clone(&shared.readiness),
        Arc::clone(&shared.metrics),
    ));
    if let (Some(secret), Some(service)) = (&args.tls_secret, &args.service) {
        keep_secret(args, shared, &client, secret, service);
    }
    Ok(())
}

fn keep_secret(args: &Args, shared: &Shared, client: &Client, secret: &str, service: &str) {
    let namespace = args.namespace.as_deref().unwrap_or_else(|| client.default_namespace());
    let (bundle, bundles) = watch::channel(None);
    shared.readiness.missing(Part::Certificate, format!("Secret {secret} has not been read yet"));
    let keeper = secret::Keeper {
        api: Api::namespaced(client.clone(), namespace),
        name: secret.to_owned(),
        names: Names::of_service(service, namespace),
        serving: Arc::clone(&shared.serving),
        bundle,
        readiness: Arc::clone(&shared.readiness),
        metrics: Arc::clone(&shared.metrics),
    };
    tokio::spawn(keeper.keep());
    if let Some(name) = args.configuration.clone() {
        let why = format!("caBundle of MutatingWebhookConfiguration {name} is not set yet");
        shared.readiness.missing(Part::CaBundle, why);
        let readiness = Arc::clone(&shared.readiness);
        let keeper =
            configuration::Keeper::new(client, name, (namespace, secret.to_owned()), bundles, readiness);
        tokio::spawn(keeper.keep());
    }
}

fn follow_files(folder: std::path::PathBuf, shared: &Shared) -> anyhow::Result<()> {
    let content = files::Files::read(&folder)?;
    serve(shared, &content.certificate(&folder)?);
    let (serving, metrics) = (Arc::clone(&shared.serving), Arc::clone(&shared.metrics));
    tokio::spawn(async move {
        let changed = |certificate: Certificate| {
            metrics.certificate_expires(certificate.facts.not_after.unix_timestamp());
            serving.swap(&certificate);
        };
        files::follow(&folder, files::EVERY, content, changed).await;
    });
    Ok(())
}

fn make_certificate(args: &Args, shared: &Shared) -> anyhow::Result<()> {
    let now = OffsetDateTime::now_utc();
    let issued = authority::issue(&Names::of_loopback(), now, tls::Lifetimes::default())?;
    serve(shared, &Certificate::from_pem(issued.cert.as_bytes(), issued.key.as_bytes())?);
    if let Some(file) = &args.ca_out {
        std::fs::write(file, &issued.ca_cert).with_context(|| {
            format!("{} cannot be written: give another file with --ca-out", file.display())
        })?;
    }
    Ok(())
}

fn serve(shared: &Shared, certificate: &Certificate) {
    shared.metrics.certificate_expires(certificate.facts.not_after.unix_timestamp());
    shared.serving.swap(certificate);
}

/// The signals that end the process.
struct End {
    terminate: Signal,
    interrupt: Signal,
}

impl End {
    fn new() -> anyhow::Result<Self> {
        let signal = |kind| signal(kind).context("signals cannot be waited for");
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn said(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// Waits for `delay`, or for somebody who cannot wait: a second signal.
    async fn after(&mut self, delay: std::time::Duration) {
        tokio::select! {
            _ = self.said() => {}
            () = tokio::time::sleep(delay) => {}
        }
    }
}
