//! Brings the parts together: bind, prepare, serve, drain.

use std::sync::Arc;

use anyhow::Context as _;
use kube::{Api, Client};
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

use super::args::WebhookArgs;
use super::lookups::Lookups;
use super::lookups::PipeLookup;
use super::metrics::WebhookMetrics;
use super::profiles::{self, ActiveProfiles};
use super::reviews::Reviews;
use super::{signing, store_ca, version};
use crate::process::{self, Termination, logs};
use crate::profile_files;
use crate::server::api_client;
use crate::server::lifecycle::{self, Drain};
use crate::server::listener::{Limits, Server, ShutdownController, Transport};
use crate::server::liveness::Liveness;
use crate::server::readiness::{Part, Readiness};
use crate::server::status;
use crate::server::tls::{
    self, CertResolver, Certificate, ClientVerifier, Names, authority, ca_bundle, ca_secret, files,
    leaf_secret, rotation,
};

/// Serves reviews until SIGTERM or SIGINT, and drains.
///
/// # Errors
/// Where it cannot start: an address is taken, a file cannot be read, there is no cluster to be reached.
pub fn run(args: &WebhookArgs) -> anyhow::Result<()> {
    logs::start(&args.logs);
    process::runtime()?.block_on(webhook(args))
}

/// What the parts share.
struct Shared {
    metrics: Arc<WebhookMetrics>,
    readiness: Arc<Readiness>,
    liveness: Arc<Liveness>,
    serving: Arc<CertResolver>,
    profiles: Arc<ActiveProfiles>,
}

async fn webhook(args: &WebhookArgs) -> anyhow::Result<()> {
    // Bound before anything else is begun: an address that is taken is told at once, and a caller that comes
    // early waits instead of being refused.
    let reviews = lifecycle::bind(args.listen, "--listen").await?;
    let probes = lifecycle::bind(args.metrics_listen, "--metrics-listen").await?;
    let end = Termination::new()?;
    let shared = Shared {
        metrics: Arc::default(),
        readiness: Arc::default(),
        liveness: Arc::default(),
        serving: Arc::default(),
        profiles: match args.profiles {
            Some(_) => ActiveProfiles::without_namespaces(args.settings()),
            None => ActiveProfiles::new(args.settings()),
        },
    };
    // Noted before the second port answers: what has not begun is not ready.
    await_parts(args, &shared);
    // The second port outlasts the drain, which it tells of.
    let (director, lasting) = (ShutdownController::default(), ShutdownController::default());
    let status_address = probes.local_addr()?;
    let page = status::router(
        Arc::clone(&shared.metrics),
        Arc::clone(&shared.readiness),
        Arc::clone(&shared.liveness),
    );
    lifecycle::serve_status(probes, page, lasting.follower());
    let client = prepare(args, &shared).await?;
    let lookups = Lookups {
        images: args.entrypoints.lookup(client.clone(), shared.metrics.entrypoints.clone())?,
        pipes: client.map_or_else(PipeLookup::nowhere, PipeLookup::new),
    };

    let clients = args.client_ca.clone().map(ClientVerifier::watch).transpose()?;
    let reviews_of =
        Reviews::new(Arc::clone(&shared.profiles), Arc::clone(&shared.metrics), Arc::new(lookups));
    let app = reviews_of.for_callers(args.callers()).router();
    let server = Server {
        transport: Transport::Tls(TlsAcceptor::from(Arc::new(shared.serving.config(clients)?))),
        app,
        limits: Limits::default(),
        metrics: shared.metrics.server.clone(),
        stage: director.follower(),
    };
    info!(
        address = %reviews.local_addr()?,
        status = %status_address,
        version = env!("CARGO_PKG_VERSION"),
        "serving reviews"
    );
    let serving = tokio::spawn(server.serve(reviews));
    let drain = Drain { delay: args.drain_delay(), timeout: args.drain_timeout, requests: "reviews" };
    drain.run(end, &director, &shared.readiness, serving).await;
    Ok(())
}

/// Notes what has to be in place before the first review can be answered.
fn await_parts(args: &WebhookArgs, shared: &Shared) {
    let missing = |part, why: &str| shared.readiness.missing(part, why);
    missing(Part::Profiles, "no BootProfiles have been listed yet");
    match &args.tls_secret {
        Some(secret) => missing(Part::Certificate, &format!("Secret {secret} has not been read yet")),
        None => missing(Part::Certificate, "no certificate has been read yet"),
    }
    if let Some(name) = &args.configuration {
        let why = format!("caBundle of MutatingWebhookConfiguration {name} is not set yet");
        missing(Part::CaBundle, &why);
    }
    if args.store_url.is_some() {
        shared.profiles.await_store();
        missing(Part::Store, "the store's CA has not been read yet");
    }
    if let Some(secret) = &args.signing_secret {
        shared.profiles.await_keys();
        missing(Part::Keys, &format!("Secret {secret} has not been read yet"));
    }
    if args.profiles.is_none() {
        shared.profiles.await_version();
        missing(Part::ApiServer, "the API server has not answered yet");
        missing(Part::Namespaces, "no namespaces have been listed yet");
    }
}

/// Gets profiles and a certificate, or begins to watch for them. Returns the client of the cluster, where there is one.
async fn prepare(args: &WebhookArgs, shared: &Shared) -> anyhow::Result<Option<Client>> {
    if let Some(folder) = &args.tls_dir {
        follow_files(folder.clone(), shared)?;
    }
    if let (Some(url), Some(file)) = (&args.store_url, &args.store_ca) {
        store_ca::follow_file(url.clone(), file.clone(), &shared.profiles, &shared.readiness)?;
    }
    if let Some(folder) = &args.profiles {
        let profiles = profile_files::read(folder)?;
        for (name, problem) in profiles.not_in_force() {
            warn!(profile = name, problem, "BootProfile is not in force");
        }
        shared.metrics.profiles(profiles.iter().count(), profiles.not_in_force().count());
        shared.profiles.swap(profiles)?;
        shared.readiness.in_place(Part::Profiles);
        if args.tls_dir.is_none() {
            make_certificate(args, shared)?;
        }
        return Ok(None);
    }
    let client = api_client::connect().await.context(
        "there is no cluster to be reached: run in a pod, set KUBECONFIG, or run without one with --profiles",
    )?;
    tokio::spawn(version::watch(
        client.clone(),
        version::EVERY,
        Arc::clone(&shared.profiles),
        Arc::clone(&shared.readiness),
        shared.liveness.expect("the API server's version"),
    ));
    tokio::spawn(profiles::namespaces::watch(
        client.clone(),
        Arc::clone(&shared.profiles),
        Arc::clone(&shared.readiness),
        shared.liveness.expect("namespaces"),
    ));
    tokio::spawn(profiles::watch::watch(
        client.clone(),
        Arc::clone(&shared.profiles),
        Arc::clone(&shared.readiness),
        Arc::clone(&shared.metrics),
        shared.liveness.expect("BootProfiles"),
    ));
    if let Some(secret) = &args.signing_secret {
        let namespace = args.namespace.as_deref().unwrap_or_else(|| client.default_namespace());
        let (profiles, readiness) = (Arc::clone(&shared.profiles), Arc::clone(&shared.readiness));
        let beat = shared.liveness.expect("the signing keys");
        let secrets = Api::namespaced(client.clone(), namespace);
        let keeper = signing::SigningKeyController::new(secrets, secret, profiles, readiness, beat);
        tokio::spawn(keeper.run());
    }
    if let (Some(secret), Some(service)) = (&args.tls_secret, &args.service) {
        keep_secret(args, shared, &client, secret, service);
    }
    Ok(Some(client))
}

fn keep_secret(args: &WebhookArgs, shared: &Shared, client: &Client, secret: &str, service: &str) {
    let namespace = args.namespace.as_deref().unwrap_or_else(|| client.default_namespace());
    let (bundle, bundles) = watch::channel(None);
    let timing = rotation::Timing { lifetimes: args.lifetimes(), ..rotation::Timing::default() };
    let secrets: Api<_> = Api::namespaced(client.clone(), namespace);
    if let Some(url) = args.store_url.clone() {
        let (profiles, readiness) = (Arc::clone(&shared.profiles), Arc::clone(&shared.readiness));
        tokio::spawn(store_ca::watch(url, bundles.clone(), profiles, readiness));
    }
    if let (Some(name), Some(service)) = (args.store_tls_secret.clone(), &args.store_service) {
        let (authority, names) = (secret.to_owned(), Names::of_service(service, namespace));
        let keeper = leaf_secret::LeafSecretController {
            api: secrets.clone(),
            authority,
            name,
            names,
            lifetimes: timing.lifetimes,
            bundle: bundles.clone(),
            beat: shared.liveness.expect("the store's certificate"),
        };
        tokio::spawn(keeper.run());
    }
    // Without a configuration to look after nobody tells of it.
    let (published, told) = watch::channel(None);
    let keeper = ca_secret::CaSecretController {
        api: secrets,
        name: secret.to_owned(),
        names: Names::of_service(service, namespace),
        serving: Arc::clone(&shared.serving),
        bundle,
        timing,
        published: args.configuration.is_some().then_some(told),
        readiness: Arc::clone(&shared.readiness),
        metrics: shared.metrics.server.clone(),
        beat: shared.liveness.expect("certificates"),
    };
    tokio::spawn(keeper.run());
    if let Some(name) = args.configuration.clone() {
        let (readiness, beat) = (Arc::clone(&shared.readiness), shared.liveness.expect("the caBundle"));
        let secret = (namespace, secret.to_owned());
        let keeper =
            ca_bundle::CaBundleController::new(client, name, secret, bundles, published, readiness, beat);
        tokio::spawn(keeper.run());
    }
}

fn follow_files(folder: std::path::PathBuf, shared: &Shared) -> anyhow::Result<()> {
    let content = files::CertificateFiles::read(&folder)?;
    serve(shared, &content.certificate(&folder)?);
    let (serving, metrics) = (Arc::clone(&shared.serving), shared.metrics.server.clone());
    tokio::spawn(async move {
        let changed = |certificate: Certificate| {
            metrics.certificate_expires(certificate.facts.not_after.unix_timestamp());
            serving.swap(&certificate);
        };
        files::watch(&folder, files::EVERY, content, changed).await;
    });
    Ok(())
}

fn make_certificate(args: &WebhookArgs, shared: &Shared) -> anyhow::Result<()> {
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
    shared.metrics.server.certificate_expires(certificate.facts.not_after.unix_timestamp());
    shared.serving.swap(certificate);
    shared.readiness.in_place(Part::Certificate);
}
