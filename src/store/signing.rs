//! The keys by which the store knows what the webhook gave a pod: the content of a Secret that the webhook keeps, mounted.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use tracing::{info, warn};

use bootlace_core::signature::Keys;

/// How often the folder is looked at.
const EVERY: Duration = Duration::from_secs(5);

/// The keys that hold now. Clones share them.
#[derive(Debug, Clone)]
pub struct VerificationKeys(Arc<RwLock<Arc<Keys>>>);

impl VerificationKeys {
    /// Verifies with these keys.
    #[must_use]
    pub fn with(keys: Keys) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(keys))))
    }

    /// Verifies with those of a folder, which is followed for ever.
    ///
    /// # Errors
    /// Where it holds none.
    pub(super) fn follow(folder: PathBuf) -> anyhow::Result<Self> {
        let keys = read(&folder)?;
        let verifying = Self::with(keys);
        let follower = verifying.clone();
        tokio::spawn(async move { follower.keep_up(&folder).await });
        Ok(verifying)
    }

    /// The keys now.
    #[must_use]
    pub fn get(&self) -> Arc<Keys> {
        // Who panicked with the lock in hand left whole keys.
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    async fn keep_up(&self, folder: &Path) {
        let mut ticks = tokio::time::interval(EVERY);
        let mut complained = String::new();
        loop {
            ticks.tick().await;
            match read(folder) {
                Ok(keys) => {
                    complained.clear();
                    if keys != *self.get() {
                        info!(folder = %folder.display(), "signing keys reloaded");
                        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
                    }
                }
                Err(error) => {
                    let error = format!("{error:#}");
                    if error != complained {
                        warn!("{error}; the keys in force stay");
                        complained = error;
                    }
                }
            }
        }
    }
}

fn read(folder: &Path) -> anyhow::Result<Keys> {
    let unreadable = || {
        format!(
            "{} cannot be read: mount the Secret of the webhook's --signing-secret there",
            folder.display()
        )
    };
    let mut data = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(unreadable)? {
        let entry = entry.with_context(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // The kubelet's own folders and links to them.
        if !name.starts_with('.') {
            data.push((name, std::fs::read(entry.path()).with_context(unreadable)?));
        }
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    Keys::read(data, now).with_context(|| folder.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mounted_secret_is_read_past_the_kubelets_own_links() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        assert!(read(folder.path()).unwrap_err().to_string().contains(&folder.path().display().to_string()));
        std::fs::create_dir(path("..2026")).unwrap();
        std::os::unix::fs::symlink("..2026", path("..data")).unwrap();
        std::fs::write(path("..2026/key-1700000000"), [7; 32]).unwrap();
        std::os::unix::fs::symlink("..data/key-1700000000", path("key-1700000000")).unwrap();
        std::fs::write(path("since"), "1700000000").unwrap();
        let keys = read(folder.path()).unwrap();
        assert_eq!(keys.signing().id(), "1700000000");
        assert!(read(&path("none")).unwrap_err().to_string().contains("--signing-secret"));
    }
}
