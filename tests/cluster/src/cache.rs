//! The cache for build results that do not change, outside of the clone.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// The file that marks an entry as complete.
const COMPLETE: &str = ".complete";

/// A folder of the cache. Its name is a hash of all inputs.
pub struct Entry {
    folder: PathBuf,
    complete: bool,
    /// Locked until the entry is dropped, so that concurrent runs do not build the same entry twice.
    _lock: File,
}

impl Entry {
    /// Opens the entry of this kind (`airflow`) with the inputs `sources`, which is built in one step. Waits
    /// while another process builds it.
    ///
    /// # Errors
    /// If the folder of the cache cannot be written.
    pub fn open(kind: &str, sources: &[&[u8]]) -> Result<Self> {
        let entry = Self::open_partial(kind, sources)?;
        if !entry.complete {
            // Remove the files of an interrupted run.
            fs::remove_dir_all(&entry.folder)
                .and_then(|()| fs::create_dir(&entry.folder))
                .with_context(|| format!("empty {}", entry.folder.display()))?;
        }
        Ok(entry)
    }

    /// Opens an entry (`tools`) that is built in several steps: keeps the files of earlier runs.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_partial(kind: &str, sources: &[&[u8]]) -> Result<Self> {
        let kind = root()?.join(kind);
        fs::create_dir_all(&kind).with_context(|| format!("create the cache folder {}", kind.display()))?;
        let key = key(sources);
        let lock = kind.join(format!("{key}.lock"));
        let lock = File::create(&lock).with_context(|| format!("create {}", lock.display()))?;
        if let Err(TryLockError::WouldBlock) = lock.try_lock() {
            eprintln!("waiting for another run, which is writing {}", kind.display());
            lock.lock().context("wait for the lock of the cache")?;
        }
        let folder = kind.join(key);
        let complete = folder.join(COMPLETE).exists();
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        Ok(Self { folder, complete, _lock: lock })
    }

    /// The folder of the entry. It must not be moved, because some of its files contain their own path.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether an earlier run has completed the entry.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Marks the entry as complete.
    ///
    /// # Errors
    /// If its folder cannot be written.
    pub fn complete(self) -> Result<PathBuf> {
        File::create(self.folder.join(COMPLETE)).context("mark the cache entry as complete")?;
        Ok(self.folder)
    }
}

/// `$BOOTLACE_CACHE`, or else `bootlace` in `$XDG_CACHE_HOME`, or else `~/.cache/bootlace`.
fn root() -> Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("BOOTLACE_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("bootlace")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/bootlace")))
        .context("no folder for the cache: set BOOTLACE_CACHE or HOME")
}

/// A hash of `sources`. Each source is hashed separately, so that moving bytes from one to the next changes
/// the result.
fn key(sources: &[&[u8]]) -> String {
    let whole: Vec<u8> = sources.iter().flat_map(|source| Sha256::digest(source).to_vec()).collect();
    let mut key = hex::encode(Sha256::digest(whole));
    key.truncate(16);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_depends_on_each_source_and_its_length() {
        assert_eq!(key(&[b"ab", b"c"]), key(&[b"ab", b"c"]));
        assert_ne!(key(&[b"ab", b"c"]), key(&[b"a", b"bc"]));
        assert_ne!(key(&[b"ab"]), key(&[b"ab", b""]));
    }
}
