//! Reads an object of the namespace of the pod, which the kubelet mounted with a file for each key.
//!
//! The kubelet writes the keys to a new folder and points the symbolic link `..data` to it, so that all keys
//! change at once; each key is a link through `..data`. The link is resolved once, and all keys are read from
//! that folder: if they were read one by one through the links, keys of two versions could mix.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::MountError;

/// The kubelet's link to the folder with the current version.
const CURRENT: &str = "..data";

/// The prefix of the kubelet's own entries. The API server refuses keys with this prefix.
const KUBELET_PREFIX: &str = "..";

/// The keys of an object and their content. An object has at most 1 MiB, so it is read as a whole.
pub(crate) type Keys = BTreeMap<String, Vec<u8>>;

/// Reads all keys of one version. The kubelet removes the folder of a version only after it moved the link to
/// the next one: if the link did not change, the folder was complete. An object that does not exist has no
/// keys.
pub(crate) async fn read_object(mount: &Path) -> Result<Keys, MountError> {
    loop {
        let version = current_version(mount);
        let keys = read_keys(&version);
        if current_version(mount) == version {
            return keys;
        }
        tokio::task::yield_now().await;
    }
}

/// The folder with the current version of the object: the mount itself, if the kubelet's link does not exist.
pub(crate) fn current_version(mount: &Path) -> PathBuf {
    fs::read_link(mount.join(CURRENT)).map_or_else(|_| mount.to_owned(), |version| mount.join(version))
}

/// Reads all keys in `folder`. A missing folder has none.
fn read_keys(folder: &Path) -> Result<Keys, MountError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Keys::new()),
        entries => entries.map_err(unreadable(folder))?,
    };
    let mut keys = Keys::new();
    for entry in entries {
        let entry = entry.map_err(unreadable(folder))?;
        let path = entry.path();
        // The API server allows only letters, digits, `-`, `_` and `.` in a key.
        let Ok(key) = entry.file_name().into_string() else {
            return Err(unreadable(&path)(io::ErrorKind::InvalidFilename.into()));
        };
        if key.starts_with(KUBELET_PREFIX) {
            continue;
        }
        // Checked before the file is opened, because opening a pipe waits for its writer.
        if !fs::metadata(&path).map_err(unreadable(&path))?.is_file() {
            return Err(unreadable(&path)(io::Error::other("not a file")));
        }
        keys.insert(key, fs::read(&path).map_err(unreadable(&path))?);
    }
    Ok(keys)
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> MountError {
    move |error| MountError::Unreadable { path: path.to_owned(), error }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::unix::fs::symlink;

    use super::*;

    /// Publishes a version as the kubelet's atomic writer does: creates a folder, moves the link to it, and
    /// removes the old folder.
    fn publish(mount: &Path, version: u32, keys: u32) {
        let folder = format!("..2026_{version}");
        fs::create_dir(mount.join(&folder)).unwrap();
        for key in 0..keys {
            fs::write(mount.join(&folder).join(format!("key-{key}")), version.to_string()).unwrap();
        }
        let old = fs::read_link(mount.join(CURRENT));
        symlink(&folder, mount.join("..data_tmp")).unwrap();
        fs::rename(mount.join("..data_tmp"), mount.join(CURRENT)).unwrap();
        if let Ok(old) = old {
            fs::remove_dir_all(mount.join(old)).unwrap();
        }
    }

    #[test]
    fn keys_of_two_versions_never_mix() {
        const KEYS: u32 = 8;
        let mount = tempfile::tempdir().unwrap();
        publish(mount.path(), 0, KEYS);
        let mut seen = BTreeSet::new();
        std::thread::scope(|scope| {
            let publisher = scope.spawn(|| (1..500).for_each(|version| publish(mount.path(), version, KEYS)));
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            while !publisher.is_finished() {
                let keys = runtime.block_on(read_object(mount.path())).unwrap();
                assert_eq!(keys.len(), KEYS as usize, "{keys:?}");
                let versions: BTreeSet<_> = keys.into_values().collect();
                assert_eq!(versions.len(), 1, "{versions:?}");
                seen.extend(versions);
            }
        });
        assert!(seen.len() > 1, "the object never changed under its reader");
    }

    #[test]
    fn a_pipe_instead_of_a_key_does_not_block() {
        let mount = tempfile::tempdir().unwrap();
        fs::create_dir(mount.path().join("folder")).unwrap();
        let error = read_keys(mount.path()).unwrap_err().to_string();
        assert!(error.contains("folder") && error.contains("not a file"), "{error}");
    }
}
