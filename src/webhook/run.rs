//! The webhook process: bind, prepare, serve, drain.

use std::sync::Arc;

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
use crate::command_error::CommandError;
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

/// Serves reviews until SIGTERM or SIGINT, then drains.
///
/// # Errors
/// The webhook cannot start: an address is in use, a file cannot be read, or the cluster cannot be reached.
pub fn run(args: &WebhookArgs) -> anyhow::Result<()> {
    logs::start(&args.logs);
    process::runtime()?.block_on(webhook(args))
}

/// The state that all parts share.
struct Shared {
    metrics: Arc<WebhookMetrics>,
    readiness: Arc<Readiness>,
    liveness: Arc<Liveness>,
    serving: Arc<CertResolver>,
    profiles: Arc<ActiveProfiles>,
}

async fn webhook(args: &WebhookArgs) -> anyhow::Result<()> {
    // Bound first, so that an address in use is reported at once, and early callers wait instead of failing.
    let reviews = lifecycle::bind(args.listen, "--listen").await.map_err(CommandError::Address)?;
    let probes = lifecycle::bind(args.metrics_listen, "--metrics-listen").await;
    let probes = probes.map_err(CommandError::Address)?;
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
    // Before the status port responds, so that parts that have not started count as not ready.
    await_parts(args, &shared);
    // The status port stays open during the drain, and reports it.
    let (shutdown, status_shutdown) = (ShutdownController::default(), ShutdownController::default());
    let status_address = probes.local_addr()?;
    let page = status::router(
        Arc::clone(&shared.metrics),
        Arc::clone(&shared.readiness),
        Arc::clone(&shared.liveness),
    );
    lifecycle::serve_status(probes, page, status_shutdown.follower());
    let client = prepare(args, &shared).await?;
    let lookups = Lookups {
        images: args.entrypoints.lookup(client.clone(), shared.metrics.entrypoints.clone())?,
        pipes: client.map_or_else(PipeLookup::none, PipeLookup::new),
    };

    let clients = args.client_ca.clone().map(ClientVerifier::watch).transpose();
    let clients = clients.map_err(|error| CommandError::CaFile { flag: "--client-ca", error })?;
    let reviews_of =
        Reviews::new(Arc::clone(&shared.profiles), Arc::clone(&shared.metrics), Arc::new(lookups));
    let app = reviews_of.for_callers(args.callers()).router();
    let server = Server {
        transport: Transport::Tls(TlsAcceptor::from(Arc::new(shared.serving.config(clients)?))),
        app,
        limits: Limits::default(),
        metrics: shared.metrics.server.clone(),
        stage: shutdown.follower(),
    };
    info!(
        address = %reviews.local_addr()?,
        status = %status_address,
        version = env!("CARGO_PKG_VERSION"),
        "serving reviews"
    );
    let serving = tokio::spawn(server.serve(reviews));
    let drain = Drain { delay: args.drain_delay(), timeout: args.drain_timeout, requests: "reviews" };
    drain.run(end, &shutdown, &shared.readiness, serving).await;
    Ok(())
}

/// Registers the parts that must be ready before the first response to a review.
fn await_parts(args: &WebhookArgs, shared: &Shared) {
    let missing = |part, reason: &str| shared.readiness.missing(part, reason);
    missing(Part::Profiles, "BootProfiles are not listed yet");
    match &args.tls_secret {
        Some(secret) => missing(Part::Certificate, &format!("Secret {secret:?} is not read yet")),
        None => missing(Part::Certificate, "the certificate is not loaded yet"),
    }
    if let Some(name) = &args.configuration {
        let reason = format!("caBundle of MutatingWebhookConfiguration {name:?} is not set yet");
        missing(Part::CaBundle, &reason);
    }
    if args.store_url.is_some() {
        shared.profiles.await_store();
        missing(Part::Store, "the CA of the store is not loaded yet");
    }
    if let Some(secret) = &args.signing_secret {
        shared.profiles.await_keys();
        missing(Part::Keys, &format!("Secret {secret:?} is not read yet"));
    }
    if args.profiles.is_none() {
        shared.profiles.await_version();
        missing(Part::ApiServer, "the API server has not responded yet");
        missing(Part::Namespaces, "namespaces are not listed yet");
    }
}

/// Loads profiles and the certificate, or starts to watch them. Returns the client of the cluster, if there
/// is one.
async fn prepare(args: &WebhookArgs, shared: &Shared) -> anyhow::Result<Option<Client>> {
    if let Some(folder) = &args.tls_dir {
        follow_files(folder.clone(), shared)?;
    }
    if let (Some(url), Some(file)) = (&args.store_url, &args.store_ca) {
        let loaded = store_ca::follow_file(url.clone(), file.clone(), &shared.profiles, &shared.readiness);
        loaded.map_err(|error| CommandError::CaFile { flag: "--store-ca", error })?;
    }
    if let Some(folder) = &args.profiles {
        let profiles = profile_files::read(folder).map_err(CommandError::from)?;
        for (name, problem) in profiles.not_in_force() {
            warn!(profile = name, problem, "BootProfile is not active");
        }
        shared.metrics.profiles(profiles.iter().count(), profiles.not_in_force().count());
        shared.profiles.swap(profiles)?;
        shared.readiness.in_place(Part::Profiles);
        if args.tls_dir.is_none() {
            make_certificate(args, shared)?;
        }
        return Ok(None);
    }
    let client = api_client::connect().await;
    let alternative = ", or use --profiles to run without a cluster";
    let client = client.map_err(|error| CommandError::Cluster { error, alternative })?;
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
        let controller = signing::SigningKeyController::new(secrets, secret, profiles, readiness, beat);
        tokio::spawn(controller.run());
    }
    if let (Some(secret), Some(service)) = (&args.tls_secret, &args.service) {
        manage_certificates(args, shared, &client, secret, service);
    }
    Ok(Some(client))
}

fn manage_certificates(args: &WebhookArgs, shared: &Shared, client: &Client, secret: &str, service: &str) {
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
        let controller = leaf_secret::LeafSecretController {
            api: secrets.clone(),
            authority,
            name,
            names,
            lifetimes: timing.lifetimes,
            bundle: bundles.clone(),
            beat: shared.liveness.expect("the store's certificate"),
        };
        tokio::spawn(controller.run());
    }
    // Without a configuration, nothing is published.
    let (published, publications) = watch::channel(None);
    let controller = ca_secret::CaSecretController {
        api: secrets,
        name: secret.to_owned(),
        names: Names::of_service(service, namespace),
        serving: Arc::clone(&shared.serving),
        bundle,
        timing,
        published: args.configuration.is_some().then_some(publications),
        readiness: Arc::clone(&shared.readiness),
        metrics: shared.metrics.server.clone(),
        beat: shared.liveness.expect("certificates"),
    };
    tokio::spawn(controller.run());
    if let Some(name) = args.configuration.clone() {
        let (readiness, beat) = (Arc::clone(&shared.readiness), shared.liveness.expect("the caBundle"));
        let secret = (namespace, secret.to_owned());
        let controller =
            ca_bundle::CaBundleController::new(client, name, secret, bundles, published, readiness, beat);
        tokio::spawn(controller.run());
    }
}

fn follow_files(folder: std::path::PathBuf, shared: &Shared) -> anyhow::Result<()> {
    let content = files::CertificateFiles::read(&folder).map_err(CommandError::from)?;
    serve(shared, &content.certificate(&folder).map_err(CommandError::from)?);
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
        let failed = |error| CommandError::WriteFile { path: file.clone(), error };
        std::fs::write(file, &issued.ca_cert).map_err(failed)?;
    }
    Ok(())
}

fn serve(shared: &Shared, certificate: &Certificate) {
    shared.metrics.server.certificate_expires(certificate.facts.not_after.unix_timestamp());
    shared.serving.swap(certificate);
    shared.readiness.in_place(Part::Certificate);
}
