//! What is slow to make and never changes, kept between runs, outside the clone.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// The file that says that an entry is whole.
const COMPLETE: &str = ".complete";

/// One folder of the cache, named after the hash of everything that it was made from.
pub struct Entry {
    folder: PathBuf,
    complete: bool,
    /// Held until the entry is dropped, so that two runs side by side do not make the same thing twice.
    _lock: File,
}

impl Entry {
    /// Opens the entry of the given kind (`airflow`) that is made from `sources`, all of it at once. Waits while another
    /// process makes it.
    ///
    /// # Errors
    /// When the cache's folder cannot be written.
    pub fn open(kind: &str, sources: &[&[u8]]) -> Result<Self> {
        let entry = Self::open_partial(kind, sources)?;
        if !entry.complete {
            // Left by a run that was ended half way.
            fs::remove_dir_all(&entry.folder)
                .and_then(|()| fs::create_dir(&entry.folder))
                .with_context(|| format!("empty {}", entry.folder.display()))?;
        }
        Ok(entry)
    }

    /// Opens an entry (`tools`) that is filled part by part: what an earlier run left in it stays.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_partial(kind: &str, sources: &[&[u8]]) -> Result<Self> {
        let kind = root()?.join(kind);
        fs::create_dir_all(&kind).with_context(|| format!("create the cache's folder {}", kind.display()))?;
        let key = key(sources);
        let lock = kind.join(format!("{key}.lock"));
        let lock = File::create(&lock).with_context(|| format!("create {}", lock.display()))?;
        if let Err(TryLockError::WouldBlock) = lock.try_lock() {
            eprintln!("waiting for another run, which is filling {}", kind.display());
            lock.lock().context("wait for the cache's lock")?;
        }
        let folder = kind.join(key);
        let complete = folder.join(COMPLETE).exists();
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        Ok(Self { folder, complete, _lock: lock })
    }

    /// Where the entry lies. It never moves: some of what is kept holds its own path.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether an earlier run made it whole.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Marks it as whole.
    ///
    /// # Errors
    /// When its folder cannot be written.
    pub fn complete(self) -> Result<PathBuf> {
        File::create(self.folder.join(COMPLETE)).context("mark the cache's entry as whole")?;
        Ok(self.folder)
    }
}

/// `$BOOTLACE_CACHE`, else `bootlace` in `$XDG_CACHE_HOME`, else `~/.cache/bootlace`.
fn root() -> Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("BOOTLACE_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("bootlace")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/bootlace")))
        .context("no place for the cache: set BOOTLACE_CACHE to a folder")
}

/// A short name for `sources`: each is hashed on its own, so that moving bytes from one to the next changes it.
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
    fn a_key_changes_with_any_source_and_with_where_one_ends() {
        assert_eq!(key(&[b"ab", b"c"]), key(&[b"ab", b"c"]));
        assert_ne!(key(&[b"ab", b"c"]), key(&[b"a", b"bc"]));
        assert_ne!(key(&[b"ab"]), key(&[b"ab", b""]));
    }
}
