//! The keys with which the store verifies the configuration of a pod. The webhook manages them in a Secret,
//! which the store mounts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use arc_swap::ArcSwap;
use tracing::{info, warn};

use bootlace_core::signature::SigningKeys;

/// How often the folder is read.
const RELOAD_INTERVAL: Duration = Duration::from_secs(5);

/// The current keys. Clones share them.
#[derive(Debug, Clone)]
pub struct VerificationKeys(Arc<ArcSwap<SigningKeys>>);

impl VerificationKeys {
    /// Verifies with these keys.
    #[must_use]
    pub fn with(keys: SigningKeys) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(keys)))
    }

    /// Verifies with the keys in a folder, and reloads them when they change.
    ///
    /// # Errors
    /// The folder contains no keys, or is unreadable.
    pub(super) fn watch(folder: PathBuf) -> anyhow::Result<Self> {
        let keys = Self::with(read_keys(&folder)?);
        let reloaded = keys.clone();
        tokio::spawn(async move { reloaded.reload(&folder).await });
        Ok(keys)
    }

    /// The current keys.
    #[must_use]
    pub fn get(&self) -> Arc<SigningKeys> {
        self.0.load_full()
    }

    async fn reload(&self, folder: &Path) {
        let mut ticks = tokio::time::interval(RELOAD_INTERVAL);
        let mut last_error = String::new();
        loop {
            ticks.tick().await;
            match read_keys(folder) {
                Ok(keys) => {
                    last_error.clear();
                    if keys != *self.get() {
                        info!(folder = %folder.display(), "reloaded the signing keys");
                        self.0.store(Arc::new(keys));
                    }
                }
                Err(error) => {
                    let error = format!("{error:#}");
                    if error != last_error {
                        warn!("failed to reload the signing keys, keeping the previous ones: {error}");
                        last_error = error;
                    }
                }
            }
        }
    }
}

fn read_keys(folder: &Path) -> anyhow::Result<SigningKeys> {
    let unreadable = || {
        format!(
            "failed to read the signing keys from {:?}: mount the Secret that the webhook's --signing-secret names",
            folder.display()
        )
    };
    let mut data = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(unreadable)? {
        let entry = entry.with_context(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // The folders of the kubelet and the links to them.
        if !name.starts_with('.') {
            data.push((name, std::fs::read(entry.path()).with_context(unreadable)?));
        }
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    SigningKeys::read(data, now)
        .with_context(|| format!("the signing keys in {:?} are invalid", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mounted_secret_is_read_and_the_links_of_the_kubelet_are_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        assert!(
            read_keys(folder.path()).unwrap_err().to_string().contains(&folder.path().display().to_string())
        );
        std::fs::create_dir(path("..2026")).unwrap();
        std::os::unix::fs::symlink("..2026", path("..data")).unwrap();
        std::fs::write(path("..2026/key-1700000000"), [7; 32]).unwrap();
        std::os::unix::fs::symlink("..data/key-1700000000", path("key-1700000000")).unwrap();
        std::fs::write(path("since"), "1700000000").unwrap();
        let keys = read_keys(folder.path()).unwrap();
        assert_eq!(keys.signing().id(), "1700000000");
        assert!(read_keys(&path("none")).unwrap_err().to_string().contains("--signing-secret"));
    }
}
