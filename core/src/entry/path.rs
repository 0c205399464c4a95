//! Rules for files of a source: paths that stay in the assets folder, and trees without conflicts.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// Maximum bytes of the name of a file or folder (`NAME_MAX`).
const MAX_NAME_BYTES: usize = 255;

/// Maximum bytes of a path relative to the assets folder: `PATH_MAX` of Linux without the final NUL byte and
/// without the longest `assets.mountPath` of the schema with the suffix of the Optimus layout (`/in/`). So
/// every file can be opened with its full path.
const MAX_PATH_BYTES: usize = 4096 - 1 - 254;

/// Path of a file relative to the assets folder: names separated by single slashes that do not lead out of
/// the folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AssetPath(String);

impl AssetPath {
    /// Validates a path. The path is not normalized, so that two spellings never mean the same file.
    ///
    /// # Errors
    /// If the path leads out of the folder, or is not a valid path of a file.
    pub fn parse(path: &str) -> Result<Self, PathError> {
        if path.is_empty() {
            return Err(PathError::Empty);
        }
        if path.starts_with('/') {
            return Err(PathError::Absolute);
        }
        if path.len() > MAX_PATH_BYTES {
            return Err(PathError::PathTooLong { size: path.len() });
        }
        path.split('/').try_for_each(check_name)?;
        Ok(Self(path.to_owned()))
    }

    /// The path for the file system.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }

    /// The parent folders, outermost first.
    pub fn folders(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('/').filter_map(|(slash, _)| self.0.get(..slash))
    }
}

impl fmt::Display for AssetPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Validates the name of a file or folder.
///
/// # Errors
/// If it is not a valid name.
pub fn check_name(name: &str) -> Result<(), PathError> {
    match name {
        "" => Err(PathError::EmptyName),
        "." | ".." => Err(PathError::Dots),
        _ if name.contains('\0') => Err(PathError::Nul),
        _ if name.contains('/') => Err(PathError::Slash),
        _ if name.len() > MAX_NAME_BYTES => Err(PathError::NameTooLong { size: name.len() }),
        _ => Ok(()),
    }
}

/// Why a path is invalid.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It is empty.
    #[error("the path is empty: set the path of a file")]
    Empty,
    /// It starts with a slash.
    #[error("the path is absolute: write it relative to the assets folder, without a leading slash")]
    Absolute,
    /// It contains two consecutive slashes, or ends with a slash.
    #[error("the path contains an empty name: write single slashes, and no slash at the end")]
    EmptyName,
    /// A name is `.` or `..`.
    #[error("the path contains \".\" or \"..\", which may leave the assets folder: write it without them")]
    Dots,
    /// A name contains a NUL byte.
    #[error("the path contains a NUL byte, which is not allowed in a file name: rename the file")]
    Nul,
    /// A name contains a slash.
    #[error("the name contains a slash: use a name without slashes")]
    Slash,
    /// A name exceeds the limit of Linux.
    #[error("a name in the path has {size} bytes, the limit of Linux is {MAX_NAME_BYTES}: shorten it")]
    NameTooLong {
        /// Size in bytes.
        size: usize,
    },
    /// The path exceeds the limit.
    #[error("the path has {size} bytes, the limit is {MAX_PATH_BYTES}: shorten it")]
    PathTooLong {
        /// Size in bytes.
        size: usize,
    },
}

/// Files by path, without conflicts: no file is also a folder of another.
#[derive(Debug)]
pub struct FileTree<T> {
    files: BTreeMap<AssetPath, T>,
}

impl<T> Default for FileTree<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> FileTree<T> {
    /// Creates an empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self { files: BTreeMap::new() }
    }

    /// The file at `path`.
    #[must_use]
    pub fn get(&self, path: &AssetPath) -> Option<&T> {
        self.files.get(path)
    }

    /// The file that conflicts with `path`: its path is a folder of `path`, or `path` is one of its folders.
    #[must_use]
    pub fn obstacle(&self, path: &AssetPath) -> Option<(&AssetPath, &T)> {
        let above = path.folders().find_map(|folder| self.files.get_key_value(&AssetPath(folder.to_owned())));
        above.or_else(|| {
            let inside = format!("{path}/");
            let mut after = self.files.range(AssetPath(inside.clone())..);
            after.next().filter(|(other, _)| other.0.starts_with(&inside))
        })
    }

    /// Adds a file at `path`, and returns the previous one. Check for an [`obstacle`](Self::obstacle) first.
    pub fn insert(&mut self, path: AssetPath, file: T) -> Option<T> {
        self.files.insert(path, file)
    }

    /// Keeps the files for which `keep` returns true.
    pub fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        self.files.retain(|_, file| keep(file));
    }

    /// Number of files.
    #[must_use]
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether the tree is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The files, by path.
    pub fn iter(&self) -> impl Iterator<Item = (&AssetPath, &T)> {
        self.files.iter()
    }
}

impl<T> IntoIterator for FileTree<T> {
    type Item = (AssetPath, T);
    type IntoIter = std::collections::btree_map::IntoIter<AssetPath, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.files.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::{Component, PathBuf};

    #[test]
    fn a_path_is_names_divided_by_slashes() {
        for path in ["a", "sql/a.sql", "..data", "a/..b/c..", "...", "-", "line\nbreak", "ä/ö", " "] {
            assert_eq!(AssetPath::parse(path).unwrap().to_string(), path);
        }
    }

    #[test]
    fn what_leaves_the_folder_or_cannot_be_made_is_refused() {
        for (path, error) in [
            ("", PathError::Empty),
            ("/etc/passwd", PathError::Absolute),
            ("..", PathError::Dots),
            ("../a", PathError::Dots),
            ("a/../../b", PathError::Dots),
            ("a/..", PathError::Dots),
            ("./a", PathError::Dots),
            ("a//b", PathError::EmptyName),
            ("a/", PathError::EmptyName),
            ("a\0b", PathError::Nul),
            (&"x".repeat(256), PathError::NameTooLong { size: 256 }),
            (&format!("a/{}/b", "ä".repeat(150)), PathError::NameTooLong { size: 300 }),
            (&"x/".repeat(1921), PathError::PathTooLong { size: 3842 }),
        ] {
            assert_eq!(AssetPath::parse(path), Err(error), "{path:?}");
        }
        assert!(AssetPath::parse(&"x".repeat(255)).is_ok());
        assert_eq!(check_name("a/b"), Err(PathError::Slash));
    }

    #[test]
    fn a_file_is_no_folder() {
        let path = |path: &str| AssetPath::parse(path).unwrap();
        let mut tree = FileTree::new();
        for file in ["a/b/c", "a-z", "a.b"] {
            assert!(tree.obstacle(&path(file)).is_none());
            assert_eq!(tree.insert(path(file), ()), None);
        }
        let obstacle = |at: &str| tree.obstacle(&path(at)).map(|(found, ())| found.to_string());
        assert_eq!(obstacle("a"), Some("a/b/c".to_owned()));
        assert_eq!(obstacle("a/b"), Some("a/b/c".to_owned()));
        assert_eq!(obstacle("a/b/c/d"), Some("a/b/c".to_owned()));
        assert_eq!(obstacle("a-z/x/y"), Some("a-z".to_owned()));
        assert_eq!(obstacle("a/b/c"), None);
        assert_eq!(obstacle("a/b/d"), None);
        assert_eq!(obstacle("a/bc"), None);
        assert_eq!(tree.insert(path("a.b"), ()), Some(()));
    }

    proptest! {
        /// Compares with the standard library, which splits paths with different code, and with the limits of
        /// Linux.
        #[test]
        fn a_path_is_taken_if_it_stays_in_its_folder_as_written(path in r"([a.\x00/]|\.\.|/|x{250}){0,20}") {
            let read = Path::new(&path);
            let inside = read.components().all(|part| matches!(part, Component::Normal(_)));
            let as_written = read.components().collect::<PathBuf>().into_os_string() == *path;
            let possible = !path.is_empty()
                && !path.contains('\0')
                && path.len() <= MAX_PATH_BYTES
                && read.iter().all(|name| name.len() <= MAX_NAME_BYTES);
            let taken = AssetPath::parse(&path);
            prop_assert_eq!(taken.is_ok(), inside && as_written && possible, "{:?}", taken);
            if let Ok(taken) = taken {
                let folders: Vec<_> = read.ancestors().skip(1).filter(|at| !at.as_os_str().is_empty()).collect();
                prop_assert!(taken.folders().map(Path::new).eq(folders.into_iter().rev()));
            }
        }
    }
}
