//! The folder of one run, which both the machine and the node see: logs, images, the way in.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Not `$TMPDIR`: that may lie below `/run` or `/var`, which the node replaces by its own.
const PARENT: &str = "/tmp";
const PREFIX: &str = "bootlace-cluster-";
/// The key that signs service account tokens, in the run's folder beside the kubeconfig: for scenarios that need one
/// which the API server would not make, as it has expired.
pub const TOKEN_KEY: &str = "token.key";
/// The archives of the images, in the run's folder beside the kubeconfig.
pub const IMAGES: &str = "images";
/// Bootlace's command line, in the run's folder beside the kubeconfig.
pub const BOOTLACE: &str = "bootlace";

/// A run's folder, `/tmp/bootlace-cluster-<id>`. Whoever made it removes it when this is dropped; where that one
/// was killed, the keeper does.
pub struct RunDir {
    id: String,
    path: PathBuf,
    /// Held by the process that made it.
    lock: Option<File>,
}

impl RunDir {
    /// Makes the folder of a new run.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create() -> Result<Self> {
        let uuid = fs::read_to_string("/proc/sys/kernel/random/uuid").context("make a name for the run")?;
        let mut run = Self::open(uuid.chars().take(8).collect());
        for folder in [run.logs(), run.images()] {
            fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        }
        run.lock = Some(run.hold()?);
        Ok(run)
    }

    /// The folder of the run `id`, which exists.
    #[must_use]
    pub fn open(id: String) -> Self {
        let path = Path::new(PARENT).join(format!("{PREFIX}{id}"));
        Self { id, path, lock: None }
    }

    /// Every run's folder on this machine.
    ///
    /// # Errors
    /// When the parent cannot be read.
    pub fn all() -> Result<Vec<Self>> {
        let entries = fs::read_dir(PARENT).with_context(|| format!("list {PARENT}"))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.filter_map(|name| name.strip_prefix(PREFIX).map(|id| Self::open(id.to_owned()))).collect())
    }

    /// What tells this run from others: eight hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// One file a component.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// Image archives that the node imports.
    #[must_use]
    pub fn images(&self) -> PathBuf {
        self.path.join(IMAGES)
    }

    /// Bootlace's command line, as the image holds it.
    #[must_use]
    pub fn bootlace(&self) -> PathBuf {
        self.path.join(BOOTLACE)
    }

    /// The key that signs service account tokens.
    #[must_use]
    pub fn token_key(&self) -> PathBuf {
        self.path.join(TOKEN_KEY)
    }

    /// The administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.path.join("kubeconfig")
    }

    /// Says that the run is in use, as long as the returned file is open.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn hold(&self) -> Result<File> {
        let lock = self.open_lock().with_context(|| format!("create a lock in {}", self.path.display()))?;
        lock.lock_shared().context("lock the run's folder")?;
        Ok(lock)
    }

    /// Whether nobody holds the run any more.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.open_lock().is_ok_and(|lock| lock.try_lock().is_ok())
    }

    fn open_lock(&self) -> std::io::Result<File> {
        OpenOptions::new().write(true).create(true).truncate(false).open(self.path.join("lock"))
    }

    /// Removes the folder, if it is still there.
    ///
    /// # Errors
    /// When something in it cannot be removed.
    pub fn remove(&self) -> Result<()> {
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed.with_context(|| format!("remove {}", self.path.display())),
        }
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        if self.lock.is_some()
            && let Err(error) = self.remove()
        {
            eprintln!("{error:#}");
        }
    }
}
