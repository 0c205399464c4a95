//! The files of an image: one layer, in a fixed order, with fixed times and owners.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use tar::{EntryType, Header};

/// The files of a layer. Paths are absolute paths in the image. Parent folders are added automatically.
#[derive(Default)]
pub struct Layer {
    /// Sorted, because the order of entries is part of the digest, and a folder must come before its files.
    entries: BTreeMap<String, Entry>,
}

enum Entry {
    Folder { mode: u32 },
    File { mode: u32, content: Vec<u8> },
    Symlink { target: String },
}

impl Layer {
    /// A layer without files.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a folder. `mode` is as for chmod.
    #[must_use]
    pub fn folder(self, path: &str, mode: u32) -> Self {
        self.insert(path, Entry::Folder { mode })
    }

    /// Adds a file with `content`. `mode` is as for chmod.
    #[must_use]
    pub fn file(self, path: &str, mode: u32, content: impl Into<Vec<u8>>) -> Self {
        self.insert(path, Entry::File { mode, content: content.into() })
    }

    /// Adds a program, copied from `source` on this machine.
    ///
    /// # Errors
    /// If `source` cannot be read.
    pub fn program(self, path: &str, source: &Path) -> Result<Self> {
        let content = std::fs::read(source).with_context(|| format!("read {}", source.display()))?;
        Ok(self.file(path, 0o755, content))
    }

    /// Adds a symbolic link to `target`, which is not changed.
    #[must_use]
    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.insert(path, Entry::Symlink { target: target.to_owned() })
    }

    fn insert(mut self, path: &str, entry: Entry) -> Self {
        let path = path.trim_matches('/');
        for (end, _) in path.match_indices('/') {
            if let Some(parent) = path.get(..end) {
                self.entries.entry(parent.to_owned()).or_insert(Entry::Folder { mode: 0o755 });
            }
        }
        self.entries.insert(path.to_owned(), entry);
        self
    }

    /// Writes the layer as a tar archive to `out`.
    ///
    /// # Errors
    /// If `out` cannot be written, or a path is too long for the tar format.
    pub fn write(&self, out: impl Write) -> Result<()> {
        let mut tar = tar::Builder::new(out);
        for (path, entry) in &self.entries {
            let (kind, mode, content) = match entry {
                Entry::Folder { mode } => (EntryType::Directory, *mode, &[][..]),
                Entry::File { mode, content } => (EntryType::Regular, *mode, content.as_slice()),
                Entry::Symlink { .. } => (EntryType::Symlink, 0o777, &[][..]),
            };
            let mut header = header(kind, mode, content.len());
            match entry {
                Entry::Symlink { target } => tar.append_link(&mut header, path, target),
                _ => tar.append_data(&mut header, path, content),
            }
            .with_context(|| format!("add /{path} to the layer"))?;
        }
        tar.finish().context("finish the layer")
    }
}

/// A header that depends only on its arguments: the owner is root, and the time is the start of 1970.
pub(crate) fn header(kind: EntryType, mode: u32, size: usize) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size as u64);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(layer: &Layer) -> Vec<String> {
        let mut bytes = Vec::new();
        layer.write(&mut bytes).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        archive.entries().unwrap().map(|e| e.unwrap().path().unwrap().display().to_string()).collect()
    }

    #[test]
    fn parents_come_before_their_files_in_any_order_of_insertion() {
        let layer = Layer::new().file("/usr/local/bin/b", 0o755, "b").file("/etc/passwd", 0o644, "");
        assert_eq!(
            names(&layer),
            ["etc", "etc/passwd", "usr", "usr/local", "usr/local/bin", "usr/local/bin/b"]
        );
    }

    #[test]
    fn a_folder_has_the_given_mode() {
        let layer = Layer::new().folder("/tmp", 0o1777).file("/tmp/a", 0o644, "");
        let mut bytes = Vec::new();
        layer.write(&mut bytes).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let first = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(first.header().mode().unwrap(), 0o1777);
    }
}
