//! The folder of one run, which the machine and the node share: logs, images, kubeconfig.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Not `$TMPDIR`, which can be below `/run` or `/var`: the node has its own `/run` and `/var`.
const PARENT: &str = "/tmp";
const PREFIX: &str = "bootlace-cluster-";
/// The key that signs service account tokens, in the same folder as the kubeconfig. Scenarios use it to sign
/// tokens that the API server would not issue, such as expired ones.
pub const TOKEN_KEY: &str = "token.key";
/// The folder of the image archives, in the same folder as the kubeconfig.
pub const IMAGES: &str = "images";
/// The program `bootlace`, in the same folder as the kubeconfig.
pub const BOOTLACE: &str = "bootlace";

/// The folder of a run, `/tmp/bootlace-cluster-<id>`. The process that created it removes it when this value
/// is dropped. If that process was killed, the keeper removes it.
pub struct RunDir {
    id: String,
    path: PathBuf,
    /// Only in the process that created the folder.
    lock: Option<File>,
}

impl RunDir {
    /// Creates the folder of a new run.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn create() -> Result<Self> {
        let uuid =
            fs::read_to_string("/proc/sys/kernel/random/uuid").context("generate the ID of the run")?;
        let mut run = Self::open(uuid.chars().take(8).collect());
        for folder in [run.logs(), run.images()] {
            fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        }
        run.lock = Some(run.lock()?);
        Ok(run)
    }

    /// The folder of the existing run `id`.
    #[must_use]
    pub fn open(id: String) -> Self {
        let path = Path::new(PARENT).join(format!("{PREFIX}{id}"));
        Self { id, path, lock: None }
    }

    /// The folders of all runs on this machine.
    ///
    /// # Errors
    /// If the parent folder cannot be read.
    pub fn all() -> Result<Vec<Self>> {
        let entries = fs::read_dir(PARENT).with_context(|| format!("list {PARENT}"))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.filter_map(|name| name.strip_prefix(PREFIX).map(|id| Self::open(id.to_owned()))).collect())
    }

    /// The ID of the run: eight hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The path of the folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of the logs, one file for each program.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// The folder of the image archives that the node imports.
    #[must_use]
    pub fn images(&self) -> PathBuf {
        self.path.join(IMAGES)
    }

    /// The program `bootlace`, as in the image.
    #[must_use]
    pub fn bootlace(&self) -> PathBuf {
        self.path.join(BOOTLACE)
    }

    /// The key that signs service account tokens.
    #[must_use]
    pub fn token_key(&self) -> PathBuf {
        self.path.join(TOKEN_KEY)
    }

    /// The kubeconfig of the administrator.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.path.join("kubeconfig")
    }

    /// Marks the run as in use while the returned file is open.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn lock(&self) -> Result<File> {
        let lock = self.open_lock().with_context(|| format!("create a lock in {}", self.path.display()))?;
        lock.lock_shared().context("lock the folder of the run")?;
        Ok(lock)
    }

    /// Whether no process uses the run.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.open_lock().is_ok_and(|lock| lock.try_lock().is_ok())
    }

    fn open_lock(&self) -> std::io::Result<File> {
        OpenOptions::new().write(true).create(true).truncate(false).open(self.path.join("lock"))
    }

    /// Removes the folder, if it exists.
    ///
    /// # Errors
    /// If a file in it cannot be removed.
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
