//! `configMap` and `secret`: an object in the namespace of the pod, which the kubelet mounted with a file for
//! each key.
//!
//! The kubelet writes the keys to a new folder and points the symbolic link `..data` to it, so that all keys
//! change at once; each key is a link through `..data`. Boot resolves `..data` once and reads all keys from
//! that folder: if it read them one by one through the links, keys of two versions could mix.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use super::{FetchSource, SourceError};
use crate::boot::exclude::ExcludedKeys;
use crate::boot::sink::{EntryKind, Sink};
use bootlace_core::entry::Rename;
use bootlace_core::output::ObjectKind;
use bootlace_core::plan::boot_spec::MountedSource;

/// The kubelet's link to the folder with the current version.
const CURRENT: &str = "..data";

/// The prefix of the kubelet's own entries. The API server refuses keys with this prefix.
const KUBELET_PREFIX: &str = "..";

/// How many keys of an object an error lists.
const LISTED_KEYS: usize = 20;

/// An object that the kubelet mounted.
pub(super) struct MountedObject<'a> {
    object: &'a MountedSource,
}

/// The keys of an object and their content. An object has at most 1 MiB, so it is read as a whole.
pub(super) type Keys = BTreeMap<String, Vec<u8>>;

impl<'a> MountedObject<'a> {
    pub(super) fn new(object: &'a MountedSource) -> Self {
        Self { object }
    }

    async fn write_to(&self, sink: &mut Sink<'_>) -> Result<(), SourceError> {
        let keys = read_object(Path::new(&self.object.path)).await?;
        if keys.is_empty() {
            return self.missing(sink);
        }
        if self.object.items.is_empty() {
            let mut excluded = ExcludedKeys::new(&self.object.exclude);
            for (key, content) in &keys {
                if !excluded.excludes(key) {
                    write_key(self.object, sink, key, key, content)?;
                }
            }
            excluded.note(sink);
        }
        for item in &self.object.items {
            match keys.get(&item.key) {
                Some(content) => write_key(self.object, sink, &item.key, &item.target, content)?,
                None => self.missing_key(&item.key, &keys, sink)?,
            }
        }
        Ok(())
    }

    fn missing(&self, sink: &mut Sink<'_>) -> Result<(), SourceError> {
        if self.object.optional {
            sink.note("skipped because it is optional: it does not exist, or has no keys".to_owned());
            return Ok(());
        }
        Err(SourceError::Missing(format!(
            "the {} does not exist in the pod's namespace, or has no keys: create it with its keys, or set optional: true \
             on the source",
            self.object.kind
        )))
    }

    fn missing_key(&self, key: &str, keys: &Keys, sink: &mut Sink<'_>) -> Result<(), SourceError> {
        if self.object.optional {
            sink.note(format!("skipped key {key:?} because the source is optional: it does not exist"));
            return Ok(());
        }
        let mut known = keys.keys().take(LISTED_KEYS).cloned().collect::<Vec<_>>().join(", ");
        if keys.len() > LISTED_KEYS {
            known.push_str(", …");
        }
        Err(SourceError::Missing(format!(
            "key {key:?} not found, only {known}: correct items[].key, add the key to the {}, or set optional: true on the \
             source",
            self.object.kind
        )))
    }
}

impl FetchSource for MountedObject<'_> {
    fn title(&self) -> String {
        format!("{} {}", self.object.kind, self.object.name)
    }

    fn rename(&self) -> Rename {
        Rename::Keys
    }

    fn fetch<'a>(&'a self, sink: &'a mut Sink<'_>) -> LocalBoxFuture<'a, Result<(), SourceError>> {
        self.write_to(sink).boxed_local()
    }
}

/// Reads all keys of one version. The kubelet removes the folder of a version only after it moved the link to
/// the next one: if the link did not change, the folder was complete. An object that does not exist has no
/// keys.
pub(super) async fn read_object(mount: &Path) -> Result<Keys, SourceError> {
    loop {
        let version = current(mount);
        let keys = read_keys(&version);
        if current(mount) == version {
            return keys;
        }
        tokio::task::yield_now().await;
    }
}

/// Writes a key to the sink, with the name `target` after the prefix of the profile.
fn write_key(
    object: &MountedSource,
    sink: &mut Sink<'_>,
    key: &str,
    target: &str,
    content: &[u8],
) -> Result<(), SourceError> {
    let name = format!("{}{target}", object.prefix);
    let kind = EntryKind::new(object.into, object.kind == ObjectKind::Secret);
    sink.write_entry(kind, &name, content).map_err(|error| error.with_key(key))
}

/// The folder with the current version of the object: the mount itself, if the kubelet's link does not exist.
fn current(mount: &Path) -> PathBuf {
    fs::read_link(mount.join(CURRENT)).map_or_else(|_| mount.to_owned(), |version| mount.join(version))
}

/// Reads all keys in `folder`. A missing folder has none.
fn read_keys(folder: &Path) -> Result<Keys, SourceError> {
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

fn unreadable(path: &Path) -> impl Fn(io::Error) -> SourceError {
    move |error| SourceError::Unreadable { path: path.to_owned(), error }
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
            let runtime = crate::boot::fetch::runtime().unwrap();
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
