//! The URL and the CA of the store for injected containers, updated when the CA changes.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::watch;
use tracing::{info, warn};

use super::profiles::ActiveProfiles;
use crate::server::readiness::{Part, Readiness};
use crate::server::tls::{certificate, files};
use bootlace_core::injected_config::StoreEndpoint;

/// Watches `bundles` for the CA of the store. Does not return.
pub(super) async fn watch(
    url: String,
    mut bundles: watch::Receiver<Option<Vec<u8>>>,
    profiles: Arc<ActiveProfiles>,
    readiness: Arc<Readiness>,
) {
    loop {
        let bundle = bundles.borrow_and_update().clone();
        if let Some(ca) = bundle {
            announce(&url, &ca, &profiles, &readiness);
        }
        if bundles.changed().await.is_err() {
            return;
        }
    }
}

/// Loads the CA of the store from a file, and reloads it when the file changes.
///
/// # Errors
/// The file cannot be read, or contains no certificate.
pub(super) fn follow_file(
    url: String,
    file: PathBuf,
    profiles: &Arc<ActiveProfiles>,
    readiness: &Arc<Readiness>,
) -> anyhow::Result<()> {
    let ca =
        std::fs::read(&file).with_context(|| format!("failed to read {:?}", file.display().to_string()))?;
    certificate::chain(&ca).with_context(|| format!("{:?} is invalid", file.display().to_string()))?;
    announce(&url, &ca, profiles, readiness);
    let (profiles, readiness) = (Arc::clone(profiles), Arc::clone(readiness));
    tokio::spawn(async move {
        files::follow_ca(&file, files::EVERY, ca, |ca| announce(&url, ca, &profiles, &readiness)).await;
    });
    Ok(())
}

fn announce(url: &str, ca: &[u8], profiles: &ActiveProfiles, readiness: &Readiness) {
    // PEM is ASCII. Invalid files are rejected before.
    let store = StoreEndpoint { url: url.to_owned(), ca: String::from_utf8_lossy(ca).into_owned() };
    match profiles.swap_store(store) {
        Ok(()) => {
            info!(url, "store available");
            readiness.in_place(Part::Store);
        }
        Err(error) => {
            warn!(%error, "failed to apply the CA of the store; the previous configuration stays active");
        }
    }
}
