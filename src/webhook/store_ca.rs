//! Where boot reaches the store, and whom it trusts there: kept in step with the store's CA.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::watch;
use tracing::{info, warn};

use super::profiles::ActiveProfiles;
use crate::server::readiness::{Part, Readiness};
use crate::server::tls::{certificate, files};
use bootlace_core::injected_config::StoreEndpoint;

/// Takes the store's CA from `bundles`, for ever.
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

/// Takes the store's CA from a file now, and again whenever that changes.
///
/// # Errors
/// Where the file cannot be read or holds no certificate.
pub(super) fn follow_file(
    url: String,
    file: PathBuf,
    profiles: &Arc<ActiveProfiles>,
    readiness: &Arc<Readiness>,
) -> anyhow::Result<()> {
    let ca = std::fs::read(&file)
        .with_context(|| format!("{} cannot be read: give another file with --store-ca", file.display()))?;
    certificate::chain(&ca).with_context(|| file.display().to_string())?;
    announce(&url, &ca, profiles, readiness);
    let (profiles, readiness) = (Arc::clone(profiles), Arc::clone(readiness));
    tokio::spawn(async move {
        files::follow_ca(&file, files::EVERY, ca, |ca| announce(&url, ca, &profiles, &readiness)).await;
    });
    Ok(())
}

fn announce(url: &str, ca: &[u8], profiles: &ActiveProfiles, readiness: &Readiness) {
    // PEM is ASCII; what is not has been refused before.
    let store = StoreEndpoint { url: url.to_owned(), ca: String::from_utf8_lossy(ca).into_owned() };
    match profiles.swap_store(store) {
        Ok(()) => {
            info!(url, "tasks are sent to the store");
            readiness.in_place(Part::Store);
        }
        Err(error) => warn!("{error}; the profiles in force stay"),
    }
}
